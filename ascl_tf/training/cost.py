"""What an epoch will cost, before it begins."""

import time

import tensorflow as tf


def forward_units(config):
    """Returns the cost of one pre-training step per image, in forward passes.

    A pass counts 1, a backward pass to the input only 1, a full backward pass 2. The
    natural images' accuracy adds 1 to every method.
    """
    if config.method == "standard":
        return 3 + 1
    outer = config.outer_loss if config.method == "ascl" else config.method
    units = 1 + 2 * config.num_steps_at + (3 if outer == "at" else 6)
    if config.method != "ascl":
        return units
    views = 1 if config.cl_mode == "a2s" else 2
    if config.lambda_1 > 0:
        units += views * 2 * config.num_steps_cl + 3 * views
    if config.lambda_2 > 0:
        units += 2 + 2 * config.num_steps_ascl + 9
    return units


def seconds_per_epoch(method, config, image_shape, num_images):
    """Returns an estimate from timing the classifier on a few images (best of three).

    Eagerly: a graph would be nearer to the truth, and take longer to trace than to time.
    """
    images = tf.zeros([32, *image_shape])
    seconds = min(_seconds(method, images) for _ in range(3))
    return seconds / images.shape[0] * forward_units(config) * num_images


def describe_duration(seconds):
    """Returns a duration as a reader wants it: 40 s, 12 min, 6.1 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _seconds(function, images):
    began = time.perf_counter()
    function(images)
    return time.perf_counter() - began
