"""Kills runs at random moments, injects faults, tries bad input, and says what each gave.

    python tools/chaos.py --kills=100
    python tools/chaos.py --kills=100 --write     also into results/chaos.json and its tables

One kill in ten hits tools/reproduce.py, the others a tiny run in a phase that takes its turn
(training, the writing of a checkpoint, validation, the writing of a record, evaluation, export,
AutoAttack), each at a moment drawn by seed. What is killed goes on by the same command, and what
it leaves (weights, optimizer, history, records, exported variables, names of files) must equal
what is left undisturbed bit for bit, but for times. Meanwhile the tests that inject faults and
bad input run beside. Exit status 0 if all is as it should be.
"""

import argparse
import contextlib
import os
import pathlib
import random
import shlex
import shutil
import sys
import tempfile
import time

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # The driver of a GPU would not survive the forks.
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ascl_tf.paths import expanded_path  # noqa: E402
from ascl_tf.printing import escape_unprintable  # noqa: E402
from ascl_tf.quiet_start import quiet_start  # noqa: E402

with quiet_start():
    from ascl_tf.evaluation.records import environment_versions
    from tools.endurance import injected
    from tools.endurance.document import write_record
    from tools.endurance.reproduction_kills import ReproductionKills
    from tools.endurance.run_kills import RunKills
    from tools.endurance.victim import PHASES

RUNS, REPRODUCTIONS, FAULTS = "runs", "reproductions", "faults"
PARTS = (RUNS, REPRODUCTIONS, FAULTS)
SHARE_OF_REPRODUCTIONS = 0.1


def main(argv):
    """Returns the exit status."""
    escape_unprintable()
    arguments = parse(argv[1:])
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix="chaos_"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    killed, injections = carry_out(arguments, folder.absolute())
    troubles = troubles_of(killed, injections)
    print_result(killed, injections, troubles, Console())
    if arguments.write and not troubles:
        write_record(make_record(argv, killed, injections, time.monotonic() - began))
    if not troubles and not arguments.folder:
        shutil.rmtree(folder)
    return int(bool(troubles))


def carry_out(arguments, folder):
    """Returns (part -> the killing, (faults, bad inputs)) of the parts that are asked for."""
    counts = kills_of_parts(arguments.kills, arguments.parts)
    rng, killed = random.Random(arguments.seed), {}
    with _beside(FAULTS in arguments.parts, folder / "faults.xml") as report:
        if counts.get(RUNS):
            killed[RUNS] = RunKills(arguments.method, folder, arguments.phases, rng)
            killed[RUNS].kill(counts[RUNS])
        if counts.get(REPRODUCTIONS):
            killed[REPRODUCTIONS] = ReproductionKills(folder, rng)
            killed[REPRODUCTIONS].kill(counts[REPRODUCTIONS])
    return killed, injected.read(report) if report else ([], [])


def kills_of_parts(count, parts):
    """Returns part -> number of kills, `count` together."""
    if RUNS not in parts or REPRODUCTIONS not in parts:
        return {part: count for part in parts if part != FAULTS}
    share = round(count * SHARE_OF_REPRODUCTIONS)
    return {RUNS: count - share, REPRODUCTIONS: share}


@contextlib.contextmanager
def _beside(is_wanted, report):
    """Runs the tests that inject faults while the context is open; yields their report or None."""
    if not is_wanted:
        yield None
        return
    process = injected.start(report)
    try:
        yield report
        process.wait()
    finally:
        process.kill()
    if not report.exists():
        raise RuntimeError(f"the tests did not run, see {report.with_suffix('.log')}")


def troubles_of(killed, injections):
    """Returns a line for everything that is not as it should be."""
    found = [fault for part in killed.values() for fault in part.faults]
    for row in (row for rows in injections for row in rows):
        if row["passed"] < row["cases"] or not row["cases"]:
            found.append(f"{row['name']}: {row['passed']} of {row['cases']} tests passed")
    return found


def make_record(argv, killed, injections, seconds):
    """Returns the document of results/chaos.json."""
    faults, bad_inputs = injections
    kills = {
        name: {
            "kills": part.kills.total(),
            "places": dict(part.kills),
            "ended": part.num_runs,
            "alike": part.num_runs - len(part.faults),
        }
        for name, part in killed.items()
    }
    return {
        "command": shlex.join(["python", "tools/chaos.py", *argv[1:]]),
        "wall_seconds": round(seconds, 1),
        "versions": environment_versions(),
        "kills": kills,
        "faults": faults,
        "bad_inputs": bad_inputs,
    }


def print_result(killed, injections, troubles, console):
    """Prints kills by place, faults and bad inputs with what each gave, and what went wrong."""
    for name, part in killed.items():
        rows = [(place, str(count)) for place, count in part.kills.most_common()]
        title = f"{part.kills.total()} kills in {part.num_runs} {name}"
        _print_table(console, title, ("killed in", "times"), rows)
        good = part.num_runs - len(part.faults)
        console.print(f"{good} of {part.num_runs} {name} ended as the undisturbed one, bit for bit")
    for kind, found in zip(("faults injected", "bad inputs tried"), injections, strict=True):
        if found:
            rows = [(r["name"], f"{r['passed']} of {r['cases']}", r["gives"]) for r in found]
            title = f"{sum(row['cases'] for row in found)} {kind}"
            _print_table(console, title, ("what", "as it should", "gave"), rows)
    for line in troubles:
        console.print(line, style="red", markup=False)


def _print_table(console, title, headings, rows):
    table = Table(title=title)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def parse(argv):
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="ascl", help="method of pre-training")
    parser.add_argument("--folder", type=expanded_path, help="where the runs lie; is kept")
    parser.add_argument("--phases", type=_some_of(PHASES), default=PHASES, help="by commas")
    parser.add_argument("--parts", type=_some_of(PARTS), default=PARTS, help="by commas")
    parser.add_argument(
        "--write", action="store_true", help="results/chaos.json and tables, if all is well"
    )
    return parser.parse_args(argv)


def _some_of(known):
    def names_of(text):
        names = tuple(text.split(","))
        if not set(names) <= set(known):
            expected = f"expected some of {', '.join(known)}"
            raise argparse.ArgumentTypeError(f"{expected}; found {text!r}")
        return names

    return names_of


if __name__ == "__main__":
    sys.exit(main(sys.argv))
