"""Balls in two norms: projection against loops, starts on the surface."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import norms
from tests.common import random_images

EPSILON = {"linf": 8 / 255, "l2": 0.5}


def _seeds(count, first=3):
    return tf.stack([tf.fill([count], first), tf.range(count)], axis=1)


def _length(values, norm):
    values = np.reshape(values, [len(values), -1]).astype(np.float64)
    return np.abs(values).max(axis=1) if norm == "linf" else np.sqrt((values**2).sum(axis=1))


@pytest.mark.parametrize("norm", norms.NORMS)
def test_projection_matches_its_definition(norm):
    images = random_images()
    points = images + np.random.default_rng(1).normal(size=images.shape).astype(np.float32)
    points[0] = images[0] + 1e-3
    got = norms.make_projection(images, epsilon=EPSILON[norm], norm=norm)(points).numpy()
    perturbation = (points - images).astype(np.float64)
    if norm == "linf":
        perturbation = np.clip(perturbation, -EPSILON[norm], EPSILON[norm])
    else:
        length = _length(perturbation, norm)
        perturbation *= np.minimum(1, EPSILON[norm] / length)[:, None, None, None]
    np.testing.assert_allclose(got, np.clip(images + perturbation, 0, 1), atol=2e-7)


@pytest.mark.parametrize("norm", norms.NORMS)
def test_start_lies_on_the_surface_of_the_ball(norm):
    # In the middle of the box nothing is clipped.
    images = np.full((5, 8, 8, 3), 0.5, np.float32)
    start = norms.random_start(images, epsilon=EPSILON[norm], norm=norm, seeds=_seeds(5)).numpy()
    np.testing.assert_allclose(_length(start - images, norm), EPSILON[norm], rtol=1e-5)
    assert abs(np.mean(np.sign(start - images))) < 0.1


@pytest.mark.parametrize("norm", norms.NORMS)
def test_start_of_an_image_depends_on_its_seed_alone(norm):
    images, settings = random_images(4), {"epsilon": EPSILON[norm], "norm": norm}
    whole = norms.random_start(images, seeds=_seeds(4), **settings).numpy()
    part = norms.random_start(images[2:], seeds=_seeds(4)[2:], **settings).numpy()
    np.testing.assert_array_equal(whole[2:], part)
    other = norms.random_start(images, seeds=_seeds(4, first=4), **settings).numpy()
    assert np.all(np.any(other != whole, axis=(1, 2, 3)))
    assert whole.min() >= 0 and whole.max() <= 1


def test_l2_noise_is_normal():
    noise = norms._normal_noise(tf.zeros([4, 16, 16, 3]), _seeds(4)).numpy().ravel()
    # Three standard errors of 3,072 normal numbers.
    assert abs(noise.mean()) < 0.055 and abs(noise.std() - 1) < 0.04
    assert abs(np.mean(np.abs(noise) < 1) - 0.6827) < 0.026


@pytest.mark.parametrize("norm", norms.NORMS)
def test_unit_of_nothing_is_nothing(norm):
    np.testing.assert_array_equal(norms.unit(tf.zeros([1, 2, 2, 3]), norm), np.zeros((1, 2, 2, 3)))
    np.testing.assert_array_equal(norms.steepest(tf.zeros([1, 2, 2, 3]), norm), 0)
