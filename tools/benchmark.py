"""Benchmarks: what is compared runs in one process, interleaved; medians, ratios first.

    python tools/benchmark.py pgd      linf_pgd against bare forward + input-gradient calls
    python tools/benchmark.py views    input pipeline and augmentation against an ASCL step

Each prints a table and writes a record into --output (default: results/).
"""

import argparse
import json
import os
import pathlib
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ascl_tf.attacks import linf_pgd  # noqa: E402
from ascl_tf.config import Config  # noqa: E402
from ascl_tf.data import load_dataset  # noqa: E402
from ascl_tf.data.pipeline import training_batches  # noqa: E402
from ascl_tf.evaluation.records import environment_versions  # noqa: E402
from ascl_tf.losses import cross_entropy_loss  # noqa: E402
from ascl_tf.methods.factory import make_pretrain_method  # noqa: E402
from ascl_tf.training.fitting import compile_method  # noqa: E402

NUM_STEPS = 20
EPSILON, STEP_SIZE = 8 / 255, 2 / 255


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmark", choices=sorted(BENCHMARKS))
    parser.add_argument("--width", type=int, default=16, help="width of the ResNet-18")
    parser.add_argument("--batch_size", type=int, default=128, help="images per call")
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds of each candidate")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("results"))
    arguments = parser.parse_args()
    seconds, ratios = BENCHMARKS[arguments.benchmark](arguments)
    _report(arguments, seconds, ratios)


def benchmark_pgd(arguments):
    """20 steps of linf_pgd against 20 bare forward + input-gradient passes in one graph."""
    method = _make_method(arguments)
    images, labels = _images(arguments)

    def objective(x):
        return cross_entropy_loss(method(x), labels)

    @tf.function(autograph=False)
    def attack(x):
        return linf_pgd(objective, x, epsilon=EPSILON, step_size=STEP_SIZE, num_steps=NUM_STEPS)

    @tf.function(autograph=False)
    def bare_passes(x):
        # Each pass needs the one before, so that none can be left out or run beside it.
        def one_pass(i, x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                total = tf.reduce_sum(objective(x))
            return i + 1, x + 1e-6 * tape.gradient(total, x)

        return tf.while_loop(lambda i, _: i < NUM_STEPS, one_pass, (0, x), parallel_iterations=1)

    seconds = _interleaved(
        {"linf_pgd": lambda: attack(images), "bare passes": lambda: bare_passes(images)},
        arguments.repeats,
    )
    return seconds, {"linf_pgd / bare passes": ("linf_pgd", "bare passes", 1.05)}


def benchmark_views(arguments):
    """The next batch and its three views against one whole ASCL step at steps 10/5/5."""
    method = _make_method(arguments)
    dataset = load_dataset("bundled", "train")
    size = arguments.batch_size
    batches = iter(training_batches(dataset, global_batch_size=size, seed=0))

    @tf.function(autograph=False)
    def make_views(data):
        views = method.make_views(method.make_batch(data))
        return [tensor for tensor in views.values()]

    @tf.function(autograph=False)
    def step(data):
        return method.train_step(data)

    data = next(batches)
    seconds = _interleaved(
        {
            "pipeline and views": lambda: make_views(next(batches)),
            "ASCL step": lambda: step(data),
        },
        arguments.repeats,
    )
    return seconds, {"views / step": ("pipeline and views", "ASCL step", 0.05)}


BENCHMARKS = {"pgd": benchmark_pgd, "views": benchmark_views}


def _make_method(arguments):
    keras.utils.set_random_seed(0)
    config = Config(width=arguments.width, global_batch_size=arguments.batch_size)
    method = make_pretrain_method(config, num_classes=10, image_shape=(32, 32, 3))
    compile_method(method, config, config.learning_rate)
    # At zero the head passes no gradient on, and some kernels are faster on zeros.
    kernel = method.linear_head.dense.kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * 0.1)
    return method


def _images(arguments):
    dataset = load_dataset("bundled", "train").take(slice(arguments.batch_size))
    images = tf.constant(dataset.images.astype(np.float32) / 255)
    return images, tf.constant(dataset.labels)


def _interleaved(candidates, repeats):
    """Returns the seconds of each round: all candidates in turn, after one untimed round."""
    seconds = {name: [] for name in candidates}
    for timed in [False] + [True] * repeats:
        for name, function in candidates.items():
            began = time.perf_counter()
            tf.nest.map_structure(lambda t: t.numpy(), function())
            if timed:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _report(arguments, seconds, ratios):
    medians = {name: statistics.median(rounds) for name, rounds in seconds.items()}
    rows = [
        {"ratio": name, "value": medians[a] / medians[b], "to_reach": limit}
        for name, (a, b, limit) in ratios.items()
    ]
    table = Table(
        title=f"{arguments.benchmark}: width {arguments.width}, "
        f"batch {arguments.batch_size}, medians of {arguments.repeats}"
    )
    for heading in ("what", "median", "to reach"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row["ratio"], f"{row['value']:.3f}", f"<= {row['to_reach']}")
    for name, median in medians.items():
        table.add_row(name, f"{median:.3f} s", "")
    Console().print(table)
    record = {
        "benchmark": arguments.benchmark,
        "width": arguments.width,
        "batch_size": arguments.batch_size,
        "ratios": rows,
        "seconds": seconds,
        "num_cpus": os.cpu_count(),
        "versions": environment_versions(),
    }
    path = arguments.output / f"benchmark_{arguments.benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"record: {path}")


if __name__ == "__main__":
    main()
