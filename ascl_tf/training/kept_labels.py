"""Labels that a run has made of its images, kept in a file of its work directory.

Made again on another machine they could differ, and what has been trained on the first ones would
be wrong from then on. So the file says what they were made from, and a run that goes on reads it.
"""

import json
import tokenize
import zipfile

import numpy as np

from ascl_tf.errors import RunError
from ascl_tf.process.files import write_whole

# What NumPy raises on damaged files, whose headers it reads as Python source.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def write_labels(path, labels, identity):
    """Writes labels, an array, with what they were made from: plain values by name."""
    document = np.array(json.dumps(identity, sort_keys=True))
    write_whole(path, lambda file: np.savez(file, pseudo_labels=labels, made_from=document))


def read_labels(path, identity):
    """Returns the labels in a file, an array.

    Raises:
        RunError: if it cannot be read, or they were made from something else than `identity`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            labels, recorded = file["pseudo_labels"], json.loads(str(file["made_from"]))
    except _UNREADABLE as error:
        raise RunError(f"{path}: expected pseudo-labels; found {error}") from None
    if not isinstance(recorded, dict):
        raise RunError(f"{path}: expected what the pseudo-labels were made from; found {recorded}")
    differing = [
        f"{name}={recorded.get(name)} where this run has {value}"
        for name, value in identity.items()
        if recorded.get(name) != value
    ]
    if differing:
        raise RunError(
            place=path,
            expected="pseudo-labels of these images by this model",
            found=f"{', '.join(differing)}. Choose another `workdir` for another run",
        )
    return labels
