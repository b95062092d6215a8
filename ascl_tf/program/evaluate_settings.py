"""The flags of `python -m ascl_tf.evaluate`, and what they mean together."""

import dataclasses
import os

from ascl_tf.config import (
    Config,
    DataSettings,
    EvaluationSettings,
    Fraction,
    RunSettings,
    setting,
    setting_fields,
    split_protocols,
)
from ascl_tf.config.paths import PATH, PATHS, split_list
from ascl_tf.config.setting import like_run_setting
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.autoattack_protocol import AUTOATTACK, AutoAttackOptions
from ascl_tf.evaluation.black_box import makes_examples
from ascl_tf.evaluation.model_ensemble import member_paths
from ascl_tf.evaluation.protocols import (
    COMMON_CORRUPTIONS,
    Protocol,
    get_protocol_or_series,
    vary,
)
from ascl_tf.evaluation.variants import NUMBERS
from ascl_tf.program.data_flags import ReadingFlags
from ascl_tf.program.named_models import named_paths
from ascl_tf.program.own_run import with_settings_of_run


@dataclasses.dataclass(frozen=True)
class ModelFlags:
    """Models to measure."""

    model: str = setting(
        "",
        "Model to evaluate: a SavedModel folder, a .keras file, or pretrained:NAME for one of "
        "ours. Several models, comma-separated, form one classifier that decides by the mean of "
        "their probabilities.",
        path=PATHS,
    )
    targets: str = setting(
        "",
        "Models to attack with examples made on other models, as label=path, comma-separated; "
        "replaces --model. --protocol then names one attack (default: pgd20).",
        path=PATHS,
    )
    sources: str = setting(
        "",
        "Models to make the examples on, as label=path or as a label from --targets. Empty: the "
        "models in --targets.",
        path=PATHS,
    )
    diagonal: bool = setting(
        False,
        "Also attack each model in --targets with its own examples. These results appear only in "
        "the records.",
    )
    trust_model: bool = setting(
        False,
        "Also load .keras files with Lambda layers, which run Python code from the file. Use "
        "only for files whose author you trust.",
    )


@dataclasses.dataclass(frozen=True)
class ImageFlags(ReadingFlags):
    """Images to measure them on."""

    dataset: str = like_run_setting(DataSettings, "dataset")
    split: str = setting(
        "auto", "Split of the data set. auto: test, or val or validation if there is no test split."
    )
    training_split: str = setting(
        "train",
        "Split that the models were trained on. Test images that also occur in it are reported. "
        "Ignored if the data set has no such split. Empty: no check.",
    )
    num_images: int = like_run_setting(EvaluationSettings, "num_images")


@dataclasses.dataclass(frozen=True)
class AttackFlags:
    """Protocols and attacks."""

    protocol: str = like_run_setting(EvaluationSettings, "protocol")
    epsilon: Fraction = setting(
        Fraction("0"), "Radius of every attack in --protocol. 0: the protocol's own."
    )
    step_size: Fraction = setting(
        Fraction("0"), "Step size of every attack in --protocol. 0: the protocol's own."
    )
    num_steps: int = setting(
        0, "Number of steps of every attack in --protocol. 0: the protocol's own."
    )
    corruption_dir: str = setting(
        "",
        "Folder of CIFAR-10-C .npy files for --protocol=corruptions. tfds: read "
        "cifar10_corrupted from --data_dir. Empty: generate the images.",
        path=PATH,
    )
    frost_dir: str = setting(
        "",
        "Folder of frost photographs for generated corruptions. Empty: those of imagecorruptions "
        "if it is installed, else a substitute.",
        path=PATH,
    )
    seed: int = like_run_setting(RunSettings, "seed")
    evaluation_batch_size: int = like_run_setting(EvaluationSettings, "evaluation_batch_size")


@dataclasses.dataclass(frozen=True)
class ResultFlags:
    """Output."""

    output: str = setting("", "File for the records, as JSON. Empty: only print them.", path=PATH)
    resume: bool = setting(
        False, "Continue AutoAttack from the state that it left beside --output."
    )
    adversarial_images: str = setting(
        "", "npz file for the images that AutoAttack makes. Empty: do not keep them.", path=PATH
    )
    compare: str = setting(
        "",
        "Two record files, comma-separated, to compare image by image wherever their protocols "
        "match; nothing is measured. The only other flag allowed is --output, a file for the "
        "comparisons.",
        path=PATHS,
    )


