"""Under which license a data set lies, as far as its files say."""

import os

from ascl_tf.config import FOLDER_PREFIX
from ascl_tf.data.datasets import BUNDLED, BUNDLED_NAME, prepared_builder

NOT_STATED = "not stated"
_FILES = ("license", "licence", "copying")


def license_of(name: str, data_dir: str | None = None) -> str:
    """Returns one line: of a folder the first of its file LICENSE, of a set of TFDS what that says.

    Args:
        name, data_dir: as of `load_dataset`.

    Example:
        >>> license_of("bundled")
        'not stated by the authors of CIFAR-10'
    """
    if name in (BUNDLED, BUNDLED_NAME):
        return f"{NOT_STATED} by the authors of CIFAR-10"
    if name.startswith(FOLDER_PREFIX):
        return _of_folder(os.path.expanduser(name.removeprefix(FOLDER_PREFIX)))
    builder = prepared_builder(name, data_dir)
    found = "" if builder is None else builder.info.redistribution_info.license
    return found or f"{NOT_STATED} by tensorflow-datasets"


def _of_folder(path: str) -> str:
    for file in sorted(os.listdir(path)) if os.path.isdir(path) else ():
        if os.path.splitext(file)[0].lower() in _FILES:
            with open(os.path.join(path, file), encoding="utf-8", errors="replace") as text:
                lines = (line.strip() for line in text)
                return next(filter(None, lines), NOT_STATED)
    return f"{NOT_STATED}: no file LICENSE in the folder"
