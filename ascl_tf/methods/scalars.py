"""What a step reports: losses, norms, accuracies, and the spread of projections."""

import tensorflow as tf


def record_step(scalars, means, norms, standard_logits, outputs, labels):
    """Updates the metrics of a step.

    Args:
        scalars: name -> `keras.metrics.Mean`.
        means: name -> this replica's share of a global mean.
        norms: name -> norm over all replicas.
        standard_logits: [B, C] of natural images, or None.
        outputs: the step's `Outputs`.
        labels: int32 [B], -1 = unlabelled; None where there are no logits.
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
