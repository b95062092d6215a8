"""Puts the classifier of a run among the models that come with the package, with its card.

    python tools/ship_model.py --name=cifar10-w16-at --workdir=runs/at
    python -m ascl_tf.evaluate --model=pretrained:cifar10-w16-at --dataset=cifar10 --output=at.json
    python tools/ship_model.py --name=cifar10-w16-at --records=at.json

The first command writes ascl_tf/pretrained/<name>/ and measures it on 200 bundled test images,
whose verdicts a test of this project looks for. The last adds records of these weights to the card.
"""

import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ascl_tf import config as cfg  # noqa: E402
from ascl_tf.config import pretrained  # noqa: E402
from ascl_tf.config.paths import expanded_path  # noqa: E402
from ascl_tf.data import load_dataset  # noqa: E402
from ascl_tf.errors import RunError  # noqa: E402
from ascl_tf.evaluation import evaluate_robustness, records  # noqa: E402
from ascl_tf.serving import card as cards  # noqa: E402
from ascl_tf.serving import checking  # noqa: E402
from ascl_tf.serving.loading import load_model  # noqa: E402
from ascl_tf.serving.served import as_served  # noqa: E402
from ascl_tf.training import run  # noqa: E402
from ascl_tf.training.cards import describe_run, readable_records  # noqa: E402
from ascl_tf.training.checkpoints import LAST, read_history  # noqa: E402
from ascl_tf.training.workdir import WorkDirectory, recorded_config  # noqa: E402

BUNDLED, NUM_BUNDLED, PROTOCOLS = "bundled", 200, ("standard", "pgd20")


def main(argv=None):
    """Writes the folder of a model, or completes its card; returns the exit status."""
    flags = _parse(argv)
    try:
        if flags.workdir:
            _ship(flags.name, flags.workdir)
        for file in flags.records:
            _add_records(flags.name, file)
    except (RunError, ValueError, OSError) as error:
        print(f"ship_model: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv):
    parser = argparse.ArgumentParser(prog="ship_model", description=__doc__.partition("\n")[0])
    parser.add_argument("--name", required=True, help="such as cifar10-w16-at")
    parser.add_argument("--workdir", type=expanded_path, help="of the run that has trained it")
    parser.add_argument(
        "--records", type=expanded_path, nargs="*", default=[], help="of evaluations of its file"
    )
    flags = parser.parse_args(argv)
    if not flags.workdir and not flags.records:
        parser.error("expected --workdir or --records; found neither")
    return flags


def _ship(name, path):
    config, workdir = recorded_config(path), WorkDirectory(path)
    if config is None:
        raise RunError(place=path, expected="the work directory of a run", found="no config.json")
    test = load_dataset(BUNDLED, f"test[:{NUM_BUNDLED}]")
    stage, checkpoint = run.classifier_stage(config), run.chosen_checkpoint(config, workdir)
    classifier = run.load_classifier(config, workdir, test, checkpoint)
    folder = pretrained.FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / pretrained.FILE
    classifier.save(file)
    loaded = load_model(file).logits_fn
    reference = checking.make_reference(as_served(classifier), test)
    found = checking.compare(reference, lambda images: loaded(images, training=False), file.name)
    digest = records.model_sha256(file)
    details = {
        **describe_run(config, workdir, stage, checkpoint, classifier),
        "name": name,
        "commands": [_command(workdir, each) for each in _stages(config, stage)],
        "training": {each: _training(workdir, each) for each in _stages(config, stage)},
        "bundled": _measure(loaded, test, digest),
    }
    card = cards.make_card(
        class_names=test.class_names,
        image_shape=test.image_shape,
        how="crop",
        details=details,
        files={file.name: {**found, "bytes": file.stat().st_size, "sha256": digest}},
    )
    cards.write_card(folder, card)
    for line in cards.describe_files(card):
        print(line)


def _stages(config, stage):
    return [cfg.PRETRAIN] if stage == cfg.PRETRAIN else [cfg.PRETRAIN, stage]


def _command(workdir, stage):
    """Returns the command that repeats a stage, but for the places of data and results."""
    settings = cfg.settings_in(workdir.stage_identities()[stage])
    kind = cfg.PRETRAIN if stage == cfg.PRETRAIN else cfg.FINETUNE
    flags = " ".join(f"--{name}={value}" for name, value in sorted(settings.items()))
    return f"python -m ascl_tf.train --stage={kind} {flags}"


def _training(workdir, stage):
    history = read_history(workdir.checkpoints(stage), LAST)
    return {
        "epochs": len(history["epochs"]),
        "hours": round(history["train_seconds"] / 3600, 2),
        "best_epoch": history["best_epoch"],
        "commits": sorted({span.get("versions", {}).get("commit") for span in history["spans"]}),
    }


def _measure(classifier, test, digest):
    """Returns the records of the bundled images, by protocol, for `tests/test_pretrained.py`."""
    found = evaluate_robustness(classifier, test, PROTOCOLS, model_sha256=digest)
    names = ("num_images", "seed", "data_sha256", "verdicts", "versions")
    accuracies = ("standard_accuracy", "robust_accuracy")
    return {r["protocol"]: {name: r[name] for name in (*names, *accuracies)} for r in found}


def _add_records(name, path):
    folder = pathlib.Path(pretrained.file_of(name)).parent
    card = cards.read_card(folder)
    digests = {card["files"][pretrained.FILE]["sha256"], card["weights_sha256"]}
    new = [r for r in readable_records(path) if r["model_sha256"] in digests]
    if not new:
        raise RunError(place=path, expected=f"records of {name}", found="none of its weights")
    known = {r["protocol"]: r for r in card["records"]}
    known |= {r["protocol"]: r for r in cards.of_records(new)}
    cards.write_card(folder, {**card, "records": list(known.values())})
    print(f"{name}: {len(new)} records of {path}")


if __name__ == "__main__":
    sys.exit(main())
