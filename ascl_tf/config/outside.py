"""Imports what a setting names from outside of the package, as my_package.my_file:MyName."""

import importlib
import os
import sys
from typing import Any

from ascl_tf.errors import ConfigError, FieldError


def import_outside(field: str, name: str) -> Any:
    """Returns the module in `name`; the working directory is on the path.

    Args:
        field: the setting that has the name.
        name: module and name in it, separated by a colon.

    Raises:
        ConfigError: if the module cannot be imported.
    """
    module_name = name.partition(":")[0]
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())  # As `python -m` has it; a console script has not.
    try:
        return importlib.import_module(module_name)
    except FieldError as error:
        raise ConfigError(error, field=field, value=name) from error
    except (Exception, SystemExit) as error:  # Whatever a user's file raises.
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            field=field,
            value=name,
            expected=f"a module {module_name!r} that can be imported",
            cause=" ".join(reason.split()),
        ) from error
