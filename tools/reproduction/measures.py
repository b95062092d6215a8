"""What a figure has measured of each image or component, as text in a record."""

import base64

import numpy as np


def pack(values):
    """Returns numbers in base64, as little-endian float32.

    Example:
        >>> pack([1.0, 2.0])
        'AACAPwAAAEA='
    """
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode("ascii")


def unpack(text):
    """Returns the numbers that `pack` has written, float64 [N].

    Example:
        >>> unpack("AACAPwAAAEA=")
        array([1., 2.])
    """
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
