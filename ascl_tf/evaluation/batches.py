"""Batches of one shape, and the random numbers that their attacks start from."""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness

# Keeps the draws of evaluation apart from those of training with the same seed.
_RANDOM_STREAM = 0x5EED


def attack_seed(seed, restart):
    """Returns int32 [2] for one restart of an attack; `seed`: Python int."""
    return randomness.fold_in(tf.constant([seed, _RANDOM_STREAM], tf.int32), restart)


def padded_batches(indices, batch_size):
    """Yields (batch_size indices, how many of them are real); the tail repeats its first."""
    for begin in range(0, len(indices), batch_size):
        rows = indices[begin : begin + batch_size]
        num_real = len(rows)
        # One shape for every batch, so that one trace serves them all.
        yield np.pad(rows, (0, batch_size - num_real), constant_values=rows[0]), num_real
