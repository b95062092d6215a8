"""Which data sets steps need, looked for before the first step begins."""

import contextlib

from ascl_tf.config import BUNDLED
from ascl_tf.errors import FieldError, RunError
from ascl_tf.process.terminal import quiet_start
from ascl_tf.program.messages import as_flag


def find_absent(nodes, data_dir):
    """Returns the names of the data sets that steps need and nobody has prepared, sorted.

    Args:
        nodes: steps.
        data_dir: folder in TFDS layout; "": where TFDS looks by itself.

    Raises:
        RunError: if one is there and cannot be read.
    """
    names = {node.settings["dataset"] for node in nodes if "dataset" in node.settings} - {BUNDLED}
    if not names:
        return []
    with quiet_start():
        from ascl_tf.data.datasets import is_available

    with _named():
        return sorted(name for name in names if not is_available(name, data_dir or None))


def download(names, data_dir):
    """Downloads data sets before the steps, which run at once and would each do it.

    Raises:
        RunError: if one cannot be downloaded.
    """
    from ascl_tf.data.datasets import download_dataset

    for name in names:
        print(f"notice: downloading {name}", flush=True)
        with _named():
            download_dataset(name, data_dir or None)


@contextlib.contextmanager
def _named():
    """Lets an error name the data set itself: no flag of reproduce.py does."""
    try:
        yield
    except FieldError as error:
        line = error.line(lambda name, value: value if name == "name" else as_flag(name, value))
        raise RunError(line) from error


def keys_without_data(nodes, absent):
    """Returns the keys of the `nodes`, in order, that need an absent data set or such a step."""
    keys = set()
    for node in nodes:
        if node.settings.get("dataset") in absent or any(n.key in keys for n in node.before):
            keys.add(node.key)
    return keys
