"""From per-row losses to one scalar: the only place that divides by a batch size."""

import tensorflow as tf

from ascl_tf.losses.gather import count_replicas, sum_across_replicas
from ascl_tf.losses.inputs import at_least_float32, check_shape, num_rows


def global_mean(per_row: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Returns this replica's share of the mean over the rows of the global batch.

    The sum over this replica's rows is divided by the number of rows on all replicas.
    The shares of all replicas add up to the mean, and `apply_gradients` sums gradients
    over replicas, so a step is the same on any number of them.

    Args:
        per_row: [rows], any float dtype; the same number of rows on every replica.
        mask: bool [rows], or None for all rows. Rows with False neither count nor add
            anything, whatever their value, and their gradient is 0.

    Returns:
        Scalar, float64 for float64, else float32. 0 where no row of the global batch counts.

    Raises:
        ValueError: if `per_row` is no vector, or `mask` is not bool of the same shape.

    Example:
        >>> print(global_mean([1.0, 2.0, 9.0], mask=[True, True, False]).numpy())
        1.5
    """
    values = at_least_float32(per_row)
    if values.shape.rank != 1:
        raise ValueError(f"`per_row` must have shape [rows]; received shape {values.shape}.")
    if mask is None:
        num_counted = tf.cast(num_rows(values) * count_replicas(), values.dtype)
    else:
        mask = _checked_mask(mask, values)
        # Selected, not multiplied: 0 * NaN is NaN, in the value and in the gradient.
        values = tf.where(mask, values, tf.zeros_like(values))
        num_counted = sum_across_replicas(tf.reduce_sum(tf.cast(mask, values.dtype)))
    return tf.math.divide_no_nan(tf.reduce_sum(values), num_counted)


def _checked_mask(mask: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    mask = tf.convert_to_tensor(mask)
    if mask.dtype != tf.bool:
        raise ValueError(f"`mask` must be bool; received dtype {mask.dtype.name}.")
    check_shape("mask", mask, values.shape.as_list(), "[rows]")
    return mask
