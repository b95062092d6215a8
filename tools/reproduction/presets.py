"""The presets of tools/reproduce.py, as data: at which scale the rows of flags/ are run.

`paper` takes the rows as they are. `cpu` keeps what tells the methods apart (losses, attacks,
schedules by their shares of a run, relations between the numbers of epochs) and makes network,
images, batches and epochs smaller. `smoke` is --smoke of everything.
"""

import dataclasses
from collections.abc import Mapping

from ascl_tf import config as cfg
from tools.reproduction import few_labels
from tools.reproduction.extra_rows import AT_EQUAL_COMPUTE, POSITIVES_ALL, ExtraRow

# Learning rates above the paper's 0.1 belong to batches of 512 and 1,024.
USUAL_RATE = 0.1
# Rows of a small scale of their own, beside the length that their comparison has in the paper.
EPOCHS_IN_FULL = {"readings": 100}
# STL-10 has 5,000 labeled training images.
WHOLE_DATA_SETS = ("stl10",)


@dataclasses.dataclass(frozen=True)
class Preset:
    """The scale of a reproduction.

    Attributes:
        name: as on the command line.
        is_smoke: whether --smoke shrinks every run.
        settings: settings of training in place of the rows' own.
        largest_batch: batches are no larger than this; 0: as the rows have them.
        epoch_scale, finetune_epoch_scale: factors on numbers of epochs, warm-ups included.
        most_epochs, most_finetune_epochs: no more than these; 0: as the factors give them.
        protocols: groups of protocols, a step each; (): the row's own, in one step.
        autoattack: protocol of RA-AA.
        autoattack_images: RA-AA is measured on so many test images, in a step of its own; 0: on
            all, together with the row's other protocols.
        autoattack_of_both: rows whose last checkpoint is attacked beside the best one.
        evaluate, analyze: kind of evaluation or figure -> more flags of the program.
        extra_rows: rows beside those of flags/.
        more_seeds: row or folder of rows -> seeds beside 0, where none are asked for.
        is_published: whether its results belong under results/ and into the documents.
    """

    name: str
    is_smoke: bool = False
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    largest_batch: int = 0
    epoch_scale: float = 1.0
    finetune_epoch_scale: float = 1.0
    most_epochs: int = 0
    most_finetune_epochs: int = 0
    protocols: tuple[tuple[str, ...], ...] = ()
    autoattack: str = "autoattack"
    autoattack_images: int = 0
    autoattack_of_both: tuple[str, ...] = ()
    evaluate: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    analyze: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    extra_rows: tuple[ExtraRow, ...] = ()
    more_seeds: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    is_published: bool = True

    def apply(self, config, folder):
        """Returns a row's `Config` at this scale, without any folder."""
        config = config.replace(workdir="", data_dir="")
        if self.is_smoke:
            # The recipes' rates for LARS and large batches would leave two channels dead.
            return cfg.shrink(config).replace(learning_rate=USUAL_RATE)
        return config.replace(**{**self._scaled(config, folder), **self._settings(config)})

    def seeds(self, folder, seeds):
        """Returns the seeds of a row: those that were asked for, then the preset's own."""
        artifact = folder.partition("/")[0]
        more = self.more_seeds.get(folder, self.more_seeds.get(artifact, ()))
        return tuple(dict.fromkeys((*seeds, *more)))

    def describe(self):
        """Returns its scale in a sentence."""
        if not self.settings:
            return (
                "Numbers of seconds, which mean nothing."
                if self.is_smoke
                else "The rows' own scale."
            )
        width, count = self.settings["width"], self.settings["num_train_images"]
        images = f"{count:,}" if count else "all"
        return (
            f"Networks of width {width}, {images} training images, at most {self.most_epochs} "
            "epochs of pre-training (rows of equal compute have more), "
            f"{self.settings['num_images']:,} test images."
        )

    def _settings(self, config):
        settings = dict(self.settings)
        if config.dataset in WHOLE_DATA_SETS:
            settings.pop("num_train_images", None)
        return settings

    def _scaled(self, config, folder):
        """Returns batches, learning rate and epochs at this scale."""
        if not self.largest_batch:
            return {}
        in_full = EPOCHS_IN_FULL.get(folder.partition("/")[0], config.epochs)
        epochs = _scaled_epochs(in_full, self.epoch_scale, self.most_epochs)
        finetune_epochs = _scaled_epochs(
            config.num_finetune_epochs, self.finetune_epoch_scale, self.most_finetune_epochs
        )
        # What happens at an epoch happens at the same share of the run.
        scale = epochs / in_full
        batch = min(config.global_batch_size, self.largest_batch)
        rate = config.learning_rate
        return {
            "epochs": epochs,
            "warmup_epochs": config.warmup_epochs * scale,
            "awp_warmup_epochs": round(config.awp_warmup_epochs * scale),
            "dynacl_interval": max(1, round(config.dynacl_interval * scale)),
            "global_batch_size": batch,
            "learning_rate": (
                rate * batch / config.global_batch_size if rate > USUAL_RATE else rate
            ),
            "finetune_epochs": finetune_epochs,
            "finetune_global_batch_size": min(config.finetune_batch_size, self.largest_batch),
        }


