"""Lack of memory in a measurement, as one line that says what to lower."""

import contextlib

import tensorflow as tf

from ascl_tf.errors import RunError


@contextlib.contextmanager
def lack_in_one_line(batch_size, what):
    """Turns lack of memory into a RunError.

    Args:
        batch_size: images per batch, as `--evaluation_batch_size` says.
        what: the network or the images, such as "at width 64".
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise RunError(
            "--evaluation_batch_size: expected a batch that fits into memory; found that "
            f"{batch_size} images {what} do not. Lower --evaluation_batch_size: numbers stay the "
            "same but for rounding"
        ) from error
