"""Spatter: drops of water or mud."""

import numpy as np

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.blur import smooth
from ascl_tf.data.corruptions.byte_filters import (
    box_blur,
    canny_edges,
    chamfer_distance,
    correlate_bytes,
    equalize_histogram,
)
from ascl_tf.data.corruptions.pixels import as_unit

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
