"""Blurs: Gaussian, defocus, glass, motion (as ImageMagick does it), zoom."""

import functools

import numpy as np
import scipy.ndimage
import scipy.sparse

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.pixels import as_bytes, as_unit

# A weight below this moves no 8-bit value.
_SMALLEST_WEIGHT = 1e-6
_ROUNDING_ERROR = np.float32(1e-3)


def smooth(values, sigma, *, mode="nearest", truncate=4.0):
    """Returns values [N, H, W, ...] after a Gaussian along height and width."""
    sigmas = (0, sigma, sigma) + (0,) * (values.ndim - 3)
    return scipy.ndimage.gaussian_filter(values, sigmas, mode=mode, truncate=truncate)


def gaussian_blur(images, severity, draws):
    """Smooths with a Gaussian; the edge pixels go on beyond the image."""
    return smooth(as_unit(images), severities.GAUSSIAN_BLUR[severity - 1])


def defocus_blur(images, severity, draws):
    """Correlates with a small disk; the image is mirrored at its edge pixels."""
    kernel = defocus_kernel(*severities.DEFOCUS_BLUR[severity - 1])
    return scipy.ndimage.correlate(as_unit(images), kernel[None, :, :, None], mode="mirror")


def defocus_kernel(radius, sigma):
    """Returns the disk i^2 + j^2 <= radius^2, smoothed by a 3 x 3 Gaussian, sum 1."""
    reach = int(radius) + 1
    squares = np.arange(-reach, reach + 1) ** 2
    disk = (squares[:, None] + squares <= radius**2).astype(float)
    weights = np.exp(-np.array([1, 0, 1]) / (2 * sigma**2))
    # The disk leaves a margin of one pixel, so that nothing is lost at the border.
    kernel = scipy.ndimage.correlate(disk, np.outer(weights, weights), mode="constant")
    return kernel / kernel.sum()


def glass_blur(images, severity, draws):
    """Smooths, lets each pixel take the value of one beside it, and smooths again."""
    sigma, num_rounds = severities.GLASS_BLUR[severity - 1]
    shuffled = as_bytes(smooth(as_unit(images), sigma))
    inner = (images.shape[1] - 2, images.shape[2] - 2)
    for _ in range(num_rounds):
        shuffled = take_neighbors(shuffled, draws.coins((2, *inner)))
    return smooth(as_unit(shuffled), sigma)


def take_neighbors(images, steps):
    """Returns images whose pixels, from row and column 2 on, are copies of near ones.

    The original goes through rows and columns from the last down to 2 and "swaps" each pixel
    with a neighbor 0 or 1 rows above and 0 or 1 columns to the left; its swap of two views
    copies the neighbor into both places. Every neighbor is met later than the pixel itself,
    so that it is still untouched when it is read, and all copies can be made at once.

    Args:
        images: uint8 [N, H, W, 3].
        steps: 0 or 1, [N, 2, H - 2, W - 2]: rows up, columns to the left.
    """
    shape = images.shape[:3]
    places = np.arange(np.prod(shape)).reshape(shape)
    sources = places[:, 2:, 2:] - steps[:, 0].astype(int) * shape[2] - steps[:, 1]
    taken = images.copy()
    taken[:, 2:, 2:] = images.reshape(-1, images.shape[3])[sources]
    return taken


def motion_blur(images, severity, draws):
    """Smears along a line between -45 and 45 degrees."""
    angles = draws.uniform(-45, 45, ())
    return motion_blur_bytes(images, angles, *severities.MOTION_BLUR[severity - 1])


def zoom_blur(images, severity, draws):
    """Averages the image and its zooms by 1, 1.01, 1.02, ... into the center."""
    num_images, height, width, num_channels = images.shape
    operator = _zoom_blur_operator(height, width, severities.ZOOM_BLUR[severity - 1])
    pixels = as_unit(images).transpose(1, 2, 0, 3).reshape(height * width, -1)
    blurred = (operator @ pixels).reshape(height, width, num_images, num_channels)
    return blurred.transpose(2, 0, 1, 3)


@functools.lru_cache(maxsize=8)
def _zoom_blur_operator(height, width, end):
    """Returns the blur as a sparse matrix on the height * width pixels of a channel."""
    total = scipy.sparse.eye_array(height * width, format="csr")
    # The very floats of the original decide to how many pixels a zoom is rounded.
    factors = np.arange(1, end, 0.01)
    for factor in factors:
        sides = [scipy.sparse.csr_array(clipped_zoom_matrix(n, factor)) for n in (height, width)]
        total = total + scipy.sparse.kron(*sides, format="csr")
    return (total / (len(factors) + 1)).tocsr()


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


def clipped_zoom_matrix(size, factor):
    """Returns the linear zoom of the center along one axis, float64 [size, size].

    The center ceil(size / factor) pixels are enlarged by linear interpolation; of the result
    the center `size` pixels stay. An image X becomes M X M'^T, with M of its height and M' of
    its width.
    """
    num_kept = int(np.ceil(size / factor))
    first = (size - num_kept) // 2
    zoomed = scipy.ndimage.zoom(np.eye(num_kept), (factor, 1), order=1)
    trim = (len(zoomed) - size) // 2
    matrix = np.zeros((size, size))
    matrix[:, first : first + num_kept] = zoomed[trim : trim + size]
    return matrix
