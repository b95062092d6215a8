"""Starting TensorFlow without its notices.

Its C++ libraries write them to file descriptor 2 while they are loaded and while they look
for devices, whatever TF_CPP_MIN_LOG_LEVEL says (seen with 2.21). A program whose errors are
one line imports what it needs inside `quiet_start` first.
"""

import contextlib
import glob
import logging
import os
import sys


@contextlib.contextmanager
def quiet_start():
    """Hides what is written to file descriptor 2; Python's exceptions come through."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
        _look_for_devices()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        # Each protocol is a function of its own; TensorFlow takes them for retraces of one.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _look_for_devices():
    """Lets TensorFlow find out now that there is no GPU, where there is none.

    Where there is one, what it says of it (a driver too old, say) must be seen.
    """
    if not glob.glob("/dev/nvidia[0-9]*"):
        import tensorflow as tf

        tf.config.list_physical_devices()
