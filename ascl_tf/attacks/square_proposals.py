"""Proposals of Square: stripes and squares for l-infinity, bumps for l2.

Andriushchenko et al. 2020, arXiv:1912.00049, section 4. A proposal is made from numbers drawn in
advance, one row of uniform numbers for each image and query.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import norms

_FIRST_SHARE = 0.8
# After which query the share of changed pixels is divided by 2, 4, 8 ...: the paper's
# schedule for 10,000 queries. AutoAttack takes it as it is for its 5,000.
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_TINY = 1e-12


def share_of_pixels(query):
    """Returns the share of the image's pixels that query number `query` (from 0) changes."""
    return _FIRST_SHARE / 2 ** sum(query > last for last in _HALVED_AFTER)


def window_sizes(num_queries, height, width, norm):
    """Returns the side of the square that each query changes, int32 [num_queries].

    For l2 it is at least 3, and odd.
    """
    pixels = [share_of_pixels(query) * height * width for query in range(num_queries)]
    # Python's round, half to even, as in the official code.
    sizes = np.array([round(math.sqrt(count)) for count in pixels], np.int32)
    if norm == "l2":
        sizes = np.maximum(sizes, 3)
        sizes += sizes % 2 == 0
    return np.clip(sizes, 1, min(height, width)).astype(np.int32)


def make_proposals(image_shape, *, epsilon, norm, num_queries):
    """Returns the object with `start` and `propose` for images of a shape [B, H, W, C]."""
    _, height, width, channels = image_shape
    kind = _LinfProposals if norm == "linf" else _L2Proposals
    return kind(epsilon, window_sizes(num_queries, height, width, norm), height, width, channels)


class _LinfProposals:
    """Vertical stripes first, then squares of one color, all pixels at the ball's surface.

    Attributes:
        num_start_draws, num_draws: uniform numbers per image that `start` and one
            `propose` take.
    """

    def __init__(self, epsilon, sizes, height, width, channels):
        self.num_start_draws = width * channels
        self.num_draws = 2 + channels
        self._epsilon = epsilon
        self._sizes = sizes
        self._height, self._width, self._channels = height, width, channels

    def start(self, images, draws):
        """Returns the first points from draws [B, num_start_draws]."""
        stripes = tf.reshape(_signs(draws), [-1, 1, self._width, self._channels])
        return tf.clip_by_value(images + self._epsilon * stripes, 0.0, 1.0)

    def make_propose(self, images):
        """Returns (best images, query, draws) -> the next points.

        Query is an int32 scalar, draws are [B, num_draws].
        """
        project = norms.make_projection(images, epsilon=self._epsilon, norm="linf")

        def propose(best_images, query, draws):
            size = tf.gather(self._sizes, query)
            rows, columns = _window(draws[:, 0], draws[:, 1], size, self._height, self._width)
            colors = 2.0 * self._epsilon * _signs(draws[:, 2:])
            # Columns with their colors are small; only one product is as large as the images.
            line = columns[:, :, None] * colors[:, None, :]
            line = tf.reshape(line, [-1, 1, self._width * self._channels])
            return project(best_images + tf.reshape(rows[:, :, None] * line, tf.shape(images)))

        return propose


