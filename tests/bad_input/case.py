"""What a bad input is, and what the program must say of it."""

import hashlib
import os
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
    found = {}
    for folder in folders:
        for place, subfolders, files in os.walk(folder):
            found |= {os.path.join(place, name): None for name in subfolders}
            found |= {path: _hash(path) for path in (os.path.join(place, name) for name in files)}
    return found


def _hash(path):
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
