"""Benchmarks: what is compared runs in one process, interleaved; medians, ratios first.

    python tools/benchmark.py <benchmark> [--help]

Every module of tools/benchmarks but `common` is one. Each prints a table and writes a
record into --output (default: results/).
"""

import importlib
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

FOLDER = pathlib.Path(__file__).resolve().parent / "benchmarks"
# Called as a script, Python looks for modules in tools/ alone.
sys.path.insert(0, str(FOLDER.parents[1]))


def names():
    """Returns the names of all benchmarks."""
    return sorted({path.stem for path in FOLDER.glob("[a-z]*.py")} - {"common"})


def main(argv=None):
    """Runs the benchmark that the first argument names; the others are its own."""
    chosen, *others = (sys.argv[1:] if argv is None else argv) or [None]
    if chosen in ("-h", "--help"):
        print(f"{__doc__}\nBenchmarks: {', '.join(names())}")
        return
    if chosen not in names():
        print(
            f"tools/benchmark.py: expected the name of a benchmark ({', '.join(names())}); "
            f"found {chosen or 'none'}",
            file=sys.stderr,
        )
        sys.exit(2)
    importlib.import_module(f"tools.benchmarks.{chosen}").main(others)


if __name__ == "__main__":
    main()
