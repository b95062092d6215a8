"""Noise: Gaussian, shot, impulse, speckle."""

import numpy as np

from ascl_tf.data.corruptions import severities
from ascl_tf.data.corruptions.pixels import as_unit


def gaussian_noise(images, severity, draws):
    """Adds N(0, sigma) to each component."""
    sigma = np.float32(severities.GAUSSIAN_NOISE[severity - 1])
    return as_unit(images, np.float32) + sigma * draws.standard_normal(images.shape[1:])


def speckle_noise(images, severity, draws):
    """Multiplies each component by N(1, sigma)."""
    sigma = np.float32(severities.SPECKLE_NOISE[severity - 1])
    return as_unit(images, np.float32) * (1 + sigma * draws.standard_normal(images.shape[1:]))


def shot_noise(images, severity, draws):
    """Counts photons: Poisson(rate * value) / rate for each component."""
    rate = severities.SHOT_NOISE[severity - 1]
    return draws.poisson(as_unit(images) * rate) / rate


def impulse_noise(images, severity, draws):
    """Sets a share of the components to 0 or to 255, each channel by itself."""
    share = severities.IMPULSE_NOISE[severity - 1]
    chance = draws.random(images.shape[1:])
    corrupted = images.copy()
    corrupted[chance < share] = 255
    corrupted[chance < share / 2] = 0
    return corrupted
