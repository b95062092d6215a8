"""Kills a run at random moments of all its stages, lets it go on, and compares.

    python -m tests.endurance.run_kills FOLDER --method=ascl --kills=100

A tiny run is killed by SIGKILL in a phase that takes its turn, at a moment drawn by seed. What
is killed goes on by the same command, and what it leaves (weights, optimizer, history, records,
exported variables, names of files) must equal what is left undisturbed bit for bit, but for times.
In a process of its own, since its runs are forked. Prints as JSON how often a run was killed
where, how many have ended, and a line for each that did not end as it should.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # The driver of a GPU would not survive the forks.

from ascl_tf.config import ALL, PRETRAIN  # noqa: E402
from tests.endurance.snapshot import differences, take_snapshot  # noqa: E402
from tests.endurance.victim import AUTOATTACK, OF_PRE_TRAINING, PHASES, Victim  # noqa: E402

MOST_KILLS_OF_A_RUN = 6


class RunKills:
    """The killing of tiny runs in `folder`.

    Every kill is a SIGKILL in a phase that takes its turn, at a moment drawn from `rng`. A
    run is killed up to six times, then left to its end.

    Args:
        method: of pre-training.
        folder: for the runs' work directories and logs.
        phases: names of phases, which take turns; runs end with the last of their stages.
        rng: `random.Random`.

    Attributes:
        kills: phase in which a run died -> how often.
        num_runs: runs that were killed and have ended.
        faults: a line for each of them that did not end as the undisturbed one.
    """

    def __init__(self, method, folder, phases, rng):
        self.method, self.folder, self.rng = method, folder, rng
        self._stage = PRETRAIN if OF_PRE_TRAINING.issuperset(phases) else ALL
        self._is_attacked = AUTOATTACK in phases
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
        victim = self._start(workdir)
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
        return self._start(workdir).kill_in(phase, occurrence, delay)

    def _start(self, workdir):
        return Victim(self.method, workdir, stage=self._stage, is_attacked=self._is_attacked)

    def _finish_and_compare(self, workdir):
        log = workdir.with_suffix(".log")
        if self._start(workdir).finish() != 0:
            self.faults.append(f"{workdir.name}: did not go on, see {log}")
            return
        differing = differences(take_snapshot(workdir), self._expected)
        if differing:
            self.faults.append(f"{workdir.name}: differs in {', '.join(differing)}")
        else:
            shutil.rmtree(workdir)


def main():
    """Kills runs as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path, help="where the runs lie")
    parser.add_argument("--method", default="ascl", help="method of pre-training")
    parser.add_argument("--kills", type=int, default=len(PHASES))
    parser.add_argument("--phases", default=",".join(PHASES), help="by commas")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, phases = random.Random(arguments.seed), arguments.phases.split(",")
    killed = RunKills(arguments.method, arguments.folder.absolute(), phases, rng)
    killed.kill(arguments.kills)
    found = {"kills": killed.kills, "num_runs": killed.num_runs, "faults": killed.faults}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
