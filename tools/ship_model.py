"""Puts the classifier of a run among the models that come with the package, with its card.

    python tools/ship_model.py --name=cifar10-w16-at --workdir=runs/at
    python -m ascl_tf.evaluate --model=pretrained:cifar10-w16-at --dataset=cifar10 --output=at.json
    python tools/ship_model.py --name=cifar10-w16-at --records at.json

The first command writes ascl_tf/pretrained/<name>/ and measures it on 200 bundled test images,
whose verdicts a test of this project looks for. The last adds to the card what was measured of that
file: records of any protocol, and calibration.json of `python -m ascl_tf.analyze`.
"""

import argparse
import json
import pathlib
import re
import shutil
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ascl_tf import config as cfg  # noqa: E402
from ascl_tf.config import pretrained  # noqa: E402
from ascl_tf.config.paths import expanded_path  # noqa: E402
from ascl_tf.data import load_dataset  # noqa: E402
from ascl_tf.data.class_order import compare_classes  # noqa: E402
from ascl_tf.errors import RunError  # noqa: E402
from ascl_tf.evaluation import evaluate_robustness, records  # noqa: E402
from ascl_tf.evaluation.common_corruptions import summarize_corruptions  # noqa: E402
from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS  # noqa: E402
from ascl_tf.evaluation.records import read_records  # noqa: E402
from ascl_tf.serving import card as cards  # noqa: E402
from ascl_tf.serving import checking  # noqa: E402
from ascl_tf.serving.loading import load_model  # noqa: E402
from ascl_tf.serving.served import as_served  # noqa: E402
from ascl_tf.training import stages, trained  # noqa: E402
from ascl_tf.training.cards import describe_run  # noqa: E402
from ascl_tf.training.checkpoints import LAST, read_history  # noqa: E402
from ascl_tf.training.workdir import WorkDirectory, recorded_config  # noqa: E402

NUM_BUNDLED, PROTOCOLS = 200, ("standard", "pgd20")