def _scaled_epochs(epochs, scale, most):
    scaled = max(1, round(epochs * scale))
    return min(scaled, most) if most else scaled


def row_of_method(name):
    """Returns the row beside Table 1 of a method of one's own, such as my_file:MyMethod.

    Trained and measured as ASCL is, or as AT if it needs no fine-tuning.

    Raises:
        ConfigError: if there is no such method.
    """
    spec = cfg.find_method(name)
    return ExtraRow(
        f"table1/{name.replace(':', '.')}",
        like="table1/ascl" if spec.needs_finetuning else "table1/at",
        title=name,
        settings={"method": name},
    )


PAPER = Preset("paper", extra_rows=(POSITIVES_ALL,))
CPU = Preset(
    "cpu",
    # 10,008 images to train on, 1,112 held out; the first 2,000 test images: an accuracy of theirs
    # is known to a point, about as well as that of one seed.
    settings={"width": 8, "num_train_images": 11120, "num_images": 2000},
    # Two epochs have 312 steps then, and a step costs half of one with 128 images.
    largest_batch=64,
    # The paper has to fit in a night of two cores: two epochs, so that best and last can differ.
    epoch_scale=0.02,
    most_epochs=2,
    finetune_epoch_scale=0.2,
    most_finetune_epochs=2,
    protocols=(("standard", "pgd20"), ("pgd20_eps16",)),
    autoattack_images=500,
    # A claim of the paper is on both.
    autoattack_of_both=("table1/at", "table1/ascl"),
    evaluate={"sweeps": {"num_images": 500}},
    # 0: the figure's own number of images; calibration has all that are measured.
    analyze={
        **dict.fromkeys(("inversion", "tsne", "input_landscape"), {"num_images": 0}),
        # Half of the figure's: each point of the curve, and each direction, is an attack.
        "weight_landscape": {"num_images": 250},
    },
    extra_rows=(AT_EQUAL_COMPUTE, POSITIVES_ALL, *few_labels.ROWS),
    # The ledger of claims takes the spread over seeds from these.
    more_seeds=dict.fromkeys(
        (
            "table1/at",
            "table1/trades",
            "table1/ascl",
            "table5",
            "figure2/standard",
            *few_labels.SEVERAL_SEEDS,
        ),
        (1, 2),
    ),
)
SMOKE = Preset(
    "smoke",
    is_smoke=True,
    protocols=(("standard", "pgd20"), ("pgd20_eps16",)),
    autoattack="autoattack_fast",
    autoattack_images=4,
    analyze={
        "inversion": {"num_images": 100, "num_steps": 10},
        "tsne": {"num_images": 100},
        "input_landscape": {"num_points": 5},
        "weight_landscape": {"num_points": 5},
    },
    extra_rows=(AT_EQUAL_COMPUTE, POSITIVES_ALL),
    is_published=False,
)
PRESETS = {preset.name: preset for preset in (SMOKE, CPU, PAPER)}
