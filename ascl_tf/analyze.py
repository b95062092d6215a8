"""Draws one figure of several models: python -m ascl_tf.analyze --figure=tsne --models=...

    python -m ascl_tf.analyze --figure=input_landscape \\
        --models=at=<SavedModel or .keras>,ascl=<...> --dataset=cifar10 --output=<folder>

    python -m ascl_tf.analyze --figure=sweeps --records=at=<file>,ascl=<file> --output=<folder>

It writes <figure>.json with every number that is drawn, <figure>.png and <figure>.svg.
The figures `sweeps`, `corruptions` and `transfer` are drawn from records that
`python -m ascl_tf.evaluate` wrote, all others are measured here.
"""

import dataclasses
import importlib.metadata
import json
import pathlib

from rich.console import Console

from ascl_tf import flag_defs, signals
from ascl_tf.config import STAGES, Config, DataConfig, EvaluationConfig, RunConfig, setting
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.files import check_folder_place, write_text
from ascl_tf.paths import PATH, PATHS
from ascl_tf.quiet_start import quiet_start

with flag_defs.importing(), quiet_start():
    from ascl_tf.analysis.curves import corruption_document, sweep_document
    from ascl_tf.analysis.figures import draw, save_figure
    from ascl_tf.analysis.measurements import MEASURE
    from ascl_tf.evaluation import checks
    from ascl_tf.evaluation.black_box import matrix_of
    from ascl_tf.evaluation.display import evaluation_progress
    from ascl_tf.evaluation.memory import lack_in_one_line
    from ascl_tf.evaluation.named_models import named_paths
    from ascl_tf.evaluation.program_inputs import check_fit, load_images
    from ascl_tf.evaluation.protocols import get_protocol
    from ascl_tf.evaluation.records import environment_versions, model_sha256, read_records
    from ascl_tf.export import load_model

FROM_RECORDS = ("sweeps", "corruptions", "transfer")
FIGURES = (*MEASURE, *FROM_RECORDS)
PROTOCOLS = {"weight_landscape": "pgd10", "calibration": "pgd20"}
# Flags that only some figures use -> which.
_USED_BY = {
    "num_points": ("input_landscape", "weight_landscape"),
    "num_steps": ("inversion",),
    "protocol": tuple(PROTOCOLS),
}
_PACKAGES = ("matplotlib", "scikit-learn")


def _shared(section, name):
    """Returns a field like the one of a training run, for every use of this program."""
    field = section.__dataclass_fields__[name]
    return dataclasses.field(default=field.default, metadata={**field.metadata, "stages": STAGES})


@dataclasses.dataclass(frozen=True)
class AnalyzeConfig:
    """The flags of this program; those that a training run has too mean the same."""

    figure: str = setting("tsne", "What to draw.", choices=FIGURES)
    models: str = setting(
        "", "SavedModel folders or .keras files as label=path, separated by commas.", path=PATHS
    )
    records: str = setting(
        "",
        "In place of --models, for the figures sweeps, corruptions and transfer: record files as "
        "label=path, separated by commas (of transfer one; its label is not shown).",
        path=PATHS,
    )
    trust_model: bool = setting(
        False,
        "Load .keras files with Lambda layers too, which run Python code from the file; only for "
        "files whose author you trust.",
    )
    output: str = setting(
        "", "Folder for <figure>.json, .png and .svg; made if need be.", path=PATH
    )
    num_points: int = setting(
        0,
        "Points of a landscape in each direction, odd; 0: 33 (input) or 21 (weight).",
        minimum=0,
    )
    num_steps: int = setting(0, "Steps of the feature inversion; 0: 200.", minimum=0)
    protocol: str = setting(
        "",
        "PGD of the weight landscape and of the attacked images of calibration, such as pgd20; "
        "standard: calibration of clean images alone; empty: pgd10 and pgd20.",
    )
    num_images: int = setting(
        0,
        "Images, chosen by seed (of inversion those at which components must be alive); "
        "0: as many as the figure takes by itself.",
        minimum=0,
    )
    split: str = setting("test", "Split of the data set.")
    dataset: str = _shared(DataConfig, "dataset")
    data_dir: str = _shared(DataConfig, "data_dir")
    download: bool = _shared(DataConfig, "download")
    image_size: int = _shared(DataConfig, "image_size")
    evaluation_batch_size: int = _shared(EvaluationConfig, "evaluation_batch_size")
    seed: int = _shared(RunConfig, "seed")

    def __post_init__(self):
        shared = set(AnalyzeConfig.__dataclass_fields__) & set(Config.__dataclass_fields__)
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
        self.attack()

    def attack(self):
        """Returns the settings of PGD for `ascl_tf.attacks.linf_pgd`, or None for no attack."""
        try:
            protocol = get_protocol(self.protocol or PROTOCOLS.get(self.figure, "standard"))
        except ValueError as error:
            raise ConfigError(f"--protocol: {error}") from None
        if protocol.kind == "none" and self.figure != "weight_landscape":
            return None
        if protocol.kind != "linf_pgd" or protocol.num_restarts != 1:
            raise ConfigError(f"--protocol: expected PGD, such as pgd20; found {protocol.name}")
        return {
            "epsilon": float(protocol.epsilon),
            "step_size": float(protocol.step_size),
            "num_steps": protocol.num_steps,
            "random_start": protocol.random_start,
        }


