"""Several models on a command line, each with the label that tables call it by."""

import os

from ascl_tf.config.paths import split_list
from ascl_tf.errors import ConfigError


def named_paths(text, flag, *, known=None):
    """Returns a dictionary from label to path of text such as "at=runs/at,ascl=runs/ascl".

    Args:
        text: entries `label=path`, separated by commas; a comma in a path that exists is part
            of it.
        flag: name of the flag that it comes from, for messages.
        known: dictionary of models that have a label already; an entry may then be just
            such a label. None: there are none.

    Raises:
        ConfigError: if an entry has no path or no label, or if a label stands for two models.
    """
    found = {}
    for entry in split_list(text, _path_in):
        label, equals, path = (part.strip() for part in entry.partition("="))
        if not equals and known is not None:
            path = _known_path(label, flag, known)
        # A path that exists as a whole lacks its label, although it may hold an equals sign.
        if not label or not path or (equals and os.path.exists(entry)):
            raise ConfigError(
                f"--{flag}: expected label=path, several separated by commas; found {entry!r}"
            )
        if label in found:
            raise ConfigError(f"--{flag}: expected each label once; found {label!r} twice")
        if known is not None and known.get(label, path) != path:
            raise ConfigError(
                f"--{flag}: expected one model per label; found two for {label!r}, {path} "
                f"and {known[label]}"
            )
        found[label] = path
    return found


def _path_in(entry):
    label, _, path = entry.partition("=")
    # No label holds a comma: what stands before it is an entry of its own.
    return "" if "," in label else path.strip()


def _known_path(label, flag, known):
    if label not in known:
        raise ConfigError(
            f"--{flag}: expected label=path, or a known label ({', '.join(known)}); found {label!r}"
        )
    return known[label]
