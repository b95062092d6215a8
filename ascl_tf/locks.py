"""A file that says which process works on something, so that no other does at the same time."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket

from ascl_tf.files import write_text


class Lock:
    """A file that one process makes and no other may; it names its holders.

    A lock whose holders are all dead, on this host, is taken over. The program that works for
    a holder counts as one: it may outlive a holder that was killed.

    Args:
        path: the lock file; its folder must exist.

    Attributes:
        taken_over_from: how `describe` named the dead holder whose lock was taken, or None.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.taken_over_from = None
        self._holders = []

    def acquire(self):
        """Returns whether the lock is held from now on."""
        # Two processes that find the same stale lock must not both remove it.
        with _guarded(self.path.parent):
            if self.path.exists():
                if self._is_held():
                    return False
                self.taken_over_from = self.describe()
            self.path.unlink(missing_ok=True)
            self.path.touch(exist_ok=False)
            self.add_holder(os.getpid())
        return True

    def add_holder(self, pid):
        """Names another process of this host that works under the lock."""
        self._holders.append([pid, _start_time(pid)])
        document = {"host": socket.gethostname(), "holders": self._holders}
        write_text(self.path, json.dumps(document) + "\n")

    def release(self):
        """Removes the file."""
        self.path.unlink(missing_ok=True)

    def describe(self):
        """Returns which process holds the lock, such as "process 12 on host a"."""
        try:
            host, holders = self._read()
        except _UNREADABLE:
            return "an unknown process"
        return f"process {', '.join(str(pid) for pid, _ in holders)} on host {host}"

    def _is_held(self):
        try:
            host, holders = self._read()
        except _UNREADABLE:
            return False
        if host != socket.gethostname():
            return True
        return any(_lives(pid, began) for pid, began in holders)

    def _read(self):
        document = json.loads(self.path.read_text(encoding="utf-8"))
        holders = [(int(pid), began) for pid, began in document["holders"]]
        return document["host"], holders


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)


@contextlib.contextmanager
def _guarded(folder):
    """Lets one process at a time of those that ask for a lock in `folder` go on."""
    guard = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems lock no folders; the window without is a few microseconds.
        with contextlib.suppress(OSError):
            fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)


def _lives(pid, began):
    """Whether this is still the process that was started then."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    # Numbers of processes are used again.
    return began in (None, _start_time(pid))


def _start_time(pid):
    """Returns when a process was started, as /proc counts; None where there is no /proc.

    0 stands for a process that has ended and was not yet taken notice of.
    """
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The name in brackets may hold spaces; the start is the 22nd field.
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
