"""A file that says which process works on something, so that no other does at the same time.

The kernel keeps the lock (flock), and frees it when the last process that has the file open is
gone, however it ended. Between machines it holds where a network file system shares such locks.
"""

import errno
import fcntl
import os
import pathlib
import socket

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class Lock:
    """A file that one process holds, together with those that it hands the open file to.

    Args:
        path: the lock file; its folder must exist. It is there as long as the lock is held.

    Attributes:
        left_by: who held the lock and was killed before the file was removed, such as
            "process 12 on host a"; None for nobody.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.left_by = None
        self._file = None

    def acquire(self):
        """Returns whether the lock is held from now on."""
        while True:
            # To append: what it says stays where another process holds it.
            file = open(self.path, "a", encoding="utf-8")
            if not self._try(file):
                file.close()
                return False
            if _is_at(self.path, file):
                break
            file.close()  # Its holder removed it meanwhile.
        self.left_by = self.describe() if os.fstat(file.fileno()).st_size else None
        file.truncate(0)
        print(f"process {os.getpid()} on host {socket.gethostname()}", file=file, flush=True)
        self._file = file
        return True

    def fileno(self):
        """Returns the open file: a process that inherits it holds the lock too."""
        return self._file.fileno()

    def release(self):
        """Removes the file."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def describe(self):
        """Returns which process holds the lock, such as "process 12 on host a"."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[0] if lines else "an unknown process"

    def _try(self, file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            print(
                f"notice: {self.path}: file system without locks; other processes are not kept out"
            )
        return True


def _is_at(path, file):
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
