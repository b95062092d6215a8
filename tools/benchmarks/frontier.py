"""Accuracy over training time: AT, ASCL, and its cheaper ways, at the scale of a CPU.

    python tools/benchmark.py frontier --data_dir=<TFDS folder> [--rows=at,ascl,fast]
        [--num_images=5000] [--at_epochs=18] [--epochs=ascl:6,fast:30] [--precision=bfloat16]

The steps of all rows are timed first, interleaved, on a machine that should do nothing else. A
row gets as many epochs as fit into the time of --at_epochs of AT, or as many as --epochs says.
Each is one run of `python -m ascl_tf.train --stage=pretrain` in --runs, which goes on where it
was stopped, and is validated with the classifier that is trained along. Its time is its steps
times the seconds of one, so what else the machine does while it trains is no matter.
"""

import json
import math
import signal
import statistics
import subprocess
import sys
from typing import NamedTuple

from ascl_tf.config.paths import expand, expanded_path
from tools.rows import ROOT, pretrain_file, row_config

CPU_SCALE = "flags/base/cpu.flags"
REFERENCE = "at"
AVERAGE = "--weight_averaging=0.999"
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
    "fast+average": ("fast/ascl", (AVERAGE,)),
    "fast_at": ("table1/at", (*COSINE, ONE_STEP)),
    "fast_at+average": ("table1/at", (*COSINE, ONE_STEP, AVERAGE)),
}
OF_AT = [name for name, (row, _) in ROWS.items() if row == "table1/at"]
DEFAULT_ROWS = "at,fast_at,ascl,ascl+both,fast"


class Run(NamedTuple):
    """One row's training: its flags without folders, its length, and the seconds of a step."""

    name: str
    flags: tuple[str, ...]
    epochs: int
    step_seconds: float
    folder: str


def main(argv=None):
    arguments = parse(argv)
    runs = plan(arguments, step_seconds(arguments))
    models = []
    for run in runs:
        models.append(describe(run, train(run, arguments), arguments))
        report(arguments, models)


def parse(argv):
    """Returns the arguments, their lists parsed."""
    from ascl_tf.config.sections import PRECISIONS
    from tools.benchmarks import common

    parser = common.make_parser(__doc__, repeats=5)
    parser.add_argument("--rows", default=DEFAULT_ROWS, help=f"of {', '.join(ROWS)}")
    parser.add_argument("--at_epochs", type=int, default=18, help="epochs of AT; sets all others")
    parser.add_argument("--epochs", default="", help="epochs of single rows, as ascl:6,fast:30")
    parser.add_argument("--dataset", default="cifar10", help="data set, as for ascl_tf.train")
    parser.add_argument(
        "--data_dir", type=expand, default="", help="folder of data sets in TFDS layout"
    )
    parser.add_argument("--runs", type=expanded_path, default=ROOT / "runs" / "frontier")
    parser.add_argument("--num_images", type=int, default=10000, help="to train on")
    parser.add_argument("--num_validation_images", type=int, default=2000, help="held out")
    parser.add_argument("--width", type=int, default=16, help="width of the ResNet-18")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of all rows")
    parser.add_argument("--num_validations", type=int, default=12, help="of each row at least")
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


def step_seconds(arguments):
    """Returns the seconds of a training step of each row, which --runs keeps.

    Rows that come later are timed beside AT, and scaled to the time that AT had at first: so the
    lengths of runs that have begun stay as they are.
    """
    from tools.benchmarks import common
    from tools.benchmarks.methods import compiled_step

    path = arguments.runs / f"step_seconds_{_scale_name(arguments)}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    new = [name for name in (REFERENCE, *arguments.rows) if name not in kept]
    if new:
        names = list(dict.fromkeys([REFERENCE, *new]))
        print(f"timing a step of {', '.join(names)}", flush=True)
        # A small rate, for losses to stay finite over many steps on one batch.
        configs = {name: _config(name, arguments, "--learning_rate=1e-4") for name in names}
        steps = {name: compiled_step(config) for name, config in configs.items()}
        rounds = common.interleaved(steps, arguments.repeats)
        medians = {name: statistics.median(seconds) for name, seconds in rounds.items()}
        scale = kept.get(REFERENCE, medians[REFERENCE]) / medians[REFERENCE]
        kept |= {name: scale * medians[name] for name in new}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return {name: kept[name] for name in (REFERENCE, *arguments.rows)}


def _scale_name(arguments):
    return f"{arguments.width}_{arguments.precision}" + "_smoke" * arguments.smoke


def _config(name, arguments, *more):
    row, flags = ROWS[name]
    flags = (f"--flagfile={CPU_SCALE}", *flags, *_scale(arguments, 1), *more)
    return row_config(row, *flags)


