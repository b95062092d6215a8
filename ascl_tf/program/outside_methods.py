"""Methods of one's own, imported before flags are made: their settings are flags, too."""

import json
import os
from collections.abc import Sequence

from absl import flags

from ascl_tf import config as cfg
from ascl_tf.config.registry import is_outside
from ascl_tf.errors import ConfigError
from ascl_tf.process.terminal import quiet_start
from ascl_tf.program.flag_defs import define_flags
from ascl_tf.program.flagfiles import expand_flagfiles
from ascl_tf.program.recipes import FLAG

_WORK_DIRECTORIES = ("workdir", "pretrained")


def load_outside_method(argv: Sequence[str]) -> None:
    """Imports the method of one's own that a command line names.

    It stands in `--method`, on the command line or in a flagfile, or else in what a work directory
    has recorded of its run.

    Raises:
        ConfigError: if it cannot be imported. What else is wrong with the command line is left to
            those who parse it in full.
    """
    for name in _named_methods(argv):
        if is_outside(name):
            with quiet_start():
                cfg.find_method(name)


def _named_methods(argv: Sequence[str]) -> list[str]:
    values = define_flags(*cfg.sections())
    try:
        stands_alone = {FLAG: False} | {name: values[name].boolean for name in values}
        values([argv[0], *expand_flagfiles(argv[1:], stands_alone)], known_only=True)
    except (flags.Error, ConfigError):
        return []
    if values["method"].present:
        return [str(values["method"].value)]
    return [_recorded_method(str(values[name].value)) for name in _WORK_DIRECTORIES]


def _recorded_method(folder: str) -> str:
    """Returns the method of the run in a folder, "" where nothing readable is there."""
    try:
        with open(os.path.join(folder, cfg.CONFIG_FILE), encoding="utf-8") as file:
            return str(json.load(file)["settings"]["method"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
