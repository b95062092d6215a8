"""What the benchmarks share: interleaved timing, the table, the record."""

import argparse
import json
import os
import pathlib
import statistics
import time

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from ascl_tf.config.paths import expanded_path
from ascl_tf.evaluation.records import environment_versions
from ascl_tf.process.files import write_text
from tools.benchmarks import _cost

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Seconds between two candidates: threads of one that wait in a busy loop at first, as OpenMP's do,
# are asleep before the next is timed.
PAUSE = 0.5
# A shorter call is made twice, and the second one counts: what wakes threads and fills caches after
# a pause would be a good part of it.
SHORT = 1.0


def make_parser(docstring, *, repeats):
    """Returns a parser with the arguments of every benchmark, described by a docstring."""
    parser = argparse.ArgumentParser(description=docstring.splitlines()[0])
    parser.add_argument(
        "--repeats", type=int, default=repeats, help="timed rounds of each candidate"
    )
    parser.add_argument("--output", type=expanded_path, default=ROOT / "results")
    return parser


def timed(function):
    """Returns (seconds, result) of one call, waiting for every tensor of the result."""
    began = time.perf_counter()
    result = function()
    tf.nest.map_structure(lambda tensor: tensor.numpy() if tf.is_tensor(tensor) else None, result)
    return time.perf_counter() - began, result


def interleaved(candidates, repeats):
    """Returns the seconds of each round by name: all in turn, after one untimed round.

    Every other round runs backwards, so that no candidate always follows the same one.
    """
    seconds = {name: [] for name in candidates}
    names = list(candidates)
    for round_number in range(repeats + 1):
        for name in names if round_number % 2 else reversed(names):
            time.sleep(PAUSE)
            spent = _timed_round(candidates[name])
            if round_number > 0:
                seconds[name].append(spent)
    return seconds


def _timed_round(function):
    spent, _ = timed(function)
    return timed(function)[0] if spent < SHORT else spent


def medians(seconds):
    """Returns the median round by name."""
    return {name: statistics.median(rounds) for name, rounds in seconds.items()}


def show(title, headings, rows):
    """Prints a table; rows are lists of text."""
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def write_record(output, name, **content):
    """Writes results of benchmark `name` with what they were measured on; returns the path."""
    record = {
        "benchmark": name,
        "num_cpus": os.cpu_count(),
        "versions": environment_versions() | content.pop("versions", {}),
        **content,
    }
    path = pathlib.Path(output) / f"benchmark_{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
    print(f"record: {path}")
    return path


def at_most(limit):
    """Returns what is to be reached as text; nothing where it is None."""
    return "" if limit is None else f"<= {limit}"


def report_ratios(arguments, name, seconds, ratios, shares=None):
    """Shows and records ratios of medians: name -> (numerator, denominator, at most).

    shares: what shares of the limit candidates reach, as `_cost.limit_share` gives them, by name.
    """
    middle = medians(seconds)
    rows = [
        {"ratio": ratio, "value": middle[above] / middle[below], "to_reach": limit}
        for ratio, (above, below, limit) in ratios.items()
    ]
    cells = [[row["ratio"], f"{row['value']:.3f}", at_most(row["to_reach"])] for row in rows]
    cells += _cost.limit_cells(shares or {})
    cells += [[candidate, f"{median:.3f} s", ""] for candidate, median in middle.items()]
    title = f"{name}: width {arguments.width}, batch {arguments.batch_size}"
    show(f"{title}, medians of {arguments.repeats}", ("what", "median", "to reach"), cells)
    return write_record(
        arguments.output,
        name,
        width=arguments.width,
        batch_size=arguments.batch_size,
        ratios=rows,
        shares_of_the_limit=shares or {},
        seconds=seconds,
    )


def add_model_arguments(parser):
    """Adds the size of the network and of its batch."""
    parser.add_argument("--width", type=int, default=16, help="width of the ResNet-18")
    parser.add_argument("--batch_size", type=int, default=128, help="images per call")
