"""Functions that are one graph each where they are called eagerly.

A view of a batch is 1,300 operations, most of them tiny: one by one they take longer than the rest
of a small step. Within a graph the function is called as it is: a graph of its own there would
leave TensorFlow another order of operations, and other last bits.
"""

import functools

import tensorflow as tf


def traced_when_eager(function):
    """Returns the function, as a `tf.function` where it is called eagerly."""
    traced = tf.function(function, autograph=False)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return (traced if tf.executing_eagerly() else function)(*args, **kwargs)

    return call
