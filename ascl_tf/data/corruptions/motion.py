"""Motion blur as ImageMagick does it: a one-sided Gaussian along a line of whole pixels."""

import numpy as np

# A weight below this moves no 8-bit value.
_SMALLEST_WEIGHT = 1e-6
_ROUNDING_ERROR = np.float32(1e-3)


def motion_kernel(radius, sigma):
    """Returns the weights of the taps, exp(-i^2 / (2 sigma^2)) for i = 0 .. 2 radius, sum 1."""
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def motion_blur_bytes(images, angles, radius, sigma):
    """Returns uint8 images smeared (and, as the kernel is one-sided, shifted) along a line.

    Tap i of an image reads, for each pixel, the one that lies ceil(i cos - 1/2) columns and
    ceil(i sin - 1/2) rows further; beyond the image that is the pixel at its edge.

    Args:
        images: uint8 [N, H, W, C].
        angles: [N], in degrees.
        radius, sigma: of the kernel, in pixels.
    """
    kernel = motion_kernel(radius, sigma)
    kernel = kernel[kernel > _SMALLEST_WEIGHT].astype(np.float32)
    taps = np.arange(len(kernel))
    radians = np.deg2rad(np.asarray(angles, np.float64))[:, None]
    rows = np.ceil(taps * np.sin(radians) - 0.5).astype(int) + len(kernel)
    columns = np.ceil(taps * np.cos(radians) - 0.5).astype(int) + len(kernel)
    (height, width), margin = images.shape[1:3], (len(kernel), len(kernel))
    padded = np.pad(images, ((0, 0), margin, margin, (0, 0)), mode="edge").astype(np.float32)
    blurred = np.zeros(images.shape, np.float32)
    for image, source, row, column in zip(blurred, padded, rows, columns, strict=True):
        for weight, top, left in zip(kernel, row, column, strict=True):
            image += weight * source[top : top + height, left : left + width]
    # Truncated, as the reference output shows; what is whole but for rounding stays whole.
    return (blurred + _ROUNDING_ERROR).astype(np.uint8)