def plan(arguments, seconds):
    """Returns the `Run` of each row.

    Args:
        seconds: of a step, by row.
    """
    budget = arguments.at_epochs * seconds[REFERENCE]
    runs = []
    for name in arguments.rows:
        epochs = arguments.epochs.get(name, max(1, round(budget / seconds[name])))
        row, flags = ROWS[name]
        flags = (
            f"--flagfile={pretrain_file(row)}",
            f"--flagfile={CPU_SCALE}",
            *flags,
            *_scale(arguments, epochs),
            "--stage=pretrain",
        )
        folder = (
            f"{name.replace('+', '_')}_{arguments.num_images}_{epochs}_{_scale_name(arguments)}"
        )
        runs.append(Run(name, flags, epochs, seconds[name], folder))
    return runs


def _scale(arguments, epochs):
    if arguments.smoke:
        return ("--smoke", f"--precision={arguments.precision}")
    held_out = arguments.num_validation_images
    total = arguments.num_images + held_out
    return (
        f"--dataset={arguments.dataset}",
        f"--num_train_images={total}",
        f"--validation_fraction={held_out / total}",
        f"--width={arguments.width}",
        f"--epochs={epochs}",
        f"--validate_every={max(1, epochs // arguments.num_validations)}",
        f"--precision={arguments.precision}",
    )


def train(run, arguments):
    """Trains a row to its end, or finds it trained; returns its record."""
    workdir = arguments.runs / run.folder
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
    """Returns what is recorded of a row: accuracies where it was validated, and the time then."""
    validated = [row for row in record["epochs"] if "val/robust_accuracy" in row]
    seconds_per_epoch = run.step_seconds * record["steps_per_epoch"]
    return {
        "label": run.name,
        "flags": list(run.flags),
        "step_seconds": run.step_seconds,
        "epochs": [row["epoch"] for row in validated],
        "seconds": [row["epoch"] * seconds_per_epoch for row in validated],
        "robust_accuracies": [row["val/robust_accuracy"] for row in validated],
        "standard_accuracies": [row["val/standard_accuracy"] for row in validated],
        "warnings": record["warnings"],
        "num_images": record["num_images"],
        "num_validation_images": arguments.num_validation_images,
        "steps_per_epoch": record["steps_per_epoch"],
        "data_set": record["data_set"],
        "data_sha256": record["data_sha256"],
    }


def best_until(model, seconds):
    """Returns (robust, standard accuracy) of the best epoch by robust accuracy until a time.

    None before the first validation.
    """
    rows = zip(
        model["seconds"], model["robust_accuracies"], model["standard_accuracies"], strict=True
    )
    found = [(robust, standard) for at, robust, standard in rows if at <= seconds]
    return max(found, key=lambda pair: pair[0], default=None)


def compare(model, models):
    """Returns what a row has above the best recipe of AT at the time of its own end, in points.

    Of each row its best epoch until then; None without a recipe of AT that was validated by then.
    """
    seconds = model["seconds"][-1]
    recipes = [(best_until(m, seconds), m["label"]) for m in models if m["label"] in OF_AT]
    recipes = [recipe for recipe in recipes if recipe[0]]
    if not recipes:
        return None
    best, label = max(recipes)
    own = best_until(model, seconds)
    return {"against": label, "robust": own[0] - best[0], "standard": own[1] - best[1]}


def standard_error(percent, number):
    """Returns that of an accuracy in percent on `number` images."""
    return math.sqrt(percent * (100 - percent) / number)


def report(arguments, models):
    """Prints the table; writes record and figure."""
    from tools.benchmarks import common
    from tools.benchmarks._frontier_figure import draw_frontier

    differences = {model["label"]: compare(model, models) for model in models}
    title = f"frontier: width {arguments.width}, {arguments.precision}, time of the steps alone"
    headings = ("row", "RA", "SA", "RA above AT's best", "SA above", "epochs", "minutes")
    cells = [_cells(model, differences[model["label"]]) for model in models]
    common.show(title, headings, cells)
    content = {"figure": "frontier", "width": arguments.width, "precision": arguments.precision}
    name = f"frontier_{arguments.num_images}_{arguments.at_epochs}"
    path = common.write_record(
        arguments.output, name, models=models, differences=differences, **content
    )
    draw_frontier({**content, "models": models}, path.with_suffix(""))


def _cells(model, difference):
    robust, standard = best_until(model, model["seconds"][-1])
    error = standard_error(robust, model["num_validation_images"])
    above = [f"{difference[k]:+.1f}" for k in ("robust", "standard")] if difference else ["--"] * 2
    minutes = f"{model['seconds'][-1] / 60:.1f}"
    accuracies = [f"{robust:.1f} +- {error:.1f}", f"{standard:.1f}"]
    return [model["label"], *accuracies, *above, str(model["epochs"][-1]), minutes]


if __name__ == "__main__":
    main()
