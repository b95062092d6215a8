"""What TensorFlow says of an error, without what it says of itself."""

import re

import tensorflow as tf


def plain_message(error: tf.errors.OpError) -> str:
    """Returns the first line of a message, without names of graph nodes and operations."""
    first_line = error.message.strip().splitlines()[0]
    return re.sub(r"^\{\{.*?\}\} ?|\s*\[Op:.*$", "", first_line)
