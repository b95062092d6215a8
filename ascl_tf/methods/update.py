"""How a step ends: coupled weight decay, the optimizer's update, and what is reported."""

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


def record_step(scalars, means, norms, standard_logits, outputs, labels):
    """Updates the metrics of a step.

    Args:
        scalars: name -> `keras.metrics.Mean`.
        means: name -> this replica's share of a global mean.
        norms: name -> norm over all replicas.
        standard_logits: [B, C] of natural images, or None.
        outputs: the step's `Outputs`.
        labels: int32 [B], -1 = unlabeled; None where there are no logits.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for name, mean in means.items():
        # A share of the global mean, counted once per replica by the metric.
        scalars[name].update_state(mean * num_replicas)
    for name, norm in norms.items():
        scalars[name].update_state(norm)
    logits = {"standard_accuracy": standard_logits, "robust_accuracy": outputs.robust_logits}
    for name, values in logits.items():
        if values is not None:
            _record_accuracy(scalars[name], values, labels)
    if outputs.projections is not None:
        # Falls to 0 when all images get the same projection (collapse).
        spread = tf.reduce_mean(tf.math.reduce_std(outputs.projections, axis=0))
        scalars["projection_std"].update_state(spread)


def _record_accuracy(metric, logits, labels):
    is_right = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
    percent = 100 * tf.cast(is_right, tf.float32)
    metric.update_state(percent, sample_weight=tf.cast(labels >= 0, tf.float32))
