"""What reaches the terminal: names that it cannot show, and TensorFlow's notices, hidden.

TensorFlow's C++ libraries write notices to file descriptor 2 while they are loaded and while they
look for devices, whatever TF_CPP_MIN_LOG_LEVEL says (seen with 2.21). A program whose errors are
one line imports what it needs inside `quiet_start` first.
"""

import contextlib
import glob
import io
import logging
import os
import shutil
import sys
import unicodedata

_BREAKING = ("Cc", "Zl", "Zp")  # Control characters, and separators of lines.


def escape_unprintable() -> None:
    """Lets stdout and stderr write an escape for what their encoding lacks, not raise.

    A name in a summary, such as a class called é where LANG=C, must not end a program in a
    traceback when all the work is done.
    """
    for stream in (sys.stdout, sys.stderr):
        # What a test or a caller has put in their place may be no text file.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def encodable(text: str) -> str:
    """Returns `text` with an escape for each byte of a file's name that is no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def python_command() -> str:
    """Returns what calls this interpreter on a command line: its place if not its name."""
    return "python" if shutil.which("python") == sys.executable else sys.executable


def on_one_line(name: str) -> str:
    """Returns a name with an escape for what would break its line or the columns of a table."""
    return "".join(
        ascii(c)[1:-1] if unicodedata.category(c) in _BREAKING else c for c in encodable(name)
    )


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
