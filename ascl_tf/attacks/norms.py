"""Geometry of balls in the l-infinity and the l2 norm, and selection image by image.

Images are [B, H, W, C], float32 in [0, 1] (in PGD also float64, in any box). Lengths have shape
[B, 1, 1, 1].
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
    """Returns the direction of length 1 that follows `gradient` most steeply."""
    return tf.sign(gradient) if norm == "linf" else unit(gradient, norm)


def direction(gradient, norm):
    """Returns the steps of length 1 that increase the objective most; zero where it is flat.

    Like `steepest`, but independent of the scale in the l2 norm: each image of `gradient` is first
    divided by its largest entry, whose square might underflow.
    """
    if norm == "linf":
        return tf.sign(gradient)
    gradient = tf.math.divide_no_nan(gradient, lengths(gradient, "linf"))
    return tf.math.divide_no_nan(gradient, lengths(gradient, norm))


def make_limits(images, *, epsilon, norm, clip_min=0.0, clip_max=1.0):
    """Returns the tensors of ball and box for `project`, so that a loop can carry them.

    l-infinity: (lower, upper), each like `images`, which bound ball and box by one interval per
    pixel. l2: (images, epsilon, clip_min, clip_max).
    """
    if norm == "linf":
        return tf.maximum(images - epsilon, clip_min), tf.minimum(images + epsilon, clip_max)
    return images, *(tf.cast(bound, images.dtype) for bound in (epsilon, clip_min, clip_max))


def project(points, *limits, norm):
    """Returns `points` moved into the ball, then into the box, both from `make_limits`.

    The box contains the center of the ball, so clipping to it only shortens a perturbation, and
    the result is in both.
    """
    if norm == "linf":
        return tf.clip_by_value(points, *limits)
    images, epsilon, *box = limits
    perturbations = points - images
    length = lengths(perturbations, norm)
    points = images + perturbations / (length + _TINY) * tf.minimum(length, epsilon)
    return tf.clip_by_value(points, *box)


def make_projection(images, *, epsilon, norm):
    """Returns a function that moves points into the ball around `images`, then into [0, 1]."""
    limits = make_limits(images, epsilon=epsilon, norm=norm)
    return lambda points: project(points, *limits, norm=norm)


def random_start(images, *, epsilon, norm, seeds):
    """Returns a random point on the surface of each ball, clipped to [0, 1].

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
    pairs = randomness.uniform(tf.concat([_shape_of(images), [2]], axis=0), seeds)
    return tf.reshape(_normal(pairs[..., 0], pairs[..., 1]), tf.shape(images))


def _normal(first, second):
    """Box-Muller, since `randomness` draws uniform numbers only."""
    return tf.sqrt(-2.0 * tf.math.log(1.0 - first)) * tf.cos(2 * np.pi * second)


def _shape_of(images):
    return images.shape.as_list() if images.shape.is_fully_defined() else tf.shape(images)


def uniform_start(images, *, epsilon, norm, seed):
    """Returns `images` plus noise that is uniform in the ball of radius `epsilon`.

    l-infinity: uniform in each pixel. l2: a normal vector, whose direction is uniform, scaled to
    the length epsilon * u^(1/d), where u is uniform in [0, 1) and d = H * W * C (the share of the
    ball within a radius r is (r / epsilon)^d).

    Args:
        images: [B, H, W, C], float32 or float64.
        epsilon: radius of the ball.
        norm: one of `NORMS`.
        seed: int32 [2], or [B, 2] with one pair per image.
    """
    if norm == "l2":
        return images + epsilon * _uniform_in_unit_l2_ball(images, seed)
    return images + randomness.uniform(
        _shape_of(images), seed, low=-epsilon, high=epsilon, dtype=images.dtype
    )


def _uniform_in_unit_l2_ball(images, seed):
    num_images, size = _shape_of(images)[0], images.shape[1:].num_elements()
    if size is None:
        size = tf.reduce_prod(tf.shape(images)[1:])
    # One draw, so that all of an image's numbers come from its own seed.
    drawn = randomness.uniform(tf.stack([num_images, 2 * size + 1]), seed, dtype=images.dtype)
    noise = tf.reshape(_normal(drawn[:, :size], drawn[:, size:-1]), tf.shape(images))
    radius = tf.pow(drawn[:, -1], 1 / tf.cast(size, images.dtype))
    return radius[:, None, None, None] * direction(noise, "l2")


def choose(condition, chosen, others):
    """Returns `chosen` for images whose condition holds, else `others`.

    `tf.where` does the same, but broadcasts the condition to every pixel and takes twenty times
    as long on a CPU.

    Args:
        condition: bool [B].
        chosen, others: [B, ...], of the same shape.
    """
    return tf.raw_ops.Select(condition=condition, x=chosen, y=others)
