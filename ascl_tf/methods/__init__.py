"""Methods of pre-training, one file each; `Method` is what they have in common.

The names below are what a method of one's own needs (docs/methods.md). They are imported when they
are asked for: the settings of the methods, in `*_spec.py`, must be readable without TensorFlow.
"""

import importlib
from typing import Any

from ascl_tf.config.registry import register_method

_PLACES = {
    "Batch": "step_data",
    "Method": "base",
    "Outputs": "step_data",
    "Purpose": "step_data",
    "Term": "step_data",
    "make_strong_views": "step_data",
    "make_weak_view": "step_data",
}
__all__ = [*_PLACES, "register_method"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
