"""The l-infinity ball intersected with the image box, and starting points in it."""

import tensorflow as tf

from ascl_tf import randomness


def linf_interval(images, *, epsilon, clip_min, clip_max):
    """Returns (lower, upper), each like `images`: ball and box as one interval per pixel."""
    lower = tf.maximum(images - epsilon, clip_min)
    upper = tf.minimum(images + epsilon, clip_max)
    return lower, upper


def uniform_linf_start(images, lower, upper, *, epsilon, seed):
    """Returns `images` plus uniform noise from [-epsilon, epsilon], clipped to the interval.

    Args:
        images: [B, H, W, C], float32 or float64.
        lower, upper: the interval of `linf_interval`.
        epsilon: radius of the ball.
        seed: int32 [2], or [B, 2] with one pair per image.
    """
    noise = randomness.uniform(_shape(images), seed, low=-epsilon, high=epsilon, dtype=images.dtype)
    return tf.clip_by_value(images + noise, lower, upper)


def _shape(images):
    static = images.shape
    return static.as_list() if static.is_fully_defined() else tf.shape(images)
