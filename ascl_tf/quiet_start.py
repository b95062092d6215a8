"""Importing TensorFlow without its start-up notices.

Its C++ libraries write them to file descriptor 2 while they are loaded, whatever
TF_CPP_MIN_LOG_LEVEL says (seen with 2.21). A program whose errors are one line imports
what it needs inside `quiet_start` first.
"""

import contextlib
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
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        # Each protocol is a function of its own; TensorFlow takes them for retraces of one.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
