"""The strength of strong views: exactly the full view at 1, only the flip at 0, between between."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ascl_tf.data import image_ops, views
from ascl_tf.data.views import strong_view
from tests.common import random_images

STRENGTHS = [1, np.float32(1.0), tf.constant(1.0), tf.constant(1.0, tf.float64)]


@pytest.fixture(scope="module")
def full():
    """Images, and their strong view of which no strength is said."""
    images = random_images(16, size=20)
    return images, strong_view(images, [1, 2])


@pytest.mark.parametrize("strength", STRENGTHS)
def test_full_strength_changes_no_bit(strength, full):
    images, expected = full
    weakened = strong_view(images, [1, 2], strength=strength)
    np.testing.assert_array_equal(expected, weakened)


def test_no_strength_leaves_the_flip_alone():
    images = random_images(64, size=20)
    got = strong_view(images, [3, 4], strength=0.0).numpy()
    is_same = (got == images).all(axis=(1, 2, 3))
    is_mirrored = (got == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (is_same | is_mirrored).all() and is_same.any() and is_mirrored.any()


def test_graph_takes_the_strength_as_an_argument():
    images = random_images(8, size=20)
    view = tf.function(
        lambda strength: strong_view(images, [5, 6], strength=strength), autograph=False
    )
    view(tf.constant(1.0))
    eager = strong_view(images, [5, 6], strength=0.5)
    np.testing.assert_allclose(view(tf.constant(0.5)), eager, rtol=0, atol=1e-5)
    assert view.experimental_get_tracing_count() == 1


def test_weaker_view_keeps_the_draws_of_the_full_one():
    images = random_images(32, size=20)
    full = strong_view(images, [7, 7])
    distances = [
        np.abs(strong_view(images, [7, 7], strength=s) - full).mean() for s in (0.99, 0.5, 0.0)
    ]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_half_strength_halves_jitter_and_gray(monkeypatch):
    seen, chosen = {}, []

    def record(images, factors, hue_shift, **order):
        seen.update(factors=factors.numpy(), hue_shift=hue_shift.numpy())
        return images

    def choose(condition, changed, images):
        chosen.append(condition.numpy())
        return images

    monkeypatch.setattr(image_ops, "jitter_color", record)
    monkeypatch.setattr(image_ops, "select", choose)
    monkeypatch.setattr(image_ops, "flip", lambda images, is_flipped: images)
    strong_view(np.zeros([4800, 4, 4, 3], np.float32), [1, 1], strength=0.5)
    for column in seen["factors"].T:
        assert stats.kstest(column, stats.uniform(0.8, 0.4).cdf).pvalue > 1e-3
    assert stats.kstest(seen["hue_shift"], stats.uniform(-0.05, 0.1).cdf).pvalue > 1e-3
    is_jittered, is_gray = chosen
    assert stats.binomtest(is_jittered.sum(), 4800, 0.4).pvalue > 1e-3
    assert stats.binomtest(is_gray.sum(), 4800, 0.1).pvalue > 1e-3


@pytest.mark.parametrize("strength, smallest", [(1.0, 0.1), (0.5, 0.55), (0.25, 0.775)])
def test_smallest_area_rises_to_the_whole_image(monkeypatch, strength, smallest):
    seen = []
    random_box = views.random_box

    def record(numbers, height, width, min_area):
        seen.append(float(min_area))
        return random_box(numbers, height, width, min_area)

    monkeypatch.setattr(views, "random_box", record)
    strong_view(random_images(2), [0, 0], min_area=0.1, strength=strength)
    assert seen == [pytest.approx(smallest, rel=1e-12)]
