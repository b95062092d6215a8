"""Rows of the global batch, gathered on one replica, and the mean over all of them.

`global_mean` is the only place that divides by a batch size.

Every replica must hold the same number of images. Outside a replica context, or
with one replica, nothing is communicated.

View-major order: all images of view 0, then all images of view 1, and so on. With
V views, b images on each replica and B images in the global batch, replica r holds
the images r * b to (r + 1) * b - 1 of every view.
"""

import tensorflow as tf

from ascl_tf.losses.inputs import at_least_float32, check_shape, num_rows


def count_replicas() -> int:
    """Returns the number of replicas in sync, a Python int; 1 outside a replica context."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def gather_across_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the rows of all replicas, one replica after another.

    The gradient flows back: the rows of a replica receive the sum of the gradients of all
    replicas with respect to them.

    Args:
        tensor: [b, ...], the same shape on every replica.

    Returns:
        [num_replicas * b, ...], dtype kept.

    Example:
        >>> print(gather_across_replicas(tf.constant([1, 2])).numpy())  # One replica: its own rows.
        [1 2]
    """
    if count_replicas() == 1:
        return tensor
    # Under several workers all_gather cannot take an argument of the traced function itself.
    tensor = tf.identity(tensor)
    return tf.distribute.get_replica_context().all_gather(tensor, axis=0)


def sum_across_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the sum of every replica's `tensor`, shape and dtype kept.

    Example:
        >>> print(sum_across_replicas(tf.constant([1, 2])).numpy())  # One replica: its own tensor.
        [1 2]
    """
    if count_replicas() == 1:
        return tensor
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(tensor))


def gather_views(stacked_views: tf.Tensor, num_views: int) -> tf.Tensor:
    """Returns the views of all replicas in the view-major order of the global batch.

    Args:
        stacked_views: [V * b, ...], this replica's rows, view-major.
        num_views: V, a Python int.

    Returns:
        [V * B, ...], view-major, dtype kept. The gradient flows back.

    Example:
        >>> print(gather_views(tf.constant([1, 2, 3, 4]), 2).numpy())  # One replica: its own rows.
        [1 2 3 4]
    """
    num_replicas = count_replicas()
    gathered = gather_across_replicas(stacked_views)
    if num_replicas == 1 or num_views == 1:
        return gathered
    row_shape = tf.shape(gathered)[1:]
    by_replica = tf.concat([[num_replicas, num_views, -1], row_shape], axis=0)
    gathered = tf.reshape(gathered, by_replica)  # [replicas, V, b, ...]
    order = [1, 0, *range(2, gathered.shape.rank)]
    gathered = tf.transpose(gathered, order)  # [V, replicas, b, ...]
    stacked = tf.reshape(gathered, tf.concat([[-1], row_shape], axis=0))  # [V * B, ...]
    static_rows = stacked_views.shape[0]
    total = None if static_rows is None else static_rows * num_replicas
    return tf.ensure_shape(stacked, [total, *stacked_views.shape[1:]])


def local_rows(num_local_images: int | tf.Tensor, num_views: int) -> tf.Tensor:
    """Returns the indices of this replica's rows in the result of `gather_views`.

    Args:
        num_local_images: b, a Python int or int32 scalar.
        num_views: V, a Python int.

    Returns:
        int32 [V * b], view-major.

    Example:
        >>> print(local_rows(2, num_views=2).numpy())  # One replica: all rows.
        [0 1 2 3]
    """
    num_replicas = count_replicas()
    images = tf.range(num_local_images)  # [b]
    if num_replicas > 1:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        images += tf.cast(replica, tf.int32) * num_local_images
    first_of_view = tf.range(num_views) * num_local_images * num_replicas  # [V]
    return tf.reshape(first_of_view[:, None] + images[None, :], [-1])  # [V * b]


def global_mean(per_row: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
    """Returns this replica's share of the mean over the rows of the global batch.

    It divides the sum over this replica's rows by the number of rows on all replicas.
    The shares of all replicas add up to the mean, and `apply_gradients` sums gradients
    over replicas, so a step is the same on any number of replicas.

    Args:
        per_row: [rows], any float dtype; the same number of rows on every replica.
        mask: bool [rows], or None for all rows. Rows with False are left out of the sum and the
            count, whatever their value, and their gradient is 0.

    Returns:
        Scalar, float64 for float64 `per_row`, else float32. 0 if no row of the global batch counts.

    Raises:
        ValueError: if `per_row` is not a vector, or `mask` is not bool of the same shape.

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
