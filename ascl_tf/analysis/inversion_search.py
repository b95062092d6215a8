"""Normalized gradient ascent to the images at which a function is largest."""

import tensorflow as tf

from ascl_tf.attacks import norms
from ascl_tf.loops import while_loop


def climb(values_of, images, num_steps, step_size):
    """Returns the best images on the path of the ascent, and their values.

        x <- clip(x + step_size * grad v(x) / ||grad v(x)||_2, 0, 1)

    Of the num_steps + 1 images on the path the one with the largest value is kept, so that it is
    never below the first. Where the gradient is zero the image stays. One `tf.while_loop`.

    Args:
        values_of: images [B, H, W, C] -> values [B], each of its own image.
        images: float32 [B, H, W, C] in [0, 1], where the ascent starts.
        num_steps: Python int >= 0.
        step_size: l2 length of a step, in pixels of range 1.
    """

    def body(step, current, best, best_values):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(current)
            values = values_of(current)
        gradient = tape.gradient(values, current)
        best, best_values = _better(values, current, best_values, best)
        moved = current + step_size * norms.unit(gradient, "l2")
        return step + 1, tf.clip_by_value(moved, 0.0, 1.0), best, best_values

    start = (tf.constant(0), images, images, values_of(images))
    _, last, best, best_values = while_loop(lambda step, *_: step < num_steps, body, start)
    return _better(values_of(last), last, best_values, best)


def _better(values, images, best_values, best):
    """Returns (images, values), of each pair of rows the one with the larger value."""
    is_better = values > best_values
    images = tf.where(is_better[:, None, None, None], images, best)
    return images, tf.where(is_better, values, best_values)
