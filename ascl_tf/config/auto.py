"""What a setting is where it is not given, if that depends on other settings.

On the command line, and from Python, the word `auto` stands for "not given". A run records the
value, which identifies it, and not the word.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ascl_tf.config import registry
from ascl_tf.config.setting import Fraction

# Share of the epochs over which a rate that is scaled rises from 0.
WARMUP_SHARE = 0.05
# Where the method's own recipe has another optimizer: this package's SGD, and SimCLR's LARS, which
# gives each layer a rate by the size of its weights, whatever the loss.
USUAL = {"sgd": registry.Recipe(), "lars": registry.Recipe("lars", 2.0, 512)}

Values = Mapping[str, Any]


def fill_in(values: Values) -> dict[str, Any]:
    """Returns settings with the missing ones of this file.

    Args:
        values: all other settings, and those of this file that are given.
    """
    filled = dict(values)
    for name, find in _FINDERS.items():
        if name not in values:
            filled[name] = find(filled)
    return filled


def _epsilon(values: Values) -> Fraction:
    return Fraction("128/255" if values["norm"] == "l2" else "8/255")


def _step_size(values: Values) -> Fraction:
    return Fraction("15/255" if values["norm"] == "l2" else "2/255")


def _recipe(values: Values) -> registry.Recipe:
    recipe = registry.find_method(values["method"]).recipe
    is_its_own = recipe.optimizer == values["optimizer"]
    return recipe if is_its_own else USUAL[values["optimizer"]]


def _learning_rate(values: Values) -> float:
    return _recipe(values).rate_at(values["global_batch_size"])


def _warmup_epochs(values: Values) -> float:
    is_scaled = values["global_batch_size"] != _recipe(values).batch_size
    is_found = "learning_rate" not in values  # It comes behind.
    return round(WARMUP_SHARE * values["epochs"], 2) if is_scaled and is_found else 0.0


def _finetune_learning_rate(values: Values) -> float:
    batch = values["finetune_global_batch_size"] or values["global_batch_size"]
    return USUAL["sgd"].rate_at(batch)


_FINDERS: dict[str, Callable[[Values], Any]] = {
    "epsilon": _epsilon,
    "step_size": _step_size,
    "warmup_epochs": _warmup_epochs,
    "learning_rate": _learning_rate,
    "finetune_learning_rate": _finetune_learning_rate,
}
NAMES = tuple(_FINDERS)
