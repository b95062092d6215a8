"""The geometry of balls in the l-infinity and the l2 norm, and choices image by image.

Images are [B, H, W, C] float32 in [0, 1]; lengths are kept as [B, 1, 1, 1].
"""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness

NORMS = ("linf", "l2")

# A whole image of zeros is divided by this, and stays zero.
_TINY = 1e-12


def lengths(perturbations, norm):
    """Returns the norm of each image of `perturbations`, [B, 1, 1, 1]."""
    if norm == "linf":
        return tf.reduce_max(tf.abs(perturbations), axis=[1, 2, 3], keepdims=True)
    squares = tf.reduce_sum(tf.square(perturbations), axis=[1, 2, 3], keepdims=True)
    return tf.sqrt(squares)


def unit(perturbations, norm):
    """Returns each image of `perturbations` divided by its norm."""
    return perturbations / (lengths(perturbations, norm) + _TINY)


def steepest(gradient, norm):
    """Returns the direction of length 1 in which `gradient` rises most."""
    return tf.sign(gradient) if norm == "linf" else unit(gradient, norm)


def make_projection(images, *, epsilon, norm):
    """Returns the function that moves points into the ball around `images`, then into [0, 1]."""
    if norm == "linf":
        lower = tf.maximum(images - epsilon, 0.0)
        upper = tf.minimum(images + epsilon, 1.0)
        return lambda points: tf.clip_by_value(points, lower, upper)

    def onto_l2_ball(points):
        perturbations = points - images
        length = lengths(perturbations, norm)
        points = images + perturbations / (length + _TINY) * tf.minimum(length, epsilon)
        return tf.clip_by_value(points, 0.0, 1.0)

    return onto_l2_ball


def random_start(images, *, epsilon, norm, seeds):
    """Returns a point of each ball's surface, clipped to [0, 1].

    l-infinity: uniform noise, scaled so that its largest component is `epsilon`;
    l2: a uniform direction of length `epsilon`.

    Args:
        images: [B, H, W, C].
        epsilon: radius of the ball.
        norm: one of `NORMS`.
        seeds: int32 [B, 2], one pair per image.
    """
    images = tf.convert_to_tensor(images)
    draw = _uniform_noise if norm == "linf" else _normal_noise
    return tf.clip_by_value(images + epsilon * unit(draw(images, seeds), norm), 0.0, 1.0)


def _uniform_noise(images, seeds):
    return randomness.uniform(_shape_of(images), seeds, low=-1.0)


def _normal_noise(images, seeds):
    """Box-Muller, since `randomness` draws uniform numbers only."""
    pairs = randomness.uniform(tf.concat([_shape_of(images), [2]], axis=0), seeds)
    radius = tf.sqrt(-2.0 * tf.math.log(1.0 - pairs[..., 0]))
    return tf.reshape(radius * tf.cos(2 * np.pi * pairs[..., 1]), tf.shape(images))


def _shape_of(images):
    return images.shape.as_list() if images.shape.is_fully_defined() else tf.shape(images)


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
    noise = randomness.uniform(
        _shape_of(images), seed, low=-epsilon, high=epsilon, dtype=images.dtype
    )
    return tf.clip_by_value(images + noise, lower, upper)


def choose(condition, chosen, others):
    """Returns `chosen` where the image's condition holds, else `others`.

    What `tf.where` does, but that one broadcasts the condition to every pixel and takes
    twenty times as long on a CPU.

    Args:
        condition: bool [B].
        chosen, others: [B, ...], alike.
    """
    return tf.raw_ops.Select(condition=condition, x=chosen, y=others)
