"""Choosing between two batches, image by image."""

import tensorflow as tf


def choose(condition, chosen, others):
    """Returns `chosen` where the image's condition holds, else `others`.

    What `tf.where` does, but that one broadcasts the condition to every pixel and takes
    twenty times as long on a CPU.

    Args:
        condition: bool [B].
        chosen, others: [B, ...], alike.
    """
    return tf.raw_ops.Select(condition=condition, x=chosen, y=others)
