"""Kills a tiny run at random moments of all its stages, lets it go on, and compares.

    python tools/chaos.py --kills=100

Every kill is a SIGKILL in a phase that takes its turn (training, the writing of a checkpoint,
validation, the writing of a record, evaluation, export), at a moment drawn by seed. A run is
killed up to six times, then left to its end. What it leaves (weights, optimizer, history,
records, exported variables, names of files) must equal an undisturbed run's bit for bit, but
for times. Exit status 0 if all did.
"""

import argparse
import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # The driver of a GPU would not survive the forks.
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from ascl_tf.quiet_start import quiet_start  # noqa: E402

with quiet_start():
    from tools.endurance.snapshot import differences, take_snapshot
    from tools.endurance.victim import PHASES, Victim

MOST_KILLS_OF_A_RUN = 6


class Chaos:
    """The killing of runs in `folder`.

    Args:
        method: of pre-training.
        folder: for the runs' work directories and logs.
        phases: names of phases, which take turns.
        rng: `random.Random`.
    """

    def __init__(self, method, folder, phases, rng):
        self.method, self.folder, self.rng = method, folder, rng
        self._turns = iter(lambda: self._next_phase(phases), None)
        self._num_drawn = self.num_runs = 0
        self.kills = collections.Counter()
        self.faults = []
        self._expected, self._seconds = self._run_undisturbed()

    def kill(self, count):
        """Kills runs until so many kills were made."""
        while self.kills.total() < count:
            self._one_run(count)

    def _next_phase(self, phases):
        self._num_drawn += 1
        return phases[(self._num_drawn - 1) % len(phases)]

    def _run_undisturbed(self):
        workdir = self.folder / "undisturbed"
        victim = Victim(self.method, workdir)
        if victim.finish() != 0:
            raise RuntimeError(f"the undisturbed run failed, see {workdir.with_suffix('.log')}")
        seconds = collections.defaultdict(list)
        for name, duration in victim.phases:
            seconds[name].append(duration)
        return take_snapshot(workdir), seconds

    def _one_run(self, count):
        self.num_runs += 1
        workdir = self.folder / f"run_{self.num_runs}"
        for _ in range(min(MOST_KILLS_OF_A_RUN, count - self.kills.total())):
            phase = next(self._turns)
            where = self._kill_once(workdir, phase)
            if where is None:
                break
            self.kills[where[-1] if where else f"after {phase}"] += 1
        self._finish_and_compare(workdir)

    def _kill_once(self, workdir, phase):
        """Returns the phases that were open, None if the run has ended before."""
        # A run that goes on may have few phases of a kind left: mostly its first is chosen.
        occurrence = min(self.rng.randrange(len(self._seconds[phase])) for _ in range(2))
        delay = self.rng.random() * self._seconds[phase][occurrence]
        return Victim(self.method, workdir).kill_in(phase, occurrence, delay)

    def _finish_and_compare(self, workdir):
        log = workdir.with_suffix(".log")
        if Victim(self.method, workdir).finish() != 0:
            self.faults.append(f"{workdir.name}: did not go on, see {log}")
            return
        differing = differences(take_snapshot(workdir), self._expected)
        if differing:
            self.faults.append(f"{workdir.name}: differs in {', '.join(differing)}")
        else:
            shutil.rmtree(workdir)


def main(argv):
    """Returns the exit status."""
    arguments = parse(argv[1:])
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix="chaos_"))
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(arguments.seed)
    chaos = Chaos(arguments.method, folder, arguments.phases, rng)
    chaos.kill(arguments.kills)
    print_result(chaos, Console())
    if not chaos.faults and not arguments.folder:
        shutil.rmtree(folder)
    return int(bool(chaos.faults))


def print_result(chaos, console):
    """Prints kills by phase, and what went wrong."""
    table = Table(title=f"{chaos.kills.total()} kills in {chaos.num_runs} runs")
    table.add_column("killed in")
    table.add_column("times", justify="right")
    for name, count in chaos.kills.most_common():
        table.add_row(name, str(count))
    console.print(table)
    for fault in chaos.faults:
        console.print(fault, style="red", markup=False)
    good = chaos.num_runs - len(chaos.faults)
    console.print(f"{good} of {chaos.num_runs} runs ended as the undisturbed one, bit for bit")


def parse(argv):
    """Returns the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", default="ascl", help="method of pre-training")
    parser.add_argument("--folder", type=pathlib.Path, help="where the runs lie; is kept")
    parser.add_argument("--phases", type=_phases, default=PHASES, help="separated by commas")
    return parser.parse_args(argv)


def _phases(text):
    names = tuple(text.split(","))
    if not set(names) <= set(PHASES):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(PHASES)}; found {text!r}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv))
