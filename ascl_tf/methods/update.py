"""The update of a step: coupled weight decay, the optimizer, and the size of both."""

import tensorflow as tf

from ascl_tf.losses.gather import sum_across_replicas


def apply_update(optimizer, gradients, variables, decays):
    """Applies the gradients with coupled weight decay.

    An optimizer that says `decays_weights` does so by itself, and gets the plain gradient.

    Args:
        optimizer: a Keras optimizer; it sums over replicas.
        gradients: this replica's, one per variable.
        variables: Keras variables.
        decays: the weight decay of each variable, Python floats.

    Returns:
        dict of `gradient_norm` (without decay) and `update_norm`, over all replicas.

    Raises:
        ValueError: naming the variables that the objective does not depend on.
    """
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if missing:
        raise ValueError(f"the objective does not depend on: {', '.join(missing)}")
    before = [tf.identity(variable.value) for variable in variables]
    summed = [sum_across_replicas(gradient) for gradient in gradients]
    if not getattr(optimizer, "decays_weights", False):
        gradients = _with_decay(gradients, variables, decays)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    moved = [variable.value - old for variable, old in zip(variables, before, strict=True)]
    return {
        "gradient_norm": tf.linalg.global_norm(summed),
        "update_norm": tf.linalg.global_norm(moved),
    }


def _with_decay(gradients, variables, decays):
    # The optimizer sums over replicas; each adds its share of the decay.
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return [
        gradient + decay / num_replicas * variable.value
        for gradient, variable, decay in zip(gradients, variables, decays, strict=True)
    ]
