"""Several models on a command line, each with the label that tables call it by."""

from ascl_tf.errors import ConfigError


def named_paths(text, flag, *, known=None):
    """Returns a dictionary from label to path of text such as "at=runs/at,ascl=runs/ascl".

    Args:
        text: entries `label=path`, separated by commas.
        flag: name of the flag that it comes from, for messages.
        known: dictionary of models that have a label already; an entry may then be just
            such a label. None: there are none.

    Raises:
        ConfigError: if an entry has no path or no label, or if a label stands for two models.
    """
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        label, equals, path = (part.strip() for part in entry.partition("="))
        if not equals and known is not None:
            path = _known_path(label, flag, known)
        if not label or not path:
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


def _known_path(label, flag, known):
    if label not in known:
        raise ConfigError(
            f"--{flag}: expected label=path, or a known label ({', '.join(known)}); found {label!r}"
        )
    return known[label]
