"""Images for the tests of corruptions."""

import numpy as np
import scipy.ndimage

DETERMINISTIC = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
    "saturate",
)


def smooth_images(num_images=3, size=32, seed=0):
    """Returns uint8 images that look a little like photographs, some parts of them gray."""
    rng = np.random.default_rng(seed)
    values = scipy.ndimage.gaussian_filter(
        rng.normal(size=(num_images, size, size, 3)), (0, 3, 3, 0), mode="wrap"
    )
    images = np.clip(128 + values / values.std() * 70, 0, 255).astype(np.uint8)
    images[:, :4, :4] = images[:, :4, :4, :1]
    images[:, 5, 5], images[:, 6, 6] = 0, 255
    return images


IMAGES = smooth_images()
GRAY = np.full((20, 32, 32, 3), 128, np.uint8)


def difference(got, want):
    """Returns the absolute difference in gray levels, float64."""
    return np.abs(got.astype(np.float64) - want)
