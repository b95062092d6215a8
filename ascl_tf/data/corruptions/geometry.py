"""Moving pixels: zooming into the center, and sampling between pixels."""

import numpy as np
import scipy.ndimage


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


def sample_bilinear(images, rows, columns, *, border):
    """Returns images [N, S, S, C] read at fractional places.

    Args:
        images: floating point [N, H, W, C].
        rows, columns: floating point [N, H, W], places in pixels.
        border: "mirror" (the edge pixel once) or "symmetric" (the edge pixel twice).
    """
    num_images, height, width, num_channels = images.shape
    pixels = images.reshape(-1, num_channels)
    starts = np.arange(num_images)[:, None, None] * height * width
    top, bottom, row_share = _neighbours(rows, height, border)
    left, right, column_share = _neighbours(columns, width, border)

    def read(row, column):
        return np.take(pixels, starts + row * width + column, axis=0)

    upper = _blend(read(top, left), read(top, right), column_share)
    lower = _blend(read(bottom, left), read(bottom, right), column_share)
    return _blend(upper, lower, row_share)


def _blend(first, second, share):
    return first + share[..., None] * (second - first)


def _neighbours(places, size, border):
    """Returns the indices on both sides of each place, inside the image, and the share between."""
    lower = np.floor(places)
    first = lower.astype(np.int64)
    return (
        _reflect(first, size, border),
        _reflect(first + 1, size, border),
        (places - lower).astype(np.float32),
    )


def _reflect(indices, size, border):
    if border == "mirror":
        period, last = 2 * size - 2, 2 * size - 2
    else:
        period, last = 2 * size, 2 * size - 1
    folded = np.mod(indices, period)
    return np.minimum(folded, last - folded)
