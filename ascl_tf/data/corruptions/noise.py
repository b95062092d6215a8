"""Noise (Gaussian, shot, impulse, speckle), and the random numbers of all corruptions."""

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


class ImageDraws:
    """Draws for the images at consecutive positions; row i depends on the i-th position alone.

    One Philox generator is put, for every draw of every image, at a place of its own in its
    sequence: neither the size of a batch nor where it begins changes a number.

    Args:
        seed: Python int, 0 <= seed < 2**64.
        stream: Python int that keeps different corruptions and severities apart.
        first_position: place of the first image in the data set.
        num_images: how many images.
    """

    def __init__(self, seed, stream, first_position, num_images):
        self._bits = np.random.Philox(key=np.array([seed, stream], np.uint64))
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state
        self._positions = range(first_position, first_position + num_images)
        self._num_draws = 0

    def standard_normal(self, shape):
        """Returns float32 [num_images, *shape]."""
        drawn = np.empty((len(self._positions), *shape), np.float32)
        for row, generator in zip(_rows(drawn), self._generators(), strict=True):
            generator.standard_normal(out=row, dtype=np.float32)
        return drawn

    def random(self, shape):
        """Returns uniform numbers from [0, 1), float32 [num_images, *shape]."""
        drawn = np.empty((len(self._positions), *shape), np.float32)
        for row, generator in zip(_rows(drawn), self._generators(), strict=True):
            generator.random(out=row, dtype=np.float32)
        return drawn

    def uniform(self, low, high, shape):
        """Returns uniform numbers from [low, high), float32 [num_images, *shape]."""
        return low + np.float32(high - low) * self.random(shape)

    def coins(self, shape):
        """Returns 0 or 1 with even chances, uint8 [num_images, *shape]."""
        size = int(np.prod(shape))
        num_bytes = -(-size // 8)
        packed = [np.frombuffer(g.bytes(num_bytes), np.uint8) for g in self._generators()]
        return np.unpackbits(np.stack(packed), axis=1, count=size).reshape(-1, *shape)

    def poisson(self, rates):
        """Returns Poisson numbers, int64 of the shape of `rates` [num_images, ...]."""
        pairs = zip(rates, self._generators(), strict=True)
        return np.stack([generator.poisson(rate) for rate, generator in pairs])

    def _generators(self):
        """Yields the generator once per image, at the place that belongs to it."""
        self._num_draws += 1
        for position in self._positions:
            self._state["state"]["counter"][:] = (0, 0, self._num_draws, position)
            # 4: nothing is left in the buffer of the generator.
            self._state.update(buffer_pos=4, has_uint32=0)
            self._bits.state = self._state
            yield self._generator


def _rows(drawn):
    """Returns a flat view of each image's part, also where that is a single number."""
    return drawn.reshape(len(drawn), -1)
