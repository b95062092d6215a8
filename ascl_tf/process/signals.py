"""SIGTERM and Ctrl-C, for every program: where a step trains it is finished and saved first.

Outside of training there is nothing to finish, and the program ends at once. A second
signal does not wait either. No TensorFlow here.
"""

import contextlib
import signal
import threading

NUMBERS = (signal.SIGINT, signal.SIGTERM)


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
    _State.is_deferred, _State.requested = True, None
    try:
        yield
    finally:
        _State.is_deferred = False
    stop_if_requested()


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
    name = signal.Signals(number).name
    print(f"\n{name}: stopping when this step is saved; once more: at once", flush=True)
