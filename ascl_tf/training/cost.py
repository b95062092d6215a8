"""What an epoch will cost, before it begins."""

import time

import tensorflow as tf


def seconds_per_epoch(method, config, image_shape, num_images):
    """Returns an estimate from timing the classifier on a few images (best of three).

    Eagerly: a graph would be nearer to the truth, and take longer to trace than to time.
    """
    images = tf.zeros([32, *image_shape])
    seconds = min(_seconds(method, images) for _ in range(3))
    return seconds / images.shape[0] * method.forward_units() * num_images


def describe_duration(seconds):
    """Returns a duration as a reader wants it: 40 s, 12 min, 6.1 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _seconds(function, images):
    began = time.perf_counter()
    function(images)
    return time.perf_counter() - began
