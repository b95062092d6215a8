"""SIGTERM and Ctrl-C, for every program: where a step trains it is finished and saved first.

Outside of training there is nothing to finish, and the program ends at once. A second
signal does not wait either. No TensorFlow here.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Seconds in which the main thread, if Python runs in it, ends by itself after a second signal.
_GRACE = 0.5


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end.

    Args:
        number: the signal's.
    """

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


class _State:
    """What the handler knows; a process has one."""

    is_deferred = False
    requested = None
    step_seconds = 0.0


@contextlib.contextmanager
def listening():
    """Turns both signals into `Stopped`; Python allows that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _handle) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def listen_again():
    """Puts the handlers back in place that a library has replaced behind Python's back."""
    if threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            signal.signal(number, signal.getsignal(number))


@contextlib.contextmanager
def deferred():
    """Lets a first signal wait for `stop_if_requested`; at the latest it stops at the end."""
    _State.is_deferred, _State.requested, _State.step_seconds = True, None, 0.0
    with _answering_at_once():
        try:
            yield
        finally:
            _State.is_deferred = False
    stop_if_requested()


def expect(step_seconds):
    """Notes how long a step takes, for who waits for its end."""
    _State.step_seconds = step_seconds


@contextlib.contextmanager
def _answering_at_once():
    """Answers a signal from a thread of its own: Python's handlers wait for the end of a step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    thread = threading.Thread(target=_answer, args=(reading,), daemon=True)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        thread.join()
        reading.close()


def _answer(reading):
    """Says that a first signal is heard; after a second one it leaves a step that does not end."""
    is_first = True
    while received := reading.recv(1):
        number = received[0]
        if number not in NUMBERS:
            continue
        name = signal.Signals(number).name
        if is_first:
            about = f", in about {_State.step_seconds:.0f} s" if _State.step_seconds >= 1 else ""
            print(f"\n{name}: stopping after this step{about}; repeat to stop at once", flush=True)
            is_first = False
            continue
        time.sleep(_GRACE)
        if _State.is_deferred:  # The main thread is in the middle of the step.
            print(f"stopped by {name}; the same command continues", file=sys.stderr, flush=True)
            os._exit(128 + number)


def is_requested():
    """Returns whether a signal waits."""
    return _State.requested is not None


def stop_if_requested():
    """Raises `Stopped` if a signal waits."""
    if _State.requested is not None:
        number, _State.requested = _State.requested, None
        raise Stopped(number)


def _handle(number, frame):
    if not _State.is_deferred or _State.requested is not None:
        raise Stopped(number)
    _State.requested = number
