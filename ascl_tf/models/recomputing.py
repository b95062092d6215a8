"""Gradients that recompute what they need, in place of keeping it from the forward pass."""

import tensorflow as tf


def recomputing(function):
    """Returns `function` of tensors; its gradient calls it once more, and keeps arguments alone.

    As in Chen et al. 2016, arXiv:1604.06174. `function` returns a tuple of tensors; the gradient
    is that of the first, none goes through the others. It must not assign variables, which would
    happen twice. `tf.recompute_grad`, which `keras.remat` calls, holds the second call back by a
    sum with each argument, which copies all of them.

    The gradients of all arguments are there together: that of an image goes on when that of the
    weights is done. TensorFlow would put off the latter, and hold what they need all the while.
    """

    @tf.custom_gradient
    def apply(*arguments):
        def gradient(upstream, *_):
            # What waits for the gradient cannot be merged with the same operations before it.
            with tf.control_dependencies([upstream]), tf.GradientTape() as tape:
                tape.watch(arguments)
                outputs, *_ = function(*arguments)
            return tf.tuple(tape.gradient(outputs, arguments, output_gradients=upstream))

        return function(*arguments), gradient

    return apply
