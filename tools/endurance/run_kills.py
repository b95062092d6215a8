"""Kills a run at random moments of all its stages, lets it go on, and compares."""

import collections
import shutil

from tools.endurance.snapshot import differences, take_snapshot
from tools.endurance.victim import AUTOATTACK, Victim

MOST_KILLS_OF_A_RUN = 6


class RunKills:
    """The killing of tiny runs in `folder`.

    Every kill is a SIGKILL in a phase that takes its turn, at a moment drawn from `rng`. A
    run is killed up to six times, then left to its end.

    Args:
        method: of pre-training.
        folder: for the runs' work directories and logs.
        phases: names of phases, which take turns.
        rng: `random.Random`.

    Attributes:
        kills: phase in which a run died -> how often.
        num_runs: runs that were killed and have ended.
        faults: a line for each of them that did not end as the undisturbed one.
    """

    def __init__(self, method, folder, phases, rng):
        self.method, self.folder, self.rng = method, folder, rng
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
        return Victim(self.method, workdir, is_attacked=self._is_attacked)

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
