"""Carries out steps in the order of what they need, some at once, past failures."""

import concurrent.futures
import enum
import signal
import time
from typing import NamedTuple

from ascl_tf.process.signals import Stopped
from tools.reproduction.launch import shown
from tools.reproduction.nodes import command_line
from tools.reproduction.store import last_lines, wait_a_little


class State(enum.Enum):
    """Where a step stands; the values are what is shown."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Settings(NamedTuple):
    """How steps are carried out.

    Attributes:
        store: `Store`.
        launcher: `Launcher`.
        jobs: steps at once.
        machine_flags: program -> arguments that settle something of this machine, no part of
            any key.
    """

    store: object
    launcher: object
    jobs: int = 1
    machine_flags: dict = {}


class Interrupted(Exception):
    """Ctrl-C or a signal to end: what ran has been ended.

    Args:
        number: the signal's.
    """

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_steps(nodes, settings, display):
    """Carries out steps, those before each first; returns key -> `State`.

    Args:
        nodes: all steps, in order.
        settings: `Settings`.
        display: is told of every change: `began(node)`, `ended(node, state, seconds, lines)`
            and `tick()`.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM.
    """
    return _Run(nodes, settings, display).run()


class _Run:
    def __init__(self, nodes, settings, display):
        self.nodes, self.settings, self.display = nodes, settings, display
        self.states = {node.key: State.WAITING for node in nodes}
        self.futures = {}

    def run(self):
        # Both: a shell that starts a program in the background has it ignore Ctrl-C.
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, _raise_interrupt) for number in numbers}
        self.pool = concurrent.futures.ThreadPoolExecutor(self.settings.jobs)
        try:
            while self._advance() or self.futures:
                self._collect()
                self.display.tick()
        except Stopped as stop:
            self.settings.launcher.stop()
            raise Interrupted(stop.number) from None
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.pool.shutdown()
            self.settings.launcher.close()
        return self.states

    def _advance(self):
        """Settles and starts what can be; returns whether any step still waits."""
        waiting = [node for node in self.nodes if self.states[node.key] is State.WAITING]
        for node in waiting:
            before = {self.states[earlier.key] for earlier in node.before}
            if before & {State.FAILED, State.SKIPPED}:
                self._end(node, State.SKIPPED)
            elif before <= {State.DONE}:
                self._begin(node)
        return any(self.states[node.key] is State.WAITING for node in waiting)

    def _begin(self, node):
        store = self.settings.store
        if store.is_done(node):
            self._end(node, State.DONE)
            return
        if len(self.futures) >= self.settings.jobs:
            return
        lock = store.lock(node)
        if lock is None:
            return  # Another process works on it; it is looked at again.
        if store.is_done(node):
            lock.release()
            self._end(node, State.DONE)
            return
        self.states[node.key] = State.RUNNING
        self.display.began(node)
        self.futures[self.pool.submit(self._work, node, lock)] = node

    def _work(self, node, lock):
        """Carries out one step; returns its seconds, or what went wrong as lines."""
        store, launcher = self.settings.store, self.settings.launcher
        began = time.perf_counter()
        try:
            store.prepare(node)
            arguments = command_line(node, lambda place: store.argument_path(node, place))
            arguments += self.settings.machine_flags.get(node.program, [])
            with open(store.log(node), "a", encoding="utf-8") as log:
                log.write(f"$ {shown(node.program, arguments)}\n")
            status = launcher.run(
                node.program,
                arguments,
                folder=store.path,
                log=store.log(node),
                kept_open=lock.fileno(),
            )
            if status != 0:
                return last_lines(store.log(node)) or [f"exit status {status}"]
            seconds = time.perf_counter() - began
            store.mark_done(node, seconds)
            return seconds
        except Exception as error:  # The trouble of one step is not that of the others.
            return [f"{type(error).__name__}: {error}"]
        finally:
            lock.release()

    def _collect(self):
        """Waits for a step to end, or a moment."""
        if not self.futures:
            wait_a_little()
            return
        done, _ = concurrent.futures.wait(
            self.futures, timeout=1.0, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            node, result = self.futures.pop(future), future.result()
            if isinstance(result, list):
                self._end(node, State.FAILED, lines=result)
            else:
                self._end(node, State.DONE, seconds=result)

    def _end(self, node, state, *, seconds=None, lines=()):
        self.states[node.key] = state
        self.display.ended(node, state, seconds, lines)


def _raise_interrupt(number, frame):
    raise Stopped(number)
