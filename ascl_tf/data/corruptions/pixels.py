"""Values of pixels: bytes and numbers in [0, 1], gray, and HSV without the detour over the hue.

With V = max and S = (max - min) / max of the channels, every channel is V (1 - S k), where k
depends on the hue alone. So a new V scales all channels, and a new S their distance from V.
"""

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


def with_value(values, change):
    """Returns RGB [..., 3] in [0, 1] whose V is `change(V)`, the same in hue and saturation."""
    old = values.max(axis=-1, keepdims=True)
    new = change(old)
    # Black has neither hue nor saturation: it becomes gray.
    return np.where(old > 0, values * (new / np.where(old > 0, old, 1)), new)


def with_saturation(values, change):
    """Returns RGB [..., 3] in [0, 1] whose S is `change(S)`, the same in hue and value.

    Gray has no hue and is treated as red: what saturation it gets takes green and blue away.
    """
    value = values.max(axis=-1, keepdims=True)
    spread = value - values.min(axis=-1, keepdims=True)
    old = spread / np.where(value > 0, value, 1)
    new = change(old)
    is_gray = spread == 0
    colored = value - (value - values) * (new / np.where(is_gray, 1, old))
    return np.where(is_gray, value * (1 - new * np.array([0, 1, 1])), colored)
