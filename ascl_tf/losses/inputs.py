"""Casts and static checks that every loss applies to its arguments first."""

import math
import numbers
from collections.abc import Iterable, Sequence

import tensorflow as tf

UNLABELED = -1  # The label of an image whose class is not known.


def at_least_float32(tensor: tf.Tensor) -> tf.Tensor:
    """Returns `tensor` unchanged if it is float64, else cast to float32."""
    tensor = tf.convert_to_tensor(tensor)
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def num_rows(tensor: tf.Tensor) -> int | tf.Tensor:
    """Returns the length of axis 0: a Python int if it is known, else an int32 scalar."""
    return tf.shape(tensor)[0] if tensor.shape[0] is None else tensor.shape[0]


def is_labeled(labels: tf.Tensor) -> tf.Tensor:
    """Returns bool in the shape of `labels`: False where the class is unknown."""
    return labels != UNLABELED


def float_matrix(name: str, tensor: tf.Tensor, described: str) -> tf.Tensor:
    """Returns `tensor` in at least float32 after checking that it has two axes.

    Args:
        name: the argument's name, for the message.
        tensor: any float dtype.
        described: the expected shape in words, such as "[num_anchors, dim]".

    Raises:
        ValueError: if `tensor` does not have two axes.
    """
    tensor = at_least_float32(tensor)
    if tensor.shape.rank != 2:
        raise ValueError(f"`{name}` must have shape {described}; received shape {tensor.shape}.")
    return tensor


def view_pair_matrix(name: str, tensor: tf.Tensor) -> tf.Tensor:
    """Returns the result of `float_matrix` for two views of every image, stacked on axis 0.

    Raises:
        ValueError: if `tensor` does not have two axes, or has an odd number of rows.
    """
    tensor = float_matrix(name, tensor, "[2 * num_images, dim]")
    if tensor.shape[0] is not None and tensor.shape[0] % 2:
        raise ValueError(
            f"`{name}` must have an even number of rows, two views of every image; "
            f"received shape {tensor.shape}."
        )
    return tensor


def multi_view_matrix(projections: tf.Tensor, num_views: int) -> tf.Tensor:
    """Returns the result of `float_matrix` for `num_views` views of every image, on axis 0.

    Raises:
        ValueError: if `num_views` is below 2, `projections` does not have two axes, or its number
            of rows is not a multiple of `num_views`.
    """
    if num_views < 2:
        raise ValueError(f"`num_views` must be >= 2; received {num_views}.")
    rows = float_matrix("projections", projections, "[num_views * num_images, dim]")
    if rows.shape[0] is not None and rows.shape[0] % num_views:
        raise ValueError(
            f"`projections` must have {num_views} rows for every image; "
            f"received shape {rows.shape}."
        )
    return rows


def label_vector(
    labels: tf.Tensor, num_labels: int | tf.Tensor | None, described: str = "[num_images]"
) -> tf.Tensor:
    """Returns `labels` as int32 [num_labels].

    Args:
        labels: integers [num_labels].
        num_labels: the expected length: a Python int, or None or a tensor if it is unknown.
        described: the expected shape in words.

    Raises:
        ValueError: if the shape differs, the labels are not integers, or (if their values are
            known, outside a graph) they do not fit into int32.
    """
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer:
        raise ValueError(f"`labels` must be integers; received dtype {labels.dtype.name}.")
    check_shape("labels", labels, [num_labels], described)
    if labels.dtype.max > tf.int32.max and tf.executing_eagerly():
        # A cast would turn 2**32 + 1 into class 1.
        values = labels.numpy()
        if values.max(initial=0) > tf.int32.max or values.min(initial=0) < tf.int32.min:
            raise ValueError(
                "`labels` must be class ids below 2**31; received values from "
                f"{values.min()} to {values.max()}."
            )
    return tf.cast(labels, tf.int32)


def check_shape(
    name: str, tensor: tf.Tensor, expected: Sequence[int | tf.Tensor | None], described: str
) -> None:
    """Raises ValueError if the static shape contradicts `expected`.

    Args:
        name: the argument's name, for the message.
        tensor: the argument.
        expected: one entry per axis: a Python int, or None or a tensor if it is unknown.
        described: the expected shape in words.
    """
    shape = tf.TensorShape([n if isinstance(n, int) else None for n in expected])
    if tensor.shape.rank != shape.rank or not shape.is_compatible_with(tensor.shape):
        raise ValueError(
            f"`{name}` must have shape {described}, here {shape}; received shape {tensor.shape}."
        )


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless `temperature` is a finite number > 0."""
    if not _is_finite_number(temperature) or temperature <= 0:
        raise ValueError(f"`temperature` must be a finite number > 0; received {temperature}.")


def check_beta(beta: float) -> None:
    """Raises ValueError unless `beta` is a finite number >= 0."""
    if not _is_finite_number(beta) or beta < 0:
        raise ValueError(f"`beta` must be a finite number >= 0; received {beta}.")


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}; received {value!r}.")


def _is_finite_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and math.isfinite(value)
