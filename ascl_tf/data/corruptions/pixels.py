"""From bytes to numbers in [0, 1] and back, as the published data set was made."""

import numpy as np


def as_unit(images, dtype=np.float64):
    """Returns uint8 images / 255. Pass float64 where the result decides between two bytes."""
    return images.astype(dtype) / dtype(255)


def as_bytes(values):
    """Returns values in [0, 1] as uint8: clipped, times 255, and truncated, not rounded."""
    return (np.clip(values, 0, 1) * 255).astype(np.uint8)


def gray(values):
    """Returns luma [N, H, W, 1] of RGB values [N, H, W, 3]."""
    return (values @ np.array([0.299, 0.587, 0.114], values.dtype))[..., None]
