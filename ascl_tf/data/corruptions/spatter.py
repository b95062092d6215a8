"""Spatter: drops of water or mud, and the 8-bit routines of OpenCV that they are made with.

The routines are written for stacks, uint8 [N, H, W], from the published descriptions: Canny 1986
(edges), Borgefors 1986 (chamfer distance), histogram equalization, box filter.
"""

import numpy as np
import scipy.ndimage

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.blur import smooth
from ascl_tf.data.corruptions.pixels import as_unit

# tan(22.5 degrees) in 15-bit fixed point; tan(67.5 degrees) is that plus 2.
_TAN_22, _SHIFT = 13573, 15
# Chamfer weights of OpenCV's 5 x 5 mask in 16-bit fixed point: straight, diagonal, knight.
_FIXED = 1 << 16
_STRAIGHT, _DIAGONAL, _KNIGHT = (round(w * _FIXED) for w in (1.0, 1.4, 2.1969))
_FAR = 1 << 29
_IN_PLANE = np.zeros((3, 3, 3), bool)
_IN_PLANE[1] = True

# The original calls its colors by BGR names; in effect these are red, green and blue.
_WATER = np.array([175, 238, 238]) / 255
_MUD = np.array([63, 42, 20]) / 255
_FARTHEST = 20
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def spatter(images, severity, draws):
    """Covers parts of the image with water (severities 1 to 3) or mud (4 and 5)."""
    setting = severities.SPATTER[severity - 1]
    values = as_unit(images)
    liquid = setting.mean + setting.spread * draws.standard_normal(images.shape[1:3])
    liquid = smooth(liquid.astype(np.float64), setting.sigma)
    liquid[liquid < setting.threshold] = 0
    if setting.is_mud:
        cover = smooth((liquid > setting.threshold).astype(np.float64), setting.strength)
        cover[cover < 0.8] = 0
        return values * (1 - cover[..., None]) + cover[..., None] * _MUD
    return values + setting.strength * water_film(liquid)[..., None] * _WATER


def water_film(liquid):
    """Returns how much water shines, 0 to 1, with light from one corner.

    Args:
        liquid: [N, H, W] in [0, 1], 0 where there is none.

    Returns:
        float64 [N, H, W]; the largest value of an image is 1, or 0 where nothing shines (the
        original divides 0 by 0 there).
    """
    layer = np.clip(liquid * 255, 0, 255).astype(np.uint8)
    distances = np.minimum(chamfer_distance(canny_edges(layer, 50, 150)), _FARTHEST)
    relief = equalize_histogram(box_blur(distances).astype(np.uint8))
    shine = np.rint(box_blur(correlate_bytes(relief, _EMBOSS)))
    film = layer * shine
    highest = film.max(axis=(1, 2), keepdims=True)
    return film / np.where(highest > 0, highest, 1)


def canny_edges(images, low, high):
    """Returns the edges by Canny's method, bool: 3 x 3 Sobel, |dx| + |dy|, hysteresis.

    A pixel that is the largest across its edge is an edge if it is above `high`, or above
    `low` and connected to one that is.
    """
    dx, dy = (_sobel(images, axis) for axis in (2, 1))
    magnitudes = np.abs(dx) + np.abs(dy)
    candidates = (magnitudes > low) & _is_ridge(magnitudes, dx, dy)
    labels, num_labels = scipy.ndimage.label(candidates, structure=_IN_PLANE)
    is_strong = np.zeros(num_labels + 1, bool)
    is_strong[labels[candidates & (magnitudes > high)]] = True
    return is_strong[labels]


def _sobel(images, axis):
    values = images.astype(np.int32)
    across = scipy.ndimage.correlate1d(values, [1, 2, 1], axis=3 - axis, mode="nearest")
    return scipy.ndimage.correlate1d(across, [-1, 0, 1], axis=axis, mode="nearest")


