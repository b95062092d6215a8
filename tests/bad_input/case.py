"""What a bad input is, and what the program must say of it."""

import hashlib
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

WORKDIR = "run"


class Case(NamedTuple):
    """One bad input.

    Attributes:
        flags: command line, separated by spaces; `{root}` is the folder of `world.py`.
        status: exit status that is due: 2 for flags and variables, 1 for files and data.
        expected, found: parts of the one line that is due.
        program: `train` or `evaluate`.
        prepare: callable (root), run in the empty folder of the test before the program, that
            makes the bad input there; None where the command line is all.
        environment: variables to set.
        arrays: pair (images, labels) that the evaluation gets in place of its data set.
    """

    flags: str
    status: int
    expected: str
    found: str
    program: str = "train"
    prepare: Callable | None = None
    environment: Mapping = {}
    arrays: tuple | None = None


def contents(*folders):
    """Returns every path below the folders with the hash of its content; folders have none."""
    files = [file for folder in folders for file in sorted(pathlib.Path(folder).rglob("*"))]
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
        for file in files
    }
