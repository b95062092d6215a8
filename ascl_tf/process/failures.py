"""Failures of the machine - memory, a full disk - as one line that says what to do."""

import contextlib

import tensorflow as tf

from ascl_tf.errors import RunError


@contextlib.contextmanager
def memory_errors_as_one_line(batch_size, what):
    """Turns lack of memory into a RunError.

    Args:
        batch_size: images per batch, as the setting `evaluation_batch_size` says.
        what: the network or the images, such as "at width 64".
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise RunError(
            field="evaluation_batch_size",
            expected="a batch that fits into memory",
            found=f"that {batch_size} images {what} do not. Lower `evaluation_batch_size`: "
            "numbers stay the same but for rounding",
        ) from error


EVENT_FILE = "tfevents"


@contextlib.contextmanager
def training_errors_as_one_line(*, width, batch_setting, global_batch_size, logs):
    """Turns lack of memory, and of space for TensorBoard's files, into a RunError.

    Args:
        width: of the network.
        batch_setting: name of the setting that sets `global_batch_size`.
        global_batch_size: images per step.
        logs: folder of the event files.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise RunError(
            field=batch_setting,
            expected="a step that fits into memory",
            found=f"that {global_batch_size} images at width {width} do not. Lower "
            f"`{batch_setting}`, or else `width`, in another `workdir`: it is another run",
        ) from error
    except tf.errors.OpError as error:
        first = str(error.message).splitlines()[0]
        if EVENT_FILE not in first:
            raise
        reason = first.rpartition("; ")[2]
        raise RunError(f"{logs}: expected to write event files; found: {reason}") from error
