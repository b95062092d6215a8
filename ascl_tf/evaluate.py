"""Measures the robustness of any exported classifier, ours or not.

    python -m ascl_tf.evaluate --model=<SavedModel or .keras> --dataset=cifar10 \\
        --protocol=standard,pgd20 --output=records.json

The model maps float32 images in [0, 1] to logits. Of a SavedModel the signature
`serving_default` is taken: its output `logits`, or its only one. Several models,
separated by commas, are one classifier: the mean of their probabilities decides.
"""

import dataclasses
import pathlib
import tempfile

from rich.console import Console

from ascl_tf import flag_defs
from ascl_tf.config import STAGES, Config, DataConfig, EvaluationConfig, RunConfig, setting
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.quiet_start import quiet_start

with quiet_start():
    import tensorflow as tf

    from ascl_tf.data.datasets import load_dataset, name_at_hand
    from ascl_tf.evaluation import evaluate_robustness
    from ascl_tf.evaluation.display import evaluation_progress, print_records
    from ascl_tf.evaluation.ensembles import EnsembleOptions
    from ascl_tf.evaluation.inputs import as_unit_float
    from ascl_tf.evaluation.logits import make_logits_function
    from ascl_tf.evaluation.model_ensemble import (
        describe_models,
        mean_probability_logits,
        member_paths,
    )
    from ascl_tf.evaluation.protocols import get_protocol
    from ascl_tf.evaluation.records import write_records
    from ascl_tf.export import load_logits_function


def _shared(section, name):
    """Returns a field like the one of a training run, for every use of this program."""
    field = section.__dataclass_fields__[name]
    return dataclasses.field(default=field.default, metadata={**field.metadata, "stages": STAGES})


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """The flags of this program; those that a training run has too mean the same."""

    model: str = setting(
        "",
        "SavedModel folder or .keras file to evaluate; several, separated by commas, are one "
        "classifier that decides by the mean of their probabilities.",
    )
    output: str = setting("", "File for the records, as JSON; empty: only print them.")
    resume: bool = setting(
        False, "Continue AutoAttack from the state that it left beside --output."
    )
    adversarial_images: str = setting("", "npz file for AutoAttack's images; empty: none is kept.")
    split: str = setting("test", "Split of the data set.")
    dataset: str = _shared(DataConfig, "dataset")
    data_dir: str = _shared(DataConfig, "data_dir")
    download: bool = _shared(DataConfig, "download")
    image_size: int = _shared(DataConfig, "image_size")
    protocol: str = _shared(EvaluationConfig, "protocol")
    num_images: int = _shared(EvaluationConfig, "num_images")
    evaluation_batch_size: int = _shared(EvaluationConfig, "evaluation_batch_size")
    seed: int = _shared(RunConfig, "seed")

    def __post_init__(self):
        shared = set(EvaluateConfig.__dataclass_fields__) & set(Config.__dataclass_fields__)
        Config(**{name: getattr(self, name) for name in shared})
        if not member_paths(self.model):
            raise ConfigError("--model: expected a SavedModel folder or a .keras file; found none")
        if self.resume and not self.output:
            raise ConfigError(
                "--resume: expected --output, beside which the state lies; found none"
            )
        num_ensembles = sum(protocol.kind == "autoattack" for protocol in self.protocols())
        if self.adversarial_images and num_ensembles != 1:
            raise ConfigError(
                "--adversarial_images: expected one AutoAttack in --protocol; "
                f"found {num_ensembles}"
            )

    def protocols(self):
        """Returns the protocols that `--protocol` names, each once, in order."""
        names = [name.strip() for name in self.protocol.split(",") if name.strip()]
        try:
            chosen = [get_protocol(name) for name in dict.fromkeys(names)]
        except ValueError as error:
            raise ConfigError(f"--protocol: {error}") from None
        if not chosen:
            raise ConfigError("--protocol: expected one or more names; found none")
        return chosen

    def ensemble_options(self):
        """Returns where AutoAttack keeps its state, beside the records, and its images."""
        return EnsembleOptions(
            state_path=self.output or None,
            resume=self.resume,
            images_path=self.adversarial_images or None,
        )


def main(argv):
    """Evaluates as the command line says, prints a table and writes the records."""
    config = _parse(argv)
    if config is None:
        return
    protocols = config.protocols()
    _check_place("output", config.output)
    _check_place("adversarial_images", config.adversarial_images)
    paths = member_paths(config.model)
    members = [load_logits_function(path) for path in paths]
    dataset = _load_images(config)
    for path, member in zip(paths, members, strict=True):
        _check_fit(member, dataset, path)
    classifier = members[0] if len(members) == 1 else mean_probability_logits(members)
    console = Console()
    description = describe_models(paths)
    records = _evaluate(config, protocols, classifier, dataset, console, description)
    if config.output:
        write_records(config.output, records)
        config.ensemble_options().forget(protocols)
    print_records(records, console)
    if config.output:
        console.print(f"records: {config.output}", markup=False, soft_wrap=True)


def run():
    """Runs the program; the console entry `ascl-evaluate`."""
    flag_defs.run_program(main)


def _parse(argv):
    """Returns the config of a command line, or None where it only asked for help."""
    values = flag_defs.define_flags(EvaluateConfig)
    flag_defs.define_program_flags(values)
    settings = flag_defs.parse(values, argv)
    if flag_defs.wants_help(values, __doc__):
        return None
    names = EvaluateConfig.__dataclass_fields__
    return EvaluateConfig(**{name: settings[name] for name in names if name in settings})


def _check_place(flag, file):
    """Tries the place of a result before hours are spent on it."""
    if not file:
        return
    path = pathlib.Path(file)
    if path.is_dir():
        raise RunError(f"--{flag}={file}: expected a file; found a folder")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise RunError(
            f"--{flag}={file}: expected a file in a folder that can be written; "
            f"found: {error.strerror}"
        ) from error


def _load_images(config):
    data_dir = config.data_dir or None
    dataset = load_dataset(
        name_at_hand(config.dataset, data_dir=data_dir, download=config.download),
        config.split,
        data_dir=data_dir,
        download=config.download,
        image_size=config.image_size or None,
    )
    if config.num_images > len(dataset.labels):
        raise RunError(
            f"--num_images: expected at most the {len(dataset.labels)} images of "
            f"{dataset.name}; found {config.num_images}"
        )
    return dataset


def _check_fit(classifier, dataset, path):
    """Tries the model on one image, so that a misfit is one line and not a traceback."""
    images = tf.constant(as_unit_float(dataset.images[:1]))
    try:
        make_logits_function(classifier)(images)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise RunError(
            f"--model={path}: expected logits for float32 images of shape "
            f"{tuple(images.shape[1:])}; found {type(error).__name__}: {reason}"
        ) from error


def _evaluate(config, protocols, classifier, dataset, console, description):
    with evaluation_progress(console) as progress:
        try:
            records = evaluate_robustness(
                classifier,
                dataset,
                protocols,
                batch_size=config.evaluation_batch_size,
                seed=config.seed,
                num_images=config.num_images or None,
                progress=progress,
                model_sha256=description["model_sha256"],
                ensemble_options=config.ensemble_options(),
            )
        except RunError:
            raise
        except ValueError as error:
            raise RunError(f"--model={config.model} on {dataset.name}: {error}") from error
    return [{**record, **description} for record in records]


if __name__ == "__main__":
    run()