# What a newcomer needs.
BASIC = (
    *("model", "targets", "dataset", "split", "image_size", "num_images"),
    *("protocol", "epsilon", "num_steps", "output", "resume", "compare"),
)


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(ModelFlags, ImageFlags, AttackFlags, ResultFlags):
    """Flags of this program; flags shared with training mean the same."""

    @classmethod
    def from_flags(cls, settings):
        """Returns the config of what a command line sets (dictionary from flag to value)."""
        chosen = {name: settings[name] for name in cls.__dataclass_fields__ if name in settings}
        others = sorted(set(chosen) - {"compare", "output"})
        if chosen.get("compare") and others:
            raise ConfigError(
                f"--compare: expected no flag beside it but --output; found --{others[0]}"
            )
        if chosen.get("targets"):
            chosen.setdefault("protocol", "pgd20")
        # Refused before any file is read.
        models = cls(**chosen).model_paths()
        return cls(**with_settings_of_run(chosen, models, cls))

    def __post_init__(self):
        shared = set(EvaluateConfig.__dataclass_fields__) & set(setting_fields())
        # Of the same name in training are the settings of its own attacks.
        Config(**{name: getattr(self, name) for name in shared - set(NUMBERS)})
        if self.compare:
            self._check_comparison()
        elif self.targets:
            self._check_transfer()
        else:
            self._check_single()
        if self.resume and not self.output:
            raise ConfigError(
                "--resume: expected --output, beside which the state lies; found none"
            )
        num_autoattacks = sum(protocol.kind == AUTOATTACK for protocol in self.protocols())
        if self.adversarial_images and num_autoattacks != 1:
            raise ConfigError(
                "--adversarial_images: expected one AutoAttack in --protocol; "
                f"found {num_autoattacks}"
            )
        images = self.adversarial_images
        if self.output and images and os.path.realpath(self.output) == os.path.realpath(images):
            raise ConfigError(
                f"--adversarial_images: expected another file than --output; found {self.output}"
            )
        for name in ("corruption_dir", "frost_dir"):
            if getattr(self, name) and COMMON_CORRUPTIONS not in self.series():
                raise ConfigError(
                    f"--{name}: expected {COMMON_CORRUPTIONS} in --protocol; found {self.protocol}"
                )
        if self.corruption_dir and self.frost_dir:
            raise ConfigError("--frost_dir: expected no --corruption_dir beside it; found both")

    def protocols(self):
        """Returns the protocols that `--protocol` names, each once, in order."""
        return [item for item in self._chosen() if isinstance(item, Protocol)]

    def series(self):
        """Returns what `--protocol` names beside protocols, each once, in order."""
        return [item for item in self._chosen() if not isinstance(item, Protocol)]

    def compared_files(self):
        """Returns the paths of `--compare`."""
        return split_list(self.compare)

    def target_paths(self):
        """Returns a dictionary from label to path of the models of `--targets`."""
        return named_paths(self.targets, "targets")

    def source_paths(self):
        """Returns a dictionary from label to path of the models that attack them."""
        known = self.target_paths()
        return named_paths(self.sources, "sources", known=known) or known

    def model_paths(self):
        """Returns the paths of all models."""
        return [*member_paths(self.model), *(self.source_paths() | self.target_paths()).values()]

    def autoattack_options(self):
        """Returns where AutoAttack keeps its state, beside the records, and its images."""
        return AutoAttackOptions(
            state_path=self.output or None,
            resume=self.resume,
            images_path=self.adversarial_images or None,
        )

    def corruption_settings(self, dataset):
        """Returns what `evaluate_corruptions` needs to know of files, or None.

        Args:
            dataset: the clean images.

        Raises:
            RunError: if a file is missing or damaged, or if images do not fit, before anything
                is measured.
        """
        if COMMON_CORRUPTIONS not in self.series():
            return None
        # Imported late: only those who ask for corruptions pay for their libraries.
        from ascl_tf.data.corruptions import load_frost_textures
        from ascl_tf.evaluation.common_corruptions import GENERATED, check_corruptions

        is_generated = not self.corruption_dir
        settings = {
            "source": self.corruption_dir or GENERATED,
            "frost_textures": load_frost_textures(self.frost_dir or None) if is_generated else None,
            "data_dir": self.data_dir or None,
        }
        num_images = self.num_images or None
        check_corruptions(dataset, seed=self.seed, num_images=num_images, **settings)
        return settings

    def _chosen(self):
        chosen = [get_protocol_or_series(name) for name in split_protocols(self.protocol)]
        numbers = {name: getattr(self, name) for name in NUMBERS if getattr(self, name)}
        return self._varied(chosen, numbers) if numbers else chosen

    def _varied(self, chosen, numbers):
        """Returns what `--protocol` names, each attack with these numbers."""
        is_attack = [getattr(item, "kind", "none") != "none" for item in chosen]
        if not any(is_attack) or any(not isinstance(item, Protocol) for item in chosen):
            raise ConfigError(
                f"--{next(iter(numbers))}: expected attacks in --protocol, and no curves; "
                f"found {self.protocol}"
            )
        pairs = zip(chosen, is_attack, strict=True)
        return [vary(item, **numbers) if attacks else item for item, attacks in pairs]

    def _check_comparison(self):
        count = len(self.compared_files())
        if count != 2:
            raise ConfigError(
                f"--compare: expected two record files, separated by a comma; found {count}"
            )

    def _check_single(self):
        for name in ("sources", "diagonal"):
            if getattr(self, name):
                raise ConfigError(f"--{name}: expected --targets beside it; found none")
        if not member_paths(self.model):
            raise ConfigError("--model: expected a SavedModel folder or a .keras file; found none")

    def _check_transfer(self):
        if self.model:
            raise ConfigError("--targets: expected no --model beside it; found both")
        targets, sources = self.target_paths(), self.source_paths()
        if not targets:
            raise ConfigError("--targets: expected label=path; found none")
        if not self.diagonal and not any(s != t for s in sources for t in targets):
            raise ConfigError(
                "--targets: expected another model, there or in --sources, that attacks them; "
                f"found only {next(iter(targets))!r}"
            )
        chosen = self._chosen()
        fits = len(chosen) == 1 and isinstance(chosen[0], Protocol) and makes_examples(chosen[0])
        if not fits:
            raise ConfigError(
                "--protocol: expected with --targets one attack that works batch by batch, such "
                f"as pgd20; found {self.protocol}"
            )