def _is_ridge(magnitudes, dx, dy):
    """Returns where a pixel is the largest of three along its gradient, by four directions."""
    size = magnitudes.shape[1:]
    padded = np.pad(magnitudes, ((0, 0), (1, 1), (1, 1)))

    def at(row, column):
        return padded[:, 1 + row : 1 + row + size[0], 1 + column : 1 + column + size[1]]

    flat, steep = np.abs(dx).astype(np.int64), np.abs(dy).astype(np.int64) << _SHIFT
    tangent = flat * _TAN_22
    # Of equal neighbors the first one wins, and along diagonals neither does.
    horizontal = (magnitudes > at(0, -1)) & (magnitudes >= at(0, 1))
    vertical = (magnitudes > at(-1, 0)) & (magnitudes >= at(1, 0))
    falling = (magnitudes > at(-1, -1)) & (magnitudes > at(1, 1))
    rising = (magnitudes > at(-1, 1)) & (magnitudes > at(1, -1))
    diagonal = np.where((dx ^ dy) < 0, rising, falling)
    is_vertical = steep > tangent + (flat << (_SHIFT + 1))
    return np.where(steep < tangent, horizontal, np.where(is_vertical, vertical, diagonal))


def chamfer_distance(is_goal):
    """Returns each pixel's distance to the nearest goal, float32: 5 x 5 chamfer metric.

    Steps cost 1 (straight), 1.4 (diagonal) and 2.1969 (a knight's move). Without a goal all
    are far.

    Args:
        is_goal: bool [N, H, W].
    """
    distances = np.where(is_goal, 0, _FAR).astype(np.int64)
    _sweep(distances)
    _sweep(distances[:, ::-1, ::-1])
    return (distances / _FIXED).astype(np.float32)


def _sweep(distances):
    """Carries distances down and to the right, in place."""
    width = distances.shape[2]
    ramp = np.arange(width) * _STRAIGHT
    for row in range(distances.shape[1]):
        best = distances[:, row].copy()
        for above, shift, cost in _STEPS_FROM_ABOVE:
            if row >= above:
                source = distances[:, row - above]
                target, taken = _shifted(width, shift)
                np.minimum(best[:, target], source[:, taken] + cost, out=best[:, target])
        distances[:, row] = np.minimum.accumulate(best - ramp, axis=1) + ramp


_STEPS_FROM_ABOVE = (
    (1, 0, _STRAIGHT),
    (1, 1, _DIAGONAL),
    (1, -1, _DIAGONAL),
    (1, 2, _KNIGHT),
    (1, -2, _KNIGHT),
    (2, 1, _KNIGHT),
    (2, -1, _KNIGHT),
)


def _shifted(width, shift):
    """Returns slices so that column j of the target takes column j - shift."""
    if shift >= 0:
        return slice(shift, width), slice(0, width - shift)
    return slice(0, width + shift), slice(-shift, width)


def equalize_histogram(images):
    """Returns images whose gray levels are spread so that their cumulated counts are even."""
    num_images, num_pixels = len(images), images[0].size
    numbers = np.arange(num_images)[:, None, None] * 256
    counts = np.bincount((numbers + images).ravel(), minlength=num_images * 256)
    counts = counts.reshape(num_images, 256)
    lowest = images.min(axis=(1, 2)).astype(int)
    num_lowest = counts[np.arange(num_images), lowest]
    # An image of one level keeps it.
    is_flat = num_lowest == num_pixels
    scales = np.float32(255) / np.where(is_flat, 1, num_pixels - num_lowest).astype(np.float32)
    sums = np.cumsum(counts, axis=1) - num_lowest[:, None]
    table = np.rint(np.clip(sums, 0, None).astype(np.float32) * scales[:, None])
    table = np.where(is_flat[:, None], np.arange(256), table).astype(np.uint8)
    return table.ravel()[numbers + images]


def box_blur(images):
    """Returns the mean over 3 x 3 pixels, float32; mirrored at the edge pixels."""
    # Not `uniform_filter`: its running sum leaves 1.999... where the mean is 2.
    sums = images.astype(np.float32)
    for axis in (1, 2):
        sums = scipy.ndimage.correlate1d(sums, [1, 1, 1], axis=axis, mode="mirror")
    return sums * np.float32(1 / 9)


def correlate_bytes(images, kernel):
    """Returns the correlation with an integer kernel [3, 3], cut to 0..255, uint8."""
    weights = np.asarray(kernel, np.int32)[None]
    sums = scipy.ndimage.correlate(images.astype(np.int32), weights, mode="mirror")
    return np.clip(sums, 0, 255).astype(np.uint8)
