"""Measuring robustness: named protocols in, traceable records out.

`compare` and `evaluate_robustness` are imported when they are asked for: the names of the protocols
must be readable without TensorFlow.
"""

import importlib
from typing import Any

from ascl_tf.evaluation.protocols import PROTOCOLS

__all__ = ["PROTOCOLS", "compare", "evaluate_robustness"]

_LATE = {"compare": "comparison", "evaluate_robustness": "robustness"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
