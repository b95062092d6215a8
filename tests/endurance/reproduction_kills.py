"""Kills tools/reproduce.py at random moments, calls it again, and compares what it leaves."""

import collections
import pathlib
import shutil
import subprocess
import sys
import time

from tests.endurance.open_files import end_processes_with
from tests.endurance.snapshot import differences, read_untimed, take_snapshot

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_KILLS_OF_A_RUN = 5
# A reproduction that goes on takes less time than a whole one.
LATEST_KILL = 0.6
COMMAND = (sys.executable, "tools/reproduce.py", "--preset=smoke", "--artifact=table7", "--jobs=2")


class ReproductionKills:
    """The killing of reproductions in `folder`.

    Every second kill also ends the programs of the steps at work; after the others those go
    on without their parent, and the command that continues has to wait for them.

    Args:
        folder: for the reproductions and their logs.
        rng: `random.Random`.
        command: the reproduction, without the places of what it makes.

    Attributes:
        kills, num_runs, faults: as of `RunKills`; a kill counts by the step at work.
    """

    def __init__(self, folder, rng, command=COMMAND):
        self.folder, self.rng, self.command = folder, rng, command
        self.kills = collections.Counter()
        self.num_runs, self.faults = 0, []
        began = time.monotonic()
        # Beside runs, one of which is called so too.
        undisturbed = "undisturbed_reproduction"
        if self._start(undisturbed).wait() != 0:
            raise RuntimeError(f"the undisturbed reproduction failed, see {folder}")
        self._seconds = time.monotonic() - began
        self._expected = snapshot(folder / undisturbed)

    def kill(self, count):
        """Kills reproductions until so many kills were made."""
        while self.kills.total() < count:
            self._one_run(count)

    def _one_run(self, count):
        self.num_runs += 1
        name = f"reproduction_{self.num_runs}"
        for _ in range(min(MOST_KILLS_OF_A_RUN, count - self.kills.total())):
            kinds = self._kill_once(name)
            if kinds is None:
                break
            self.kills[", ".join(kinds) or "between steps"] += 1
        self._finish_and_compare(name)

    def _kill_once(self, name):
        """Returns the kinds of the steps that were at work, None if it has ended before."""
        process = self._start(name)
        try:
            process.wait(self.rng.random() * LATEST_KILL * self._seconds)
            return None
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        locks = sorted((self.folder / name).glob("*/*.lock"))
        if self.kills.total() % 2:
            for lock in locks:
                end_processes_with(lock)
        return sorted({lock.name.partition("-")[0] for lock in locks})

    def _finish_and_compare(self, name):
        if self._start(name).wait() != 0:
            self.faults.append(f"{name}: did not go on, see {self.folder / name}.log")
            return
        differing = differences(snapshot(self.folder / name), self._expected)
        if differing:
            self.faults.append(f"{name}: differs in {', '.join(differing)}")
        else:
            shutil.rmtree(self.folder / name)

    def _start(self, name):
        runs = self.folder / name
        places = [f"--runs={runs}", f"--output={runs / 'results'}"]
        with open(runs.with_suffix(".log"), "ab") as log:
            return subprocess.Popen([*self.command, *places], cwd=ROOT, stdout=log, stderr=log)


def snapshot(runs):
    """Returns what a reproduction has left, in the form of `take_snapshot`."""
    found = {"top": sorted(path.name for path in runs.glob("*/*"))}
    for step in sorted(path for path in runs.glob("*/*-*") if path.is_dir()):
        found |= {f"{step.name}/{name}": value for name, value in take_snapshot(step).items()}
    for path in sorted(path for path in (runs / "results").rglob("*") if path.is_file()):
        name = path.relative_to(runs).as_posix()
        found[name] = read_untimed(path) if path.suffix == ".json" else path.read_bytes()
    return found
