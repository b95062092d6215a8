"""Stateless random numbers that belong to images, not to devices.

A `seed` is int32 [2] for a whole call, or int32 [B, 2] with one pair per image.
With one pair per image, row i of every draw depends on pair i alone: neither
the size of the batch nor its split over replicas changes a number.
The algorithm is always Philox, since TensorFlow's automatic choice differs between
devices; what is drawn are bits, since compilers make different floats of the same bits.
"""

import functools

import tensorflow as tf

from ascl_tf.loops import traced_when_eager

ALGORITHM = "philox"


def fold_in(seed, number):
    """Returns an int32 [2] seed derived from `seed` (int32 [2]) and an integer."""
    pair = tf.random.experimental.stateless_fold_in(seed, number, alg=ALGORITHM)
    # The second word of that is `number` itself. Hashed once more, so that position p of
    # one step and position p - 1 of the next do not get the same seed.
    return tf.random.stateless_uniform([2], pair, None, None, tf.int32, alg=ALGORITHM)


def position_seeds(seed, positions):
    """Returns one seed per image, int32 [B, 2].

    Args:
        seed: int32 [2].
        positions: int [B], the place of each image in the global batch (training)
            or in the data set (evaluation).
    """
    positions = tf.cast(positions, tf.int32)
    first = tf.fill(tf.shape(positions), seed[0])
    return tf.stack([first, seed[1] + positions], axis=1)


def step_seeds(seed, purpose, step, positions):
    """Returns one seed per image for one purpose in one training step, int32 [B, 2].

    Args:
        seed: Python int or int32 scalar, the run's seed.
        purpose: Python int that keeps the draws of one step apart.
        step: int scalar, the number of updates made before this one.
        positions: int [B], places in the global batch.
    """
    key = tf.stack([tf.cast(seed, tf.int32), tf.constant(purpose, tf.int32)])
    return position_seeds(fold_in(key, tf.cast(step, tf.int32)), positions)


def uniform(shape, seed, *, low=0.0, high=1.0, dtype=tf.float32):
    """Draws uniform numbers from [low, high).

    Args:
        shape: shape of the result; with one seed per image its first entry is B.
        seed: int32 [2], or int32 [B, 2]: row i of the result depends on pair i alone.
        low, high: bounds of the interval.
        dtype: tf.float32 (24 random bits) or tf.float64 (32).

    Returns:
        Tensor of `shape` and `dtype`.

    Raises:
        ValueError: if `seed` is neither [2] nor [B, 2].
    """
    seed = tf.convert_to_tensor(seed, tf.int32)
    if seed.shape.rank == 1:
        return _draw(shape, seed, low, high, dtype)
    if seed.shape.rank != 2 or seed.shape[1] != 2:
        raise ValueError(f"`seed` must have shape [2] or [B, 2]; received {seed.shape}.")
    return _draw_rows(_static_shape(shape[1:]), seed, low, high, dtype)


@traced_when_eager
def _draw_rows(row_shape, seeds, low, high, dtype):
    is_known = not isinstance(row_shape, tf.Tensor)
    signature = tf.TensorSpec(row_shape if is_known else [None] * row_shape.shape[0], dtype)
    draw = functools.partial(_draw, row_shape, low=low, high=high, dtype=dtype)
    return tf.map_fn(draw, seeds, fn_output_signature=signature)


def _draw(shape, seed, low, high, dtype):
    # Raw bits, turned into floats here: TensorFlow's kernels and XLA agree on the bits,
    # but not on the floats that they make of them.
    bits = tf.random.stateless_uniform(shape, seed, None, None, tf.uint32, alg=ALGORITHM)
    if dtype == tf.float64:
        unit = tf.cast(bits, dtype) * 2.0**-32
    else:
        unit = tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), dtype) * 2.0**-24
    return low + (high - low) * unit


def _static_shape(shape):
    """Returns the shape as a tuple of Python ints where it is known, else as it is."""
    static = tf.get_static_value(tf.convert_to_tensor(shape, tf.int32))
    return shape if static is None else tuple(static.tolist())
