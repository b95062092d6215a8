"""Measuring robustness: named protocols in, traceable records out."""

from ascl_tf.evaluation.comparison import compare
from ascl_tf.evaluation.protocols import PROTOCOLS
from ascl_tf.evaluation.robustness import evaluate_robustness

__all__ = ["PROTOCOLS", "compare", "evaluate_robustness"]