class _L2Proposals:
    """A grid of bumps first; then one window's length is moved to a bump elsewhere."""

    def __init__(self, epsilon, sizes, height, width, channels):
        self._epsilon = epsilon
        self._sizes = sizes
        self._height, self._width, self._channels = height, width, channels
        self._tile = max(height // 5, 1)
        self._grid = (height // self._tile, width // self._tile)
        self.num_start_draws = math.prod(self._grid) * (channels + 1)
        self.num_draws = 5 + channels
        # Bumps of every size that occurs, each in the corner of an empty image.
        distinct, self._bump_of_query = np.unique(sizes, return_inverse=True)
        self._bumps = np.stack([self._in_corner(bump(size)) for size in distinct])

    def start(self, images, draws):
        rows, columns = self._grid
        draws = tf.reshape(draws, [-1, rows, columns, self._channels + 1])
        tile = tf.constant(bump(self._tile))
        is_turned = draws[..., -1] > 0.5
        bumps = tf.where(is_turned[..., None, None], tf.transpose(tile), tile)
        bumps = bumps[..., None] * _signs(draws[..., None, None, :-1])  # [B, R, C, s, s, ch]
        grid = tf.reshape(
            tf.transpose(bumps, [0, 1, 3, 2, 4, 5]),
            [-1, rows * self._tile, columns * self._tile, self._channels],
        )
        # The official code puts the grid this far from the top and from the left.
        margin = max((self._height - 5 * self._tile) // 2, 0)
        down = self._height - rows * self._tile
        right = self._width - columns * self._tile
        above, left = min(margin, down), min(margin, right)
        grid = tf.pad(grid, [[0, 0], [above, down - above], [left, right - left], [0, 0]])
        return self._onto_sphere(images, grid)

    def make_propose(self, images):
        return functools.partial(self._propose, images)

    def _propose(self, images, best_images, query, draws):
        size = tf.gather(self._sizes, query)
        perturbation = best_images - images
        to_fill = self._mask(draws[:, 0], draws[:, 1], size)
        to_empty = self._mask(draws[:, 2], draws[:, 3], size)
        both = tf.maximum(to_fill, to_empty)
        inside = perturbation * to_fill
        pattern = self._shifted_bump(query, size, draws[:, 0], draws[:, 1], draws[:, 4])
        signs = tf.reshape(_signs(draws[:, 5:]), [-1, 1, 1, self._channels])
        pattern = pattern[..., None] * signs + inside / (_TINY + _plane_norm(inside))
        unspent = tf.maximum(self._epsilon**2 - tf.square(norms.lengths(perturbation, "l2")), 0.0)
        budget = unspent / self._channels + tf.square(_plane_norm(perturbation * both))
        pattern = pattern / (_TINY + _plane_norm(pattern)) * tf.sqrt(budget)
        return self._onto_sphere(images, perturbation * (1.0 - both) + pattern)

    def _onto_sphere(self, images, perturbation):
        return tf.clip_by_value(images + self._epsilon * norms.unit(perturbation, "l2"), 0.0, 1.0)

    def _mask(self, row_draws, column_draws, size):
        """Returns [B, H, W, 1], 1 inside each image's window."""
        rows, columns = _window(row_draws, column_draws, size, self._height, self._width)
        return (rows[:, :, None] * columns[:, None, :])[..., None]

    def _in_corner(self, pattern):
        size = len(pattern)
        return np.pad(pattern, [(0, self._height - size), (0, self._width - size)])

    def _shifted_bump(self, query, size, row_draws, column_draws, turn_draws):
        pattern = tf.gather(self._bumps, tf.gather(self._bump_of_query, query))
        patterns = tf.where(turn_draws[:, None, None] > 0.5, tf.transpose(pattern), pattern)
        rows = tf.range(self._height) - _place(row_draws, self._height, size)[:, None]
        columns = tf.range(self._width) - _place(column_draws, self._width, size)[:, None]
        patterns = tf.gather(patterns, rows % self._height, axis=1, batch_dims=1)
        return tf.gather(patterns, columns % self._width, axis=2, batch_dims=1)


def bump(size):
    """Returns the pattern of the l2 attack, float32 [size, size] of norm 1.

    Two halves of opposite sign. In a half of h1 by h2 the value at distance d (in the
    maximum norm) from its middle is sum_{j=d+1}^{n+1} 1/j^2 with n = max(h1, h2) // 2.
    Andriushchenko et al. 2020, section 4.2.
    """
    upper = _half_bump(size // 2, size)
    lower = _half_bump(size - size // 2, size)
    pattern = np.concatenate([upper, -lower], axis=0)
    return (pattern / np.linalg.norm(pattern)).astype(np.float32)


def _half_bump(height, width):
    if height == 0:
        return np.zeros((0, width))
    down = np.abs(np.arange(height) - height // 2)
    across = np.abs(np.arange(width) - width // 2)
    distance = np.maximum(down[:, None], across[None, :])
    terms = 1.0 / np.arange(1, max(height // 2, width // 2) + 2) ** 2
    tails = np.cumsum(terms[::-1])[::-1]
    half = tails[distance]
    return half / np.linalg.norm(half)


def _window(row_draws, column_draws, size, height, width):
    """Returns float32 [B, H] and [B, W], 1 in each window's rows and in its columns."""
    rows = _interval(_place(row_draws, height, size), size, height)
    return rows, _interval(_place(column_draws, width, size), size, width)


def _place(draws, length, size):
    # From 0 to length - size - 1, so that the last row is never reached: as the official.
    return tf.cast(draws * tf.cast(length - size, tf.float32), tf.int32)


def _interval(first, size, length):
    places = tf.range(length)
    first = first[:, None]
    return tf.cast((places >= first) & (places < first + size), tf.float32)


def _plane_norm(values):
    """Returns the l2 norm of each channel, [B, 1, 1, C]."""
    return tf.sqrt(tf.reduce_sum(tf.square(values), axis=[1, 2], keepdims=True))


def _signs(draws):
    return tf.where(draws < 0.5, -1.0, 1.0)
