"""How differently several losses pull at one image: the log-determinant of their gradients."""

from collections.abc import Sequence

import tensorflow as tf

from ascl_tf.losses.inputs import at_least_float32

RIDGE = 1e-5  # Chen et al.'s code.
# Squared norm below which a gradient counts as absent (1e-10 as a norm in Chen et al.'s code).
SMALLEST_SQUARED_NORM = 1e-20


def gradient_log_determinant(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the log-determinant of the Gram matrix of each image's unit gradients.

    With the columns of G the gradients of the M tasks, each divided by its l2 norm:

        log det( G^T G + 1e-5 I )

    Near 0 for gradients at right angles, and low for gradients that point the same way or
    opposite ways; with all equal it is log(M + 1e-5) + (M - 1) log(1e-5). Chen et al. 2020,
    arXiv:2003.12862, as their code has it. Twice differentiable everywhere, at equal and at
    vanishing gradients too, thanks to the 1e-5 I.

    Args:
        gradients: list of M tensors [B, ...] of one shape, any float dtype: the gradients of
            the tasks' losses with respect to their own version of the image.

    Returns:
        [B], float64 for float64 `gradients`, else float32. A gradient of length 0 counts as
        a zero column.

    Raises:
        ValueError: if there are fewer than two gradients, or their shapes differ.
    """
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    _check(gradients)
    dtype = at_least_float32(gradients[0]).dtype
    # In float64: the determinant is as small as 1e-10 where float32 resolves 1e-7.
    rows = [tf.reshape(tf.cast(g, tf.float64), [tf.shape(g)[0], -1]) for g in gradients]
    columns = tf.stack([_unit(row) for row in rows], axis=1)  # [B, M, D]
    gram = tf.matmul(columns, columns, transpose_b=True)  # [B, M, M]
    gram += RIDGE * tf.eye(len(gradients), dtype=tf.float64)
    return tf.cast(_log_determinant(gram), dtype)


def _unit(rows: tf.Tensor) -> tf.Tensor:
    squared_norm = tf.reduce_sum(tf.square(rows), axis=1, keepdims=True)
    return rows * tf.math.rsqrt(tf.maximum(squared_norm, SMALLEST_SQUARED_NORM))


def _log_determinant(matrices: tf.Tensor) -> tf.Tensor:
    """Log-determinant [B] of symmetric positive definite [B, M, M], by elimination.

    Not `tf.linalg`: its gradients invert matrices, which raises on NaN in mid-training
    where the run should end with a line that says so.
    """
    total = 0.0
    for _ in range(matrices.shape[1]):
        pivot = matrices[:, :1, :1]
        total += tf.math.log(pivot[:, 0, 0])
        matrices = matrices[:, 1:, 1:] - matrices[:, 1:, :1] * matrices[:, :1, 1:] / pivot
    return total


def _check(gradients: Sequence[tf.Tensor]) -> None:
    shapes = [gradient.shape for gradient in gradients]
    is_valid = len(shapes) >= 2 and all(shape.is_compatible_with(shapes[0]) for shape in shapes)
    if not is_valid:
        raise ValueError(
            "`gradients` must be two or more tensors [B, ...] of one shape; "
            f"received {', '.join(str(shape) for shape in shapes) or 'none'}."
        )
