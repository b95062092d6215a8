"""Accuracy over training time: AT, ASCL, and its cheaper ways, at the scale of a CPU.

    python tools/benchmark.py frontier --data_dir=<TFDS folder> [--rows=at,ascl,fast]
        [--at_epochs=18] [--epochs=ascl:6,fast:30] [--clock=cpu] [--precision=bfloat16]

Each row is one run of `python -m ascl_tf.train --stage=pretrain` in --runs, which goes on where
it was stopped, and is validated after each epoch with the classifier that is trained along.
A row gets as many epochs as cost what --at_epochs of AT cost, counted in forward passes, or as
many as --epochs says. The time is that of training alone (ascl_tf/training/callbacks.py).
"""

import json
import signal
import subprocess
import sys
from typing import NamedTuple

from ascl_tf.config.paths import expand, expanded_path
from tools.rows import ROOT, pretrain_file, row_config

CPU_SCALE = "flags/base/cpu.flags"
REFERENCE = "at"
SHARED, ONE_STEP = "--shared_perturbation=ascl", "--at_attack=fgsm_rs"
COSINE = ("--schedule=cosine", "--warmup_epochs=2")
ROWS = {
    "at": ("table1/at", ()),
    "at+cosine": ("table1/at", COSINE),
    "ascl": ("table1/ascl", ()),
    "ascl+shared": ("table1/ascl", (SHARED,)),
    "ascl+fgsm_rs": ("table1/ascl", (ONE_STEP,)),
    "ascl+both": ("table1/ascl", (SHARED, ONE_STEP)),
    "fast": ("fast/ascl", ()),
    "fast-cl": ("fast/ascl", ("--lambda_1=0",)),
    "fast_at": ("table1/at", (*COSINE, ONE_STEP)),
}
DEFAULT_ROWS = "at,ascl,ascl+shared,ascl+fgsm_rs,ascl+both,fast"


class Run(NamedTuple):
    """One row's training: its flags without folders, and its length."""

    name: str
    flags: tuple[str, ...]
    epochs: int
    units: float  # forward passes per image and step
    precision: str

    def workdir(self, runs):
        """Returns its folder below `runs`; another length or precision is another run."""
        return runs / f"{self.name.replace('+', '_')}_{self.epochs}_{self.precision}"


def main(argv=None):
    arguments = parse(argv)
    runs = plan(arguments)
    models = []
    for run in runs:
        models.append(describe(run, train(run, arguments), arguments))
        report(arguments, models)


def parse(argv):
    """Returns the arguments, their lists parsed."""
    from ascl_tf.config.sections import PRECISIONS
    from tools.benchmarks import common

    parser = common.make_parser(__doc__, repeats=1)
    parser.add_argument("--rows", default=DEFAULT_ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument("--at_epochs", type=int, default=18, help="epochs of AT; sets all others")
    parser.add_argument("--epochs", default="", help="epochs of single rows, as ascl:6,fast:30")
    parser.add_argument("--dataset", default="cifar10", help="data set, as for ascl_tf.train")
    parser.add_argument(
        "--data_dir", type=expand, default="", help="folder of data sets in TFDS layout"
    )
    parser.add_argument("--runs", type=expanded_path, default=ROOT / "runs" / "frontier")
    parser.add_argument("--num_train_images", type=int, default=11120, help="a tenth is held out")
    parser.add_argument("--width", type=int, default=16, help="width of the ResNet-18")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of all rows")
    parser.add_argument("--validate_every", type=int, default=1, help="epochs")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu", help="wall: on a GPU")
    parser.add_argument("--smoke", action="store_true", help="two steps each, to test the tool")
    arguments = parser.parse_args(argv)
    arguments.runs = arguments.runs.absolute()
    try:
        arguments.rows = _names(arguments.rows)
        arguments.epochs = _lengths(arguments.epochs)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _names(text):
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in ROWS]
    if unknown or not names:
        raise ValueError(f"--rows: expected some of {', '.join(ROWS)}; found {text!r}")
    return names


def _lengths(text):
    lengths = dict(part.partition(":")[::2] for part in text.split(",") if part)
    wrong = [n for n, length in lengths.items() if n not in ROWS or not length.isdecimal()]
    if wrong or any(int(length) < 1 for length in lengths.values()):
        raise ValueError(f"--epochs: expected rows and numbers above 0, as at:18; found {text!r}")
    return {name: int(length) for name, length in lengths.items()}


def plan(arguments):
    """Returns the `Run` of each row."""
    budget = arguments.at_epochs * count_units(REFERENCE)
    runs = []
    for name in arguments.rows:
        units = count_units(name)
        epochs = arguments.epochs.get(name, max(1, round(budget / units)))
        row, flags = ROWS[name]
        flags = (
            f"--flagfile={pretrain_file(row)}",
            f"--flagfile={CPU_SCALE}",
            *flags,
            *(["--smoke"] if arguments.smoke else _scale(arguments, epochs)),
            f"--precision={arguments.precision}",
            "--stage=pretrain",
        )
        runs.append(Run(name, flags, epochs, units, arguments.precision))
    return runs


