"""Draws one figure for several models: python -m ascl_tf.analyze --figure=tsne --models=...

    python -m ascl_tf.analyze --figure=input_landscape \\
        --models=at=<SavedModel or .keras>,ascl=<...> --dataset=cifar10 --output=<folder>

    python -m ascl_tf.analyze --figure=sweeps --records=at=<file>,ascl=<file> --output=<folder>

Writes <figure>.png, <figure>.svg, and <figure>.json with every number in the figure.
The figures `sweeps`, `corruptions` and `transfer` are drawn from records written by
`python -m ascl_tf.evaluate`. All others are measured here.
"""

import importlib.metadata
import json
import pathlib

import numpy as np
from rich.console import Console

from ascl_tf.errors import RunError, renamed
from ascl_tf.process import signals
from ascl_tf.process.files import check_folder_place, check_outside, write_text
from ascl_tf.process.terminal import quiet_start
from ascl_tf.program import flag_defs
from ascl_tf.program.messages import as_flag, refused

with flag_defs.importing(), quiet_start():
    from ascl_tf.analysis.curves import corruption_document, sweep_document
    from ascl_tf.analysis.figure_data import MEASURE
    from ascl_tf.analysis.figures import draw, find_undrawable, save_figure
    from ascl_tf.evaluation import checks
    from ascl_tf.evaluation.black_box import matrix_of
    from ascl_tf.evaluation.display import evaluation_progress
    from ascl_tf.evaluation.records import environment_versions, model_sha256, read_records
    from ascl_tf.process.failures import memory_errors_as_one_line
    from ascl_tf.program.analyze_settings import FROM_RECORDS, AnalyzeConfig
    from ascl_tf.program.inputs import check_classes, check_fit, load_images
    from ascl_tf.program.named_models import named_paths
    from ascl_tf.serving.loading import load_model

_PACKAGES = ("matplotlib", "scikit-learn")
# Enough for means over thousands of images.
_MEASURE_DIGITS = 5


def main(argv):
    """Draws what the command line says."""
    config = _parse(argv)
    if config is None:
        return
    files = [f"{config.figure}.{suffix}" for suffix in ("json", "png", "svg")]
    check_outside("output", config.output, named_paths(config.models, "models").values())
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
    return None if settings is None else AnalyzeConfig.from_flags(settings)


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
    for label, path in paths.items():
        check_classes(path, dataset, as_flag(f"models={label}", path))
    outcomes = {
        label: check_fit(
            model.logits_fn,
            dataset,
            as_flag(f"models={label}", paths[label]),
            num_images=config.num_images,
            needs_gradient=config.needs_gradient(),
        )
        for label, model in models.items()
    }
    height, width = dataset.images.shape[1:3]
    memory = memory_errors_as_one_line(
        config.evaluation_batch_size, f"of {height} x {width} pixels"
    )
    with (
        refused(f"{as_flag('figure', config.figure)} on {dataset.name}"),
        evaluation_progress(console) as progress,
        memory,
    ):
        document, num_images = MEASURE[config.figure](config, models, dataset, progress)
    for entry in document["models"]:
        entry["model_sha256"] = model_sha256(paths[entry["label"]])
        entry |= checks.as_fields(outcomes[entry["label"]])
        for name, values in entry.get("measures", {}).items():
            entry["measures"][name] = np.round(values, _MEASURE_DIGITS).tolist()
    return document | {
        "data_set": dataset.name,
        "data_sha256": dataset.sha256,
        "class_names": list(dataset.class_names),
        "num_images": num_images,
        "seed": config.seed,
    }


def _load(config, label, path):
    with renamed(path=f"models={label}"):
        return load_model(path, trust_model=config.trust_model)


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
        paths = [path, *save_figure(figure, stem)]
    except OSError as error:
        raise RunError(
            f"--output={stem.parent}: expected a folder that can be written; "
            f"found: {error.strerror}"
        ) from error
    if missing := find_undrawable(figure):
        print(
            f"notice: {stem.name}.png, {stem.name}.svg: the font lacks {' '.join(missing)} and "
            f"shows boxes instead; {path.name} has the names"
        )
    return paths


if __name__ == "__main__":
    run()