def main(argv=None):
    """Writes the folder of a model, or completes its card; returns the exit status."""
    flags = _parse(argv)
    try:
        if flags.workdir:
            _ship(flags.name, flags.workdir, flags.checkpoint)
        _complete(flags.name, flags.records)
    except (RunError, ValueError, OSError) as error:
        print(f"ship_model: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv):
    parser = argparse.ArgumentParser(prog="ship_model", description=__doc__.partition("\n")[0])
    parser.add_argument("--name", required=True, help="such as cifar10-w16-at")
    parser.add_argument("--workdir", type=expanded_path, help="of the run that has trained it")
    parser.add_argument(
        "--checkpoint", choices=("best", "last"), help="as the run exports it, if not given"
    )
    parser.add_argument(
        "--records", type=expanded_path, nargs="*", default=[], help="what was measured of it"
    )
    flags = parser.parse_args(argv)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", flags.name):
        parser.error(f"--name: expected lower-case letters, digits and . _ -; found {flags.name!r}")
    if not flags.workdir and not flags.records:
        parser.error("expected --workdir or --records; found neither")
    return flags


def _ship(name, path, checkpoint):
    config, workdir = recorded_config(path), WorkDirectory(path)
    if config is None:
        raise RunError(place=path, expected="the work directory of a run", found="no config.json")
    test = load_dataset(cfg.BUNDLED, f"test[:{NUM_BUNDLED}]")
    stage = stages.classifier_stage(config)
    checkpoint = checkpoint or trained.chosen_checkpoint(config, workdir)
    _check_classes(workdir, stage, config, test)
    training = [_describe(each) for each in _stages(path, stage)]
    classifier = trained.load_classifier(config, workdir, test, checkpoint)
    details = describe_run(config, workdir, stage, checkpoint, classifier)
    details |= {"name": name, "training": training}
    pretrained.FOLDER.mkdir(exist_ok=True)
    # The model before it stays until the new one is whole.
    with tempfile.TemporaryDirectory(dir=pretrained.FOLDER, prefix=".") as temporary:
        folder = pathlib.Path(temporary) / name
        folder.mkdir()
        card = _write(folder, classifier, test, details)
        shutil.rmtree(pretrained.FOLDER / name, ignore_errors=True)
        folder.rename(pretrained.FOLDER / name)
    for line in cards.describe_files(card):
        print(line)


def _write(folder, classifier, test, details):
    """Writes the files of a model into a folder; returns its card."""
    file = folder / pretrained.FILE
    classifier.save(file)
    loaded = load_model(file).logits_fn
    reference = checking.make_reference(as_served(classifier), test)
    found = checking.compare(reference, lambda images: loaded(images, training=False), file.name)
    digest = records.model_sha256(file)
    card = cards.make_card(
        class_names=test.class_names,
        image_shape=test.image_shape,
        how="crop",
        details={**details, "bundled": _measure(loaded, test, digest)},
        files={file.name: {**found, "bytes": file.stat().st_size, "sha256": digest}},
    )
    cards.write_card(folder, card)
    return card


def _check_classes(workdir, stage, config, test):
    """Raises RunError unless a run is of CIFAR-10's classes and sizes, as the bundled images."""
    names, size = workdir.class_names(stage) or (), config.data.image_size
    differs = compare_classes(names, test.class_names, place=workdir.path)
    if differs or len(names) not in (0, test.num_classes) or size not in (0, test.image_shape[0]):
        expected = f"the classes of CIFAR-10, at {test.image_shape[0]} pixels"
        found = f"{', '.join(names)[:60]}, `image_size={size}`"
        raise RunError(place=workdir.path, expected=expected, found=found)


class _Stage(NamedTuple):
    """A stage of training: where it ran, and the setting that names the run before, if any."""

    path: pathlib.Path
    name: str
    start: str = ""


def _stages(path, stage):
    """Returns all stages that have led to a stage, the first one first."""
    config = recorded_config(path)
    setting = "initial_encoder" if stage == cfg.PRETRAIN else "pretrained"
    start = getattr(config, setting)
    if not start and stage == cfg.PRETRAIN:
        return [_Stage(path, stage)]
    before = pathlib.Path(start or path)
    if not before.exists():
        raise RunError(place=before, expected="the run that training began with", found="none")
    earlier = _stages(before, cfg.PRETRAIN) if before.is_dir() else []
    return [*earlier, _Stage(path, stage, f"--{setting}={_shown(before)}" if start else "")]


def _shown(path):
    """Returns what a command calls the run, or the file, that training began with."""
    if path.name == pretrained.FILE and path.parent.parent == pretrained.FOLDER:
        return f"{pretrained.PREFIX}{path.parent.name}"
    return f"runs/{path.name}"


def _describe(stage):
    """Returns the command that repeats a stage, but for the place of the data, and its length."""
    workdir = WorkDirectory(stage.path)
    settings = cfg.settings_in(workdir.stage_identities()[stage.name])
    flags = [f"--{name}={value}" for name, value in sorted(settings.items())]
    kind = cfg.PRETRAIN if stage.name == cfg.PRETRAIN else cfg.FINETUNE
    command = ["python -m ascl_tf.train", f"--stage={kind}", *flags, stage.start]
    history = read_history(workdir.checkpoints(stage.name), LAST)
    if not history:
        expected = f"the last checkpoint of {stage.name}"
        raise RunError(place=stage.path, expected=expected, found="none")
    config = cfg.Config(**settings)
    planned = config.epochs if kind == cfg.PRETRAIN else config.num_finetune_epochs
    return {
        "command": " ".join(filter(None, [*command, f"--workdir={_shown(stage.path)}"])),
        "epochs": len(history["epochs"]),
        "planned_epochs": planned,
        "hours": round(history["train_seconds"] / 3600, 2),
        "commits": sorted({span["versions"]["commit"] for span in history["spans"]}),
    }


def _measure(classifier, test, digest):
    """Returns the records of the bundled images, by protocol, for `tests/test_pretrained.py`."""
    found = evaluate_robustness(classifier, test, PROTOCOLS, model_sha256=digest)
    names = ("num_images", "seed", "data_sha256", "verdicts", "versions")
    accuracies = ("standard_accuracy", "robust_accuracy")
    return {r["protocol"]: {name: r[name] for name in (*names, *accuracies)} for r in found}


def _complete(name, files):
    """Adds to a card what records, and figures of calibration, say of its file."""
    folder = pathlib.Path(pretrained.file_of(name)).parent
    card = cards.read_card(folder)
    for path in files:
        document = _read(path)
        is_figure = document.get("figure") == "calibration"
        found = document["models"] if is_figure else read_records(path)
        digest = card["files"][pretrained.FILE]["sha256"]
        own = [measured for measured in found if measured.get("model_sha256") == digest]
        if not own:
            raise RunError(place=path, expected=f"what was measured of {name}", found="others")
        card |= _calibration(document, own[0]) if is_figure else _of_records(card, own)
    cards.write_card(folder, card)


def _read(path):
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(place=path, expected="records, or a figure's numbers", cause=error) from None
    if not isinstance(document, dict):
        found = type(document).__name__
        raise RunError(place=path, expected="records, or a figure's numbers", found=found)
    return document


def _calibration(document, model):
    errors = {
        condition: round(found["expected_calibration_error"], 2)
        for condition, found in model["conditions"].items()
    }
    return {"calibration": {"num_images": document["num_images"], "errors": errors}}


def _of_records(card, found):
    corrupted = [record for record in found if record["protocol"] == COMMON_CORRUPTIONS]
    others = [record for record in found if record["protocol"] != COMMON_CORRUPTIONS]
    known = {record["protocol"]: record for record in card["records"]}
    known |= {record["protocol"]: record for record in cards.of_records(others)}
    means = {"corruptions": summarize_corruptions(corrupted)} if corrupted else {}
    return {"records": list(known.values()), **means}


if __name__ == "__main__":
    sys.exit(main())