def _scale(arguments, epochs):
    return (
        f"--dataset={arguments.dataset}",
        f"--num_train_images={arguments.num_train_images}",
        f"--width={arguments.width}",
        f"--epochs={epochs}",
        f"--validate_every={arguments.validate_every}",
    )


def count_units(name):
    """Returns the forward passes per image and step of a row."""
    from ascl_tf.methods.cost import count_step

    row, flags = ROWS[name]
    return count_step(row_config(row, *flags))


def train(run, arguments):
    """Trains a row to its end, or finds it trained; returns its record."""
    workdir = run.workdir(arguments.runs)
    print(f"{run.name}: {run.epochs} epochs in {workdir}", flush=True)
    places = [f"--workdir={workdir}"]
    places += [f"--data_dir={arguments.data_dir}"] if arguments.data_dir else []
    command = [sys.executable, "-m", "ascl_tf.train", *run.flags, *places]
    status = run_program(command)
    if status != 0:
        sys.exit(f"{run.name}: expected exit status 0; found {status}. The same command goes on")
    return json.loads((workdir / "results" / "pretrain.json").read_text(encoding="utf-8"))


def run_program(command):
    """Runs a command from the root of the checkout; returns its exit status."""
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def describe(run, record, arguments):
    """Returns what is recorded of a row: accuracies after each epoch, and the time until then."""
    model = {
        "label": run.name,
        "flags": list(run.flags),
        "units": run.units,
        "epochs": [],
        "seconds": [],
        "robust_accuracies": [],
        "standard_accuracies": [],
        "warnings": record["warnings"],
        "num_images": record["num_images"],
        "steps_per_epoch": record["steps_per_epoch"],
        "data_set": record["data_set"],
        "data_sha256": record["data_sha256"],
    }
    seconds = 0.0
    for row, spent in zip(record["epochs"], record["epoch_seconds"], strict=True):
        seconds += spent[arguments.clock]
        if "val/robust_accuracy" in row:
            model["epochs"].append(row["epoch"])
            model["seconds"].append(seconds)
            model["robust_accuracies"].append(row["val/robust_accuracy"])
            model["standard_accuracies"].append(row["val/standard_accuracy"])
    return model


def best_until(model, seconds):
    """Returns (robust, standard accuracy) of the best epoch by robust accuracy until a time.

    None before the end of the first epoch.
    """
    rows = zip(
        model["seconds"], model["robust_accuracies"], model["standard_accuracies"], strict=True
    )
    found = [(robust, standard) for at, robust, standard in rows if at <= seconds]
    return max(found, key=lambda pair: pair[0], default=None)


def compare(model, reference):
    """Returns robust and standard accuracy over the reference's at equal time.

    The time is the shorter of the two runs; of each its best epoch until then.
    """
    seconds = min(model["seconds"][-1], reference["seconds"][-1])
    own, other = best_until(model, seconds), best_until(reference, seconds)
    if own is None or other is None or 0 in other:
        return None
    return {"seconds": seconds, "robust": own[0] / other[0], "standard": own[1] / other[1]}


def report(arguments, models):
    """Prints the table; writes record and figure."""
    from tools.benchmarks import common
    from tools.benchmarks._frontier_figure import draw_frontier

    reference = next((model for model in models if model["label"] == REFERENCE), None)
    ratios = {m["label"]: compare(m, reference) if reference else None for m in models}
    headings = ("row", "RA over AT's", "SA over AT's", "epoch over AT's", "RA", "SA", "minutes")
    cells = [_cells(model, ratios[model["label"]], reference) for model in models]
    title = f"frontier: width {arguments.width}, {arguments.precision}"
    title += f", {arguments.clock} time of training alone"
    common.show(f"{title}; ratios at equal time", headings, cells)
    content = {"figure": "frontier"}
    content |= {name: getattr(arguments, name) for name in ("clock", "width", "precision")}
    path = common.write_record(
        arguments.output, "frontier", models=models, ratios=ratios, **content
    )
    draw_frontier({**content, "models": models}, path.with_suffix(""))


def _cells(model, ratio, reference):
    best = best_until(model, model["seconds"][-1])
    numbers = [f"{ratio['robust']:.3f}", f"{ratio['standard']:.3f}"] if ratio else ["--", "--"]
    per_epoch = "--"
    if reference:
        per_epoch = f"{_epoch_seconds(model) / _epoch_seconds(reference):.2f}"
    accuracies = [f"{accuracy:.2f}" for accuracy in best]
    return [model["label"], *numbers, per_epoch, *accuracies, f"{model['seconds'][-1] / 60:.1f}"]


def _epoch_seconds(model):
    return model["seconds"][-1] / model["epochs"][-1]


if __name__ == "__main__":
    main()
