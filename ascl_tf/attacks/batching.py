"""Cutting a shrinking set of images into batches of few different sizes."""

import numpy as np

# A compiler that makes code for each batch size meets at most this many.
_NUM_SIZES = 32


def batches(rows, batch_size):
    """Yields (rows of a batch, how many of them are real).

    Every batch but the last is full. The last is padded with its first row to a
    multiple of a 32nd of `batch_size`: what is computed for padding is thrown away.

    Args:
        rows: int array, the images to attack.
        batch_size: Python int >= 1.
    """
    for begin in range(0, len(rows), batch_size):
        real = rows[begin : begin + batch_size]
        yield pad(real, batch_size), len(real)


def pad(rows, batch_size):
    """Returns `rows` and as many repetitions of the first as the next size needs."""
    unit = -(-batch_size // _NUM_SIZES)
    missing = min(-len(rows) % unit, batch_size - len(rows))
    return np.pad(rows, (0, missing), mode="constant", constant_values=rows[0])
