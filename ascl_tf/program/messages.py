"""Errors as the lines that a program prints: the only place that makes flags of settings.

It also finds what TensorFlow and Keras mean by what they raise, and imports neither: a mistaken
flag does not wait for that.
"""

import contextlib
import re
from collections.abc import Iterator

from ascl_tf.errors import FieldError, RunError

# What TensorFlow and Keras say before they say what was wrong.
_NO_REASON = (
    "Graph execution error",
    "Detected at node",
    "Exception encountered when calling",
    "<stack traces unavailable>",
    "File ",
    "[[{{",
)


def as_flag(name: str, value: object = None) -> str:
    """Returns a setting as a command line has it."""
    return f"--{name}" if value is None else f"--{name}={value}"


def one_line(error: Exception) -> str:
    """Returns the line of an error, with flags for the settings that it names."""
    text = error.line(as_flag) if isinstance(error, FieldError) else str(error)
    # absl's own mark of an error.
    return " ".join(text.split()).removeprefix("ERROR:: ")


def reason(error: Exception) -> str:
    """Returns the first line of an error of TensorFlow or Keras that says something of its own."""
    # TensorFlow puts names of graph nodes in front.
    text = re.sub(r"\{\{function_node .*?\}\} ?", "", str(error))
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(_NO_REASON)]
    return said[0] if said else ""


@contextlib.contextmanager
def refused(subject: str) -> Iterator[None]:
    """Makes a RunError that begins with `subject` of what is refused without naming a flag.

    Args:
        subject: which flags and data, such as "--model=path on cifar10".
    """
    try:
        yield
    except FieldError:
        raise
    except ValueError as error:
        raise RunError(f"{subject}: {error}") from error
