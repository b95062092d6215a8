"""Paths as a user writes them in flags: `~`, models by name, lists separated by commas.

No shell expands `--output=~/figures` or a line of a flagfile, so it is done here, once for
every flag that holds a path. No TensorFlow.
"""

import os
import pathlib
import re
from collections.abc import Callable

from ascl_tf.config import pretrained

# What the text of a flag is: a path; that of a trained model; that of an encoder to start from,
# whose name a run records; paths or label=path, separated by commas, which may be of models; a data
# set.
PATH, MODEL, SOURCE, PATHS, DATASET = "path", "model", "source", "paths", "dataset"
_ONE, _SEVERAL = r"\A", r"(?:\A|,)\s*(?:[^,=~/]*=\s*)?"
# What stands before a path in such a text.
_BEFORE = {PATH: _ONE, MODEL: _ONE, SOURCE: _ONE, PATHS: _SEVERAL, DATASET: r"\Afolder:"}


def expand(text: str, kind: str = PATH) -> str:
    """Returns the text of a flag with every path as the system knows it.

    `~` and `~user` become a home folder, and `pretrained:NAME` the file of that model.

    Args:
        text: as typed.
        kind: `PATH`, `MODEL`, `SOURCE`, where `pretrained:NAME` stays, `PATHS` or `DATASET`, where
            only what follows `folder:` is a path.

    Raises:
        ValueError: if no such user or model is known, or if a path is not UTF-8, which TensorFlow
            cannot open. Folders of pictures may have any name: Python reads them.
    """
    try:
        if kind != DATASET:
            text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"expected a path in UTF-8; found {os.fsencode(text)!r}") from None
    text = re.sub(f"({_BEFORE[kind]})(~[^/,]*)", lambda found: found[1] + _home(found[2]), text)
    if kind not in (MODEL, SOURCE, PATHS):
        return text
    named = f"({_BEFORE[kind]}){pretrained.PREFIX}([^,]*)"
    files = re.sub(named, lambda found: found[1] + pretrained.file_of(found[2].strip()), text)
    return text if kind == SOURCE else files


def expanded_path(text: str) -> pathlib.Path:
    """Returns a path that a user has typed; the `type` of an argparse argument."""
    return pathlib.Path(expand(text))


def split_list(text: str, path_of: Callable[[str], str] = str) -> list[str]:
    """Returns the entries of a list separated by commas, without empty ones.

    A comma separates nothing where it is part of a path that exists.

    Args:
        text: such as "runs/a/export,runs/b/export".
        path_of: callable entry -> the path in it, where that is not all of it.
    """

    def exists(entry: str) -> bool:
        return os.path.exists(entry) or os.path.exists(path_of(entry))

    parts, entries = text.split(","), []
    while parts:
        joined = {n: ",".join(parts[:n]).strip() for n in range(len(parts), 0, -1)}
        count = next((n for n, entry in joined.items() if exists(entry)), 1)
        entries.append(joined[count])
        del parts[:count]
    return [entry for entry in entries if entry]


def _home(tilde: str) -> str:
    home = os.path.expanduser(tilde)
    if home == tilde:
        raise ValueError(f"expected ~ or ~user of a known user; found {tilde!r}")
    return home
