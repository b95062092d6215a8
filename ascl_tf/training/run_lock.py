"""One run at a time in a work directory."""

import contextlib
import pathlib

from ascl_tf.errors import RunError
from ascl_tf.files import remove_leftovers
from ascl_tf.locks import Lock

FILE = "run.lock"


class RunLock:
    """Keeps other runs out of a work directory while a run works in it.

    The lock is a file that names host and process, and is gone when the run ends: nothing
    that a run leaves behind names the host.

    Args:
        folder: the work directory; it need not exist yet.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._lock = Lock(self._folder / FILE)
        self._is_wanted = self._is_held = False

    @contextlib.contextmanager
    def held(self):
        """Holds the lock: from now on where the folder exists, else once it is made.

        Raises:
            RunError: naming process and host, if another run holds it.
        """
        self._is_wanted = True
        try:
            if self._folder.is_dir():
                self.claim()
            yield
        finally:
            self._is_wanted = False
            if self._is_held:
                self._is_held = False
                self._lock.release()

    def claim(self):
        """Takes the lock now, if `held` asks for it; the folder exists."""
        if not self._is_wanted or self._is_held:
            return
        if not self._lock.acquire():
            raise RunError(
                f"--workdir={self._folder}: expected no other run in it; found "
                f"{self._lock.describe()} at work there ({FILE})"
            )
        self._is_held = True
        if self._lock.left_by:
            print(f"notice: {self._lock.left_by} has left its {FILE}; taking over")
        checkpoints = self._folder.glob("checkpoints/*/*/")
        for folder in (self._folder, self._folder / "results", *checkpoints):
            remove_leftovers(folder)
