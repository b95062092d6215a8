"""All methods side by side: time of one compiled training step, and peak memory.

    python tools/benchmark.py methods [--rows=at,acl] [--output=results]

Each method has the settings of its row in flags/, at width 16 and batch 128. The steps run
in one process, interleaved, and their medians are given as ratios to a step of AT. Peak memory
is that of a process of its own, which traces the step and makes two.
"""

import argparse
import json
import os
import statistics
import sys

from rich.console import Console
from rich.table import Table

from ascl_tf.config.paths import expanded_path
from tools.measured_process import run_measured
from tools.rows import ONE_EPOCH, ROOT, named_rows, row_config

REFERENCE = "table1/at"
NUM_CLASSES, IMAGE_SHAPE = 10, (32, 32, 3)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="rows, separated by commas; empty: all methods")
    parser.add_argument("--width", type=int, default=16, help="width of the ResNet-18")
    parser.add_argument("--batch_size", type=int, default=128, help="images per step")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds of all methods")
    parser.add_argument("--output", type=expanded_path, default=ROOT / "results")
    parser.add_argument("--make_steps", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.make_steps:
        step = make_step(arguments.make_steps, arguments)
        for _ in range(2):
            step()
        return
    try:
        rows = named_rows([name for name in arguments.rows.split(",") if name])
    except ValueError as error:
        parser.error(str(error))
    report(arguments, measure_seconds(rows, arguments), measure_memory(rows, arguments))


def measure_seconds(rows, arguments):
    """Returns the seconds of every timed round, by row; AT is always among them."""
    from tools.benchmarks import common

    rows = list(dict.fromkeys([REFERENCE, *rows]))
    # All are made before one is called: setting a seed drops the functions that TensorFlow has
    # prepared.
    steps = {row: make_step(row, arguments) for row in rows}
    print(f"tracing, then timing: {', '.join(steps)}", flush=True)
    return common.interleaved(steps, arguments.repeats)


def measure_memory(rows, arguments):
    """Returns the peak memory in bytes of a process for each row."""
    memory = {}
    for row in rows:
        print(f"memory of {row}", flush=True)
        command = [sys.executable, "-m", "tools.benchmarks.methods", f"--make_steps={row}"]
        command += [f"--width={arguments.width}", f"--batch_size={arguments.batch_size}"]
        usage = run_measured(command, cwd=ROOT)
        if usage["exit_status"] != 0:
            sys.exit(f"{row}: expected exit status 0; found {usage['exit_status']}")
        memory[row] = usage["peak_memory_bytes"]
    return memory


def make_step(row, arguments):
    """Returns a function that makes one compiled training step of a row's method."""
    return compiled_step(
        row_config(
            row,
            f"--flagfile={ONE_EPOCH}",
            f"--width={arguments.width}",
            f"--global_batch_size={arguments.batch_size}",
            # Small enough for a hundred steps on one batch to stay finite.
            "--learning_rate=1e-4",
        )
    )


def compiled_step(config):
    """Returns a function that makes one compiled step of a pre-training on one batch."""
    import keras
    import tensorflow as tf

    from ascl_tf.methods.factory import make_pretrain_method
    from ascl_tf.training.fitting import compile_method
    from ascl_tf.training.strategy import layers_in

    keras.utils.set_random_seed(0)
    with layers_in(config.precision):
        method = make_pretrain_method(config, num_classes=NUM_CLASSES, image_shape=IMAGE_SHAPE)
    compile_method(method, config.run, config.learning_rate)
    _fill_heads(method)
    data = _batch(method, config.global_batch_size)
    step = tf.function(method.train_step, autograph=False)
    return lambda: tf.nest.map_structure(lambda tensor: tensor.numpy(), step(data))


def _fill_heads(method):
    """Draws kernels that start at zero: some operations are faster on zeros."""
    import numpy as np

    rng = np.random.default_rng(0)
    for part in method.parts.values():
        for variable in part.trainable_variables:
            if variable.name == "kernel" and not np.any(variable.numpy()):
                variable.assign(rng.normal(size=variable.shape) * 0.1)


def _batch(method, batch_size):
    """Returns a batch of bundled images, with drawn pseudo-labels where the method needs them."""
    import numpy as np
    import tensorflow as tf

    from ascl_tf.data import load_dataset

    dataset = load_dataset("bundled", "train").take(slice(batch_size))
    data = {"images": tf.constant(dataset.images), "labels": tf.constant(dataset.labels)}
    counts = method.pseudo_label_counts
    if counts:
        drawn = np.random.default_rng(0).integers(0, counts, (batch_size, len(counts)))
        data["pseudo_labels"] = tf.constant(drawn.astype(np.int32))
    return data


def report(arguments, seconds, memory):
    """Prints a table and writes the record."""
    from ascl_tf.evaluation.records import environment_versions

    medians = {row: statistics.median(rounds) for row, rounds in seconds.items()}
    ratios = {row: median / medians[REFERENCE] for row, median in medians.items()}
    table = Table(
        title=f"one step: width {arguments.width}, batch {arguments.batch_size}, "
        f"medians of {arguments.repeats}"
    )
    for heading in ("row", "seconds", "ratio to AT", "peak memory"):
        table.add_column(heading)
    for row, peak in memory.items():
        cells = (f"{medians[row]:.3f}", f"{ratios[row]:.2f}", f"{peak / 2**20:.0f} MiB")
        table.add_row(row, *cells)
    Console().print(table)
    document = {
        "benchmark": "methods",
        "width": arguments.width,
        "batch_size": arguments.batch_size,
        "reference": REFERENCE,
        "seconds": seconds,
        "ratios": ratios,
        "peak_memory_bytes": memory,
        "num_cpus": os.cpu_count(),
        "versions": environment_versions(),
    }
    path = arguments.output / "benchmark_methods.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"record: {path}")


if __name__ == "__main__":
    main()
