"""Adversarial weight perturbation (AWP): a step whose gradient is taken at perturbed weights.

    d_k = gamma * ||w_k|| * g_k / ||g_k||      for each kernel k (rank > 1), g = grad L(w)
    w <- w - rate * (grad L(w + d) + decay * w)

Wu et al. 2020, arXiv:2004.05884, alg. 1 with one step. L is the method's whole objective on
the same adversarial images. Nothing is assigned on the way, so there is nothing to put back:
the passes read w + d in place of the variables. Moving statistics are updated by the passes at
w + d alone, in the method's order.

Differs from the authors' code: docs/differences.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ascl_tf.losses.gather import sum_across_replicas
from ascl_tf.methods.step_data import Differentiated


def differentiate_at_perturbed_weights(
    method: Any,
    views: Mapping[str, tf.Tensor],
    adversarial: Mapping[str, tf.Tensor],
    variables: Sequence[keras.Variable],
    *,
    gamma: float | tf.Tensor,
) -> Differentiated:
    """Returns what `method.differentiate` gives at w + d, and updates the moving statistics.

    Args:
        method: a `Method`.
        views, adversarial: of `make_views` and `make_adversarial`.
        variables: the Keras variables to differentiate by.
        gamma: share of a kernel's norm, a number or scalar tensor >= 0.
    """
    with keras.StatelessScope():  # What this pass assigns is dropped.
        values = [tf.convert_to_tensor(variable.value) for variable in variables]
        gradients = _differentiate(method, views, adversarial, variables, values)[-1]
    gradients = [None if g is None else sum_across_replicas(g) for g in gradients]
    moved = perturbed_weights(values, gradients, gamma)
    with keras.StatelessScope() as scope:
        result = _differentiate(method, views, adversarial, variables, moved)
    _assign_statistics(method, scope)
    return result


def perturbed_weights(values, gradients, gamma):
    """Returns w + gamma * ||w|| * g / ||g|| for each kernel; vectors as they are.

    A kernel whose gradient is 0 or None stays where it is.
    """
    return [
        w if w.shape.rank < 2 or g is None else w + _direction(w, g) * tf.cast(gamma, w.dtype)
        for w, g in zip(values, gradients, strict=True)
    ]


def _direction(weights, gradient):
    return tf.norm(weights) * tf.math.divide_no_nan(gradient, tf.norm(gradient))


def _differentiate(method, views, adversarial, variables, values):
    """`method.differentiate` with `values` in place of the variables, inside a stateless scope."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return method.differentiate(views, adversarial, values)


def _assign_statistics(method, scope):
    for part in method.parts.values():
        for variable in part.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
