"""What feature inversion starts from, climbs and is compared with: seeds, components, noise."""

from typing import NamedTuple

import numpy as np

from ascl_tf.analysis.features import as_unit_images, choose_rows
from ascl_tf.data.mapped_images import pick

# What a component must exceed in absolute value to be called alive at an image.
ALIVE_THRESHOLD = 1e-6
# A component counts as alive for a model if it is so at this share of the probe images.
MIN_ALIVE_SHARE = 0.5
# Halvings that find the length of a noise which the box then shortens.
_NUM_HALVINGS = 40
# Keep the draws for one seed apart.
_SEED_IMAGES, _NOISE_SEEDS, _PROBE, _COMPONENTS, _NOISE = range(5)


class SeedImages(NamedTuple):
    """`images` float32 [S, H, W, C] in [0, 1]; `kinds` and `indices`: S entries each."""

    images: np.ndarray
    kinds: list[str]
    indices: list[int | None]


def choose_seed_images(images, *, num_natural, num_noise, seed):
    """Returns the `SeedImages`: first the natural ones, chosen by `seed`, then noise.

    Args:
        images: [N, H, W, C], uint8, or float in [0, 1].
        num_natural: Python int from 0 to N.
        num_noise: Python int >= 0.
        seed: Python int.

    Raises:
        ValueError: if there are too few images, or no seed at all is asked for.
    """
    if min(num_natural, num_noise) < 0 or num_natural + num_noise < 1:
        raise ValueError(
            "`num_natural` and `num_noise` must be >= 0 and together >= 1; "
            f"received {num_natural} and {num_noise}."
        )
    chosen = np.zeros(0, int)
    if num_natural:
        chosen = choose_rows(len(images), num_natural, seed=[seed, _SEED_IMAGES])
    shape = np.shape(images)[1:]
    noise = noise_images(num_noise, shape, seed=seed)
    natural = as_unit_images(pick(images, chosen)) if num_natural else noise[:0]
    return SeedImages(
        np.concatenate([natural, noise]),
        ["natural"] * num_natural + ["noise"] * num_noise,
        chosen.tolist() + [None] * num_noise,
    )


def noise_images(num_images, image_shape, *, seed):
    """Returns images of independent uniform pixels, float32 [num_images, *image_shape]."""
    rng = np.random.default_rng([seed, _NOISE_SEEDS])
    return rng.random((num_images, *image_shape), np.float32)


def choose_probe_images(images, *, num_images, seed):
    """Returns `num_images` of the images, or all where there are fewer, chosen by `seed`."""
    rows = choose_rows(len(images), min(num_images, len(images)), seed=[seed, _PROBE])
    return np.asarray(pick(images, rows))


def rank_components(probe_features, seed_features, *, seed):
    """Returns the components that can be inverted, the same for all models, int [K].

    A component is eligible if, for every model, its absolute value exceeds
    `ALIVE_THRESHOLD` at `MIN_ALIVE_SHARE` of the probe images at least: pooled features come
    out of a ReLU, and one that is dead has no gradient to climb. Of the eligible ones those
    that are alive at every seed image of every model come first, in an order drawn by
    `seed`; the others fill up. Numbers of components have no common meaning between models:
    the same five are a draw that favors none.

    Args:
        probe_features: list of [P, F], one per model; F may differ, and the least counts.
        seed_features: list of [S, F], features of the seed images, in the same order.
        seed: Python int.
    """
    num_features = min(features.shape[1] for features in probe_features)

    def alive_share(features):
        return np.mean(np.abs(features[:, :num_features]) > ALIVE_THRESHOLD, axis=0)

    shares = [alive_share(features) for features in probe_features]
    eligible = np.min(shares, axis=0) >= MIN_ALIVE_SHARE
    at_seeds = np.min([alive_share(features) for features in seed_features], axis=0) == 1
    order = np.random.default_rng([seed, _COMPONENTS]).permutation(num_features)
    ranked = [c for c in order if eligible[c] and at_seeds[c]]
    ranked += [c for c in order if eligible[c] and not at_seeds[c]]
    return np.array(ranked, int)


def first_components(ranked, num_components):
    """Returns the first of the components of `rank_components`, int [num_components].

    Raises:
        ValueError: if there are fewer.
    """
    if not 1 <= num_components <= len(ranked):
        raise ValueError(
            f"`num_components` must be from 1 to {len(ranked)}, the components that are alive "
            f"for every model; received {num_components}."
        )
    return ranked[:num_components]


def noise_of_same_norm(images, changed_images, *, seed):
    """Returns `images` with random noise as long as `changed_images` - `images`.

    The noise is a Gaussian direction for each image, clipped to the box [0, 1], and scaled
    so that its l2 norm equals that of the change after the clipping (to 1e-4 of it), or is
    as large as the box allows in that direction.

    Args:
        images, changed_images: [B, H, W, C], float in [0, 1].
        seed: int, or a list of ints.

    Returns:
        NumPy float32 [B, H, W, C].
    """
    images = np.asarray(images, np.float64)
    rng = np.random.default_rng([*np.atleast_1d(seed), _NOISE])
    directions = rng.normal(size=images.shape)
    wanted = l2_norms(changed_images - images)

    def moved(lengths):
        return np.clip(images + lengths[:, None, None, None] * directions, 0.0, 1.0)

    # The norm after clipping grows with the length, and no more once the pixel that moves
    # least has crossed the box: between these lengths the interval is halved.
    low = np.zeros(len(images))
    high = np.full(len(images), 1.0) / np.abs(directions).reshape(len(images), -1).min(axis=1)
    for _ in range(_NUM_HALVINGS):
        middle = (low + high) / 2
        is_short = l2_norms(moved(middle) - images) < wanted
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    return moved(low).astype(np.float32)


def l2_norms(perturbations):
    """Returns the l2 norm of each of the perturbations [B, H, W, C], float64 [B]."""
    return np.sqrt(np.sum(np.square(perturbations, dtype=np.float64), axis=(1, 2, 3)))