def main(argv):
    """Draws what the command line says."""
    config = _parse(argv)
    if config is None:
        return
    files = [f"{config.figure}.{suffix}" for suffix in ("json", "png", "svg")]
    check_folder_place("output", config.output, files)
    folder = pathlib.Path(config.output)
    console = Console()
    if config.figure in FROM_RECORDS:
        document = _from_records(config)
    else:
        document = _from_models(config, console)
    document["versions"] = environment_versions() | {
        package: importlib.metadata.version(package) for package in _PACKAGES
    }
    for path in _write(document, folder / config.figure):
        console.print(path, markup=False, soft_wrap=True, highlight=False)


def run(argv=None):
    """Runs the program; the console entry `ascl-analyze`."""
    with signals.listening():
        flag_defs.run_program(main, argv)


def _parse(argv):
    """Returns the config of a command line, or None where it only asked for help."""
    settings = flag_defs.parse_program(AnalyzeConfig, argv, __doc__)
    return None if settings is None else AnalyzeConfig(**settings)


def _from_records(config):
    records = {
        label: read_records(path) for label, path in named_paths(config.records, "records").items()
    }
    if config.figure == "sweeps":
        return sweep_document(records)
    if config.figure == "corruptions":
        return corruption_document(records)
    ((label, found),) = records.items()
    chosen = [record for record in found if "target" in record and "source" in record]
    if not chosen:
        raise RunError(f"--records={label}: expected records of --targets; found none")
    shared = {name: chosen[0].get(name) for name in ("data_set", "data_sha256", "num_images")}
    return {"figure": "transfer", "attack": chosen[0]["attack"], **shared, **matrix_of(chosen)}


def _from_models(config, console):
    paths = named_paths(config.models, "models")
    models = {label: _load(config, label, path) for label, path in paths.items()}
    dataset = load_images(config, needs_labels=config.figure != "inversion")
    outcomes = {
        label: check_fit(
            model.logits_fn,
            dataset,
            f"--models={label}={paths[label]}",
            num_images=config.num_images,
        )
        for label, model in models.items()
    }
    height, width = dataset.images.shape[1:3]
    memory = lack_in_one_line(config.evaluation_batch_size, f"of {height} x {width} pixels")
    try:
        with evaluation_progress(console) as progress, memory:
            document, num_images = MEASURE[config.figure](config, models, dataset, progress)
    except RunError:
        raise
    except ValueError as error:
        raise RunError(f"--figure={config.figure} on {dataset.name}: {error}") from error
    for entry in document["models"]:
        entry["model_sha256"] = model_sha256(paths[entry["label"]])
        entry |= checks.as_fields(outcomes[entry["label"]])
    return document | {
        "data_set": dataset.name,
        "data_sha256": dataset.sha256,
        "class_names": list(dataset.class_names),
        "num_images": num_images,
        "seed": config.seed,
    }


def _load(config, label, path):
    try:
        return load_model(path, trust_model=config.trust_model)
    except RunError as error:
        # It names the flag that holds a single model.
        named = str(error).replace(f"--model={path}", f"--models={label}={path}", 1)
        raise RunError(named) from error


def _write(document, stem):
    """Writes the document and its picture; returns the paths."""
    path = stem.with_name(f"{stem.name}.json")
    text = json.dumps(document, sort_keys=True, allow_nan=False) + "\n"
    try:
        # What was measured is safe before it is drawn; what is read from records is there anyway,
        # and numbers without a picture would look like a finished figure.
        is_measured = document["figure"] in MEASURE
        if is_measured:
            write_text(path, text)
        figure = draw(document)
        if not is_measured:
            write_text(path, text)
        return [path, *save_figure(figure, stem)]
    except OSError as error:
        raise RunError(
            f"--output={stem.parent}: expected a folder that can be written; "
            f"found: {error.strerror}"
        ) from error


if __name__ == "__main__":
    run()
