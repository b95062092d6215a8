"""Trains one epoch of every method at width 16, and records its losses.

    python tools/one_epoch.py --dataset=cifar10 --data_dir=<TFDS folder>
    python tools/one_epoch.py --rows=acl,rocl

Each row is one process, `python -m ascl_tf.train` with the row's own pretrain.flags and
flags/base/one_epoch.flags: 10,000 images, batch 128, constant learning rate. A row whose record
exists is skipped. The records are results/one_epoch/<row>.json. Times are not among them:
`tools/benchmark.py methods` measures all methods side by side.
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from ascl_tf.config.paths import expand, expanded_path
from ascl_tf.process.terminal import escape_unprintable
from tools.measured_process import run_measured  # noqa: E402
from tools.rows import (  # noqa: E402
    ONE_EPOCH,
    ROOT,
    named_rows,
    pretrain_file,
    rows_before,
)

OVERRIDES = ("--num_train_images=10000", "--validation_fraction=0")
# With rates made for a hundred epochs and more the loss rises at first (MART's over all 78 steps,
# Selfie + DPE's over the 33 that were tried), as the batch norms' averages, with which attacks
# run, catch up with the network. Selfie + DPE
# differentiates twice in every attack step: five of them in place of ten are long enough.
OWN_OVERRIDES = {
    "beyond/mart": ("--learning_rate=0.1",),
    "table1/selfie_dpe": ("--learning_rate=0.1", "--num_steps_pretext=5"),
}


def main(argv=None):
    escape_unprintable()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="rows, separated by commas; empty: all methods")
    parser.add_argument("--dataset", default="cifar10", help="data set, as for ascl_tf.train")
    parser.add_argument(
        "--data_dir", type=expand, default="", help="folder of data sets in TFDS layout"
    )
    parser.add_argument("--runs", type=expanded_path, default=pathlib.Path("runs/one_epoch"))
    parser.add_argument("--output", type=expanded_path, default=ROOT / "results" / "one_epoch")
    parser.add_argument("--again", action="store_true", help="repeat recorded rows")
    parser.add_argument("--smoke", action="store_true", help="two steps each, to test the tool")
    arguments = parser.parse_args(argv)
    arguments.runs = arguments.runs.absolute()
    failed = [row for row in _rows(arguments, parser) if not measure_row(row, arguments)]
    if failed:
        sys.exit(f"one_epoch: no record of {', '.join(failed)}; see what was printed above")


def _rows(arguments, parser):
    try:
        return named_rows([name for name in arguments.rows.split(",") if name])
    except ValueError as error:
        parser.error(str(error))


def measure_row(row, arguments):
    """Trains a row and writes its record; returns whether there is one."""
    path = arguments.output / f"{row.partition('/')[2]}.json"
    if path.exists() and not arguments.again:
        print(f"{row}: recorded in {path}", flush=True)
        return True
    for other in rows_before(row).values():
        if not (arguments.runs / other / "results" / "pretrain.json").exists():
            print(f"{row}: first {other}, which it starts from", flush=True)
            if train_row(other, arguments) is None:
                return False
    measured = train_row(row, arguments)
    if measured is None:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _print(measured)
    return True


def train_row(row, arguments):
    """Trains a row in a process of its own; returns what was measured, None where it failed."""
    workdir = arguments.runs / row
    # What is measured is a whole epoch in one process, never the rest of one.
    shutil.rmtree(workdir, ignore_errors=True)
    flags = epoch_flags(row, arguments)
    places = [f"--workdir={workdir}"]
    places += [f"--{name}={arguments.runs / at}" for name, at in rows_before(row).items()]
    places += [f"--data_dir={arguments.data_dir}"] if arguments.data_dir else []
    command = [sys.executable, "-m", "ascl_tf.train", *flags, *places]
    usage = run_measured(command, cwd=ROOT)
    if usage["exit_status"] != 0:
        print(f"{row}: expected exit status 0; found {usage['exit_status']}", flush=True)
        return None
    record = json.loads((workdir / "results" / "pretrain.json").read_text(encoding="utf-8"))
    return {
        "row": row,
        "method": record["settings"]["method"],
        # Without folders, which are a machine's own.
        "command": shlex.join(["python", "-m", "ascl_tf.train", *flags]),
        "peak_memory_bytes": usage["peak_memory_bytes"],
        "num_images": record["num_images"],
        "global_batch_size": record["settings"]["global_batch_size"],
        "width": record["settings"]["width"],
        "data_set": record["data_set"],
        "data_sha256": record["data_sha256"],
        "num_cpus": os.cpu_count(),
        "versions": record["versions"],
        **describe_steps(read_losses(workdir / "tensorboard" / "pretrain" / "train")),
    }


def epoch_flags(row, arguments):
    """Returns the flags of a row's epoch but for the folders."""
    flags = [f"--flagfile={pretrain_file(row)}", f"--flagfile={ONE_EPOCH}", "--stage=pretrain"]
    if arguments.smoke:
        # --smoke leaves what the command line sets as it is.
        return [*flags, "--smoke"]
    return [*flags, *OVERRIDES, *OWN_OVERRIDES.get(row, ()), f"--dataset={arguments.dataset}"]


def read_losses(folder):
    """Returns the losses of all steps."""
    # Imported here: it loads TensorFlow, which --help should not wait for.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    events = accumulator.Tensors("loss/total")
    return np.array([float(make_ndarray(event.tensor_proto)) for event in events])


def describe_steps(losses):
    """Returns what is recorded of the steps."""
    tenth = max(1, len(losses) // 10)
    return {
        "num_steps": len(losses),
        "first_tenth_loss": float(np.mean(losses[:tenth])),
        "last_tenth_loss": float(np.mean(losses[-tenth:])),
        "is_finite": bool(np.isfinite(losses).all()),
    }


def _print(measured):
    table = Table(title=f"{measured['row']}: {measured['num_steps']} steps")
    for heading in ("peak memory", "loss, first tenth", "loss, last tenth"):
        table.add_column(heading)
    table.add_row(
        f"{measured['peak_memory_bytes'] / 2**20:.0f} MiB",
        f"{measured['first_tenth_loss']:.4f}",
        f"{measured['last_tenth_loss']:.4f}",
    )
    Console().print(table)


if __name__ == "__main__":
    main()
