"""The flags of `python -m ascl_tf.analyze`, and what they mean together."""

import dataclasses

from ascl_tf.analysis.figure_data import MEASURE
from ascl_tf.config import (
    Config,
    DataSettings,
    EvaluationSettings,
    RunSettings,
    setting,
    setting_fields,
)
from ascl_tf.config.paths import PATH, PATHS
from ascl_tf.config.setting import like_run_setting
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.program.data_flags import ReadingFlags
from ascl_tf.program.named_models import named_paths
from ascl_tf.program.own_run import with_settings_of_run

FROM_RECORDS = ("sweeps", "corruptions", "transfer")
FIGURES = (*MEASURE, *FROM_RECORDS)
PROTOCOLS = {
    "weight_landscape": "pgd10",
    "calibration": "pgd20",
    "confusion": "pgd20",
    "mistakes": "pgd20",
    "adversarial_examples": "pgd20",
}
MOST_EXAMPLES = 12
# Flags that only some figures use -> which.
_USED_BY = {
    "num_points": ("input_landscape", "weight_landscape"),
    "num_steps": ("inversion",),
    "protocol": tuple(PROTOCOLS),
}


@dataclasses.dataclass(frozen=True)
class AnalyzeConfig(ReadingFlags):
    """Flags of this program; flags shared with training mean the same."""

    figure: str = setting("tsne", "Figure to draw.", choices=FIGURES)
    models: str = setting(
        "", "Models as label=path, comma-separated: SavedModel folders or .keras files.", path=PATHS
    )
    records: str = setting(
        "",
        "Record files as label=path, comma-separated, for the figures sweeps, corruptions and "
        "transfer; replaces --models. transfer takes one file and does not show its label.",
        path=PATHS,
    )
    trust_model: bool = setting(
        False,
        "Also load .keras files with Lambda layers, which run Python code from the file. Use "
        "only for files whose author you trust.",
    )
    output: str = setting(
        "", "Folder for <figure>.json, .png and .svg, created if missing.", path=PATH
    )
    num_points: int = setting(
        0,
        "Points of a landscape in each direction, an odd number. 0: 33 for input_landscape, 21 "
        "for weight_landscape.",
        minimum=0,
    )
    num_steps: int = setting(0, "Number of steps in the feature inversion. 0: 200.", minimum=0)
    protocol: str = setting(
        "",
        "PGD protocol, such as pgd20, for the weight landscape and for the attacked images of "
        "calibration, confusion, mistakes and adversarial_examples. standard: clean images alone "
        "in these four. Empty: pgd10 for the weight landscape, else pgd20.",
    )
    num_images: int = setting(
        0,
        "Number of images, chosen by --seed; for inversion, the images on which components must "
        "be alive. 0: the default of the figure.",
        minimum=0,
    )
    split: str = setting(
        "auto", "Split of the data set. auto: test, or val or validation if there is no test split."
    )
    dataset: str = like_run_setting(DataSettings, "dataset")
    evaluation_batch_size: int = like_run_setting(EvaluationSettings, "evaluation_batch_size")
    seed: int = like_run_setting(RunSettings, "seed")

    @classmethod
    def from_flags(cls, settings):
        """Returns the config of what a command line sets (dictionary from flag to value)."""
        # Refused before any file is read.
        models = named_paths(cls(**settings).models, "models").values()
        return cls(**with_settings_of_run(settings, models, cls))

    def __post_init__(self):
        shared = set(AnalyzeConfig.__dataclass_fields__) & set(setting_fields())
        Config(**{name: getattr(self, name) for name in shared - {"protocol"}})
        is_drawn_from_records = self.figure in FROM_RECORDS
        needed = "records" if is_drawn_from_records else "models"
        other = "models" if is_drawn_from_records else "records"
        if getattr(self, other):
            raise ConfigError(f"--{other}: expected --{needed} for --figure={self.figure}")
        paths = named_paths(getattr(self, needed), needed)
        if not paths:
            raise ConfigError(f"--{needed}: expected label=path for {self.figure}; found none")
        if self.figure == "transfer" and len(paths) > 1:
            raise ConfigError(f"--records: expected one file for transfer; found {len(paths)}")
        if not self.output:
            raise ConfigError("--output: expected a folder; found none")
        for name, figures in _USED_BY.items():
            if getattr(self, name) and self.figure not in figures:
                raise ConfigError(
                    f"--{name}: expected --figure={' or '.join(figures)}; found {self.figure}"
                )
        if self.num_points and (self.num_points < 3 or self.num_points % 2 == 0):
            raise ConfigError(f"--num_points: expected an odd number >= 3; found {self.num_points}")
        if self.figure == "adversarial_examples" and self.num_images > MOST_EXAMPLES:
            raise ConfigError(
                f"--num_images: expected at most {MOST_EXAMPLES} for {self.figure}, which shows "
                f"each; found {self.num_images}"
            )
        self.attack()

    def needs_gradient(self):
        """Returns whether the figure follows gradients from logits to images."""
        return self.figure == "input_landscape" or self.attack() is not None

    def attack(self):
        """Returns the settings of PGD for `ascl_tf.attacks.linf_pgd`, or None for no attack."""
        protocol = get_protocol(self.protocol or PROTOCOLS.get(self.figure, "standard"))
        if protocol.kind == "none" and self.figure != "weight_landscape":
            return None
        if protocol.kind != "linf_pgd" or protocol.num_restarts != 1:
            raise ConfigError(
                "--protocol: expected PGD in the l-infinity ball, such as pgd20; "
                f"found {protocol.name}"
            )
        return {
            "epsilon": float(protocol.epsilon),
            "step_size": float(protocol.step_size),
            "num_steps": protocol.num_steps,
            "random_start": protocol.random_start,
        }
