"""Cutting a shrinking set of images into batches of few different sizes."""

import numpy as np

# Sizes above this are rounded up, to as many steps between one power of two and the next
# as half of it: at most every sixteenth image is padding.
_EXACT_SIZES = 32


def batches(rows, batch_size):
    """Yields (rows of a batch, how many of them are real).

    Every batch but the last is full. The last is padded with its first row: what is
    computed for padding is thrown away, but a compiler that makes code for each batch size
    meets fewer of them.

    Args:
        rows: int array, the images to attack.
        batch_size: Python int >= 1.
    """
    for begin in range(0, len(rows), batch_size):
        real = rows[begin : begin + batch_size]
        yield pad(real, batch_size), len(real)


def pad(rows, batch_size):
    """Returns `rows` and as many repetitions of the first as the next size needs."""
    unit = 1
    while unit * _EXACT_SIZES < len(rows):
        unit *= 2
    missing = min(-len(rows) % unit, batch_size - len(rows))
    return np.pad(rows, (0, missing), mode="constant", constant_values=rows[0])
