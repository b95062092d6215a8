"""What `--recipe=pictures` reaches on thirteen small sets of drawn pictures, in minutes.

    python tools/benchmark.py pictures [--minutes=3] [--sets=plain_3_300,...] [--flags="..."]

Each set is drawn, trained on by the command that a user gives, in a process of its own, and tested
on the fifth of it that the run has set aside. Beside it: the nearest neighbor on pixels, which
whoever trains a network should be ahead of, and the share of the largest class. A row says where
training began and how the classes were weighted, which a later recipe may do otherwise. The record
keeps its rows of what is not measured again.
"""

import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import numpy as np

from ascl_tf.data import load_dataset
from tools.benchmarks import common
from tools.benchmarks._drawn_pictures import draw_set

# Settings of the run that a row holds, under their names.
TOLD = ("initial_encoder", "class_weights")
# What tells one row from another.
KEY = ("set", "minutes", *TOLD, "flags")
# Kind, classes, pictures, ratio of the largest class to the smallest.
SETS = [
    ("plain", 3, 300, 1),
    ("plain", 2, 60, 1),
    ("plain", 8, 800, 10),
    ("colors", 4, 120, 1),
    ("colors", 7, 700, 3),
    ("stripes", 3, 90, 3),
    ("stripes", 6, 300, 5),
    ("stripes", 4, 400, 1),
    ("free", 3, 300, 1),
    ("free", 2, 200, 10),
    ("free", 3, 150, 10),
    ("free", 5, 1000, 1),
    ("free", 10, 2000, 1),
]


def main(argv=None):
    arguments = _parse(argv)
    rows = []
    for number, one in enumerate(SETS):
        if name_of(one) in arguments.sets:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(_measure(arguments, one, number, pathlib.Path(folder)))
            print(*_cells(rows[-1]), flush=True)  # Said at once: they take minutes.
    return _report(arguments, rows)


def name_of(one):
    """Returns the name of a set, such as plain_3_300."""
    kind, num_classes, num_pictures, ratio = one
    return f"{kind}_{num_classes}_{num_pictures}" + (f"_{ratio}to1" if ratio > 1 else "")


def _parse(argv):
    parser = common.make_parser(__doc__, repeats=1)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--sets", default=",".join(map(name_of, SETS)), help="which to measure")
    parser.add_argument("--flags", default="", help="more flags of the training")
    arguments = parser.parse_args(argv)
    arguments.sets = arguments.sets.split(",")
    unknown = sorted(set(arguments.sets) - set(map(name_of, SETS)))
    if unknown:
        expected = f"some of {', '.join(map(name_of, SETS))}"
        parser.error(f"--sets: expected {expected}; found {', '.join(unknown)}")
    return arguments


def _measure(arguments, one, seed, folder):
    pictures, workdir = folder / "pictures", folder / "run"
    draw_set(pictures, *one, seed=seed)
    dataset = f"folder:{pictures}"
    flags = ["--recipe=pictures", f"--minutes={arguments.minutes}", f"--dataset={dataset}"]
    command = [sys.executable, "-m", "ascl_tf.train", *flags, f"--workdir={workdir}"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *shlex.split(arguments.flags)], cwd=common.ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{name_of(one)}: expected exit status 0; found {done.returncode}\n{done.stderr}")
    seconds = time.perf_counter() - began
    measured = {"minutes": arguments.minutes, "flags": _others(arguments), "seconds": seconds}
    settings = json.loads((workdir / "config.json").read_text(encoding="utf-8"))["settings"]
    measured |= {name: settings[name] for name in ("epochs", *TOLD)}
    compared = baselines(dataset, settings["image_size"])
    return {"set": name_of(one), **measured, **_accuracies(workdir), **compared}


def _others(arguments):
    """Returns the further flags that no other field of a row holds."""
    flags = shlex.split(arguments.flags)
    return shlex.join(f for f in flags if f.partition("=")[0].removeprefix("--") not in TOLD)


def _accuracies(workdir):
    """Returns SA and RA of a run, of the checkpoint that validation chose."""
    file = workdir / "results" / "evaluate_pretrain.json"
    records = json.loads(file.read_text(encoding="utf-8"))["records"]
    best = {record["protocol"]: record for record in records if record["checkpoint"] == "best"}
    return {name: best["pgd20"][name] for name in ("standard_accuracy", "robust_accuracy")}


def baselines(dataset, image_size):
    """Returns what the nearest neighbor and the largest class reach on the same test images."""
    train, test = (
        load_dataset(dataset, split, image_size=image_size) for split in ("train", "test")
    )
    known, asked = (
        np.asarray(part.images, np.float32).reshape(len(part.images), -1) for part in (train, test)
    )
    # |a - b|^2 without |a|^2, which is the same for all neighbors.
    distances = np.sum(known**2, axis=1) - 2 * asked @ known.T
    nearest = train.labels[np.argmin(distances, axis=1)]
    return {
        "nearest_neighbor": float(100 * np.mean(nearest == test.labels)),
        "largest_class": float(100 * np.bincount(test.labels).max() / len(test.labels)),
    }


def _cells(row):
    names = ("standard_accuracy", "robust_accuracy", "nearest_neighbor", "largest_class")
    numbers = [f"{row[name]:.2f}" for name in names]
    return [row["set"], str(row["epochs"]), f"{row['seconds']:.0f} s", *numbers]


def _report(arguments, rows):
    headings = ("set", "epochs", "time", "SA", "RA", "nearest neighbor", "largest class")
    title = f"pictures: --recipe=pictures --minutes={arguments.minutes:g} {arguments.flags}"
    common.show(title.strip(), headings, [_cells(row) for row in rows])
    known = {_key(row): row for row in [*_rows_of(arguments.output), *rows]}
    ordered = [known[key] for key in sorted(known)]
    return common.write_record(arguments.output, "pictures", rows=ordered)


def _key(row):
    place = list(map(name_of, SETS)).index(row["set"])
    return place, *(row[name] for name in KEY)


def _rows_of(output):
    file = pathlib.Path(output) / "benchmark_pictures.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
