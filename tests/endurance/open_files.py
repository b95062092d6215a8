"""Which processes have a file open, as /proc tells."""

import contextlib
import os
import pathlib
import signal


def end_processes_with(path):
    """Kills the processes that have a file open, such as a lock whose taker was killed."""
    for link in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # It may have ended meanwhile, or be another user's.
            if os.readlink(link) == str(path):
                os.kill(int(link.parts[2]), signal.SIGKILL)
