"""l2_pgd: closed forms, ball and box, starts, cleverhans; its loop is that of linf_pgd."""

import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from ascl_tf.attacks import l2_pgd
from tests.attacks.networks import (
    LABELS,
    cross_entropy,
    linear_objective,
    linear_weights,
    quadratic_objective,
    tiny_network,
)
from tests.common import random_images

EPSILON, STEP_SIZE = 128 / 255, 40 / 255
SETTINGS = {"epsilon": EPSILON, "step_size": STEP_SIZE, "num_steps": 5}
SEED = tf.constant([3, 4])
SEEDS = tf.stack([tf.fill([4], 3), tf.range(4)], axis=1)
# Of one step no pixel moves further than this, and the ball is half as wide again as an image's
# distance from the walls: with these images the box stops nothing.
INSIDE = 0.5 + 0.2 * (random_images().astype(np.float64) - 0.5)


def _at_walls(dtype=np.float64):
    return np.clip(1.5 * random_images() - 0.25, 0, 1).astype(dtype)


def _lengths(perturbation):
    flat = np.reshape(np.asarray(perturbation, np.float64), [len(perturbation), -1])
    return np.sqrt((flat**2).sum(axis=1))


@pytest.mark.parametrize("num_steps", [1, 3, 4, 10])
def test_linear_objective_has_its_closed_form(num_steps):
    weights = linear_weights()
    got = l2_pgd(linear_objective(weights), INSIDE, **{**SETTINGS, "num_steps": num_steps})
    # Each step goes the same way; beyond three of 40/255 the ball of 128/255 stops it.
    length = min(num_steps * STEP_SIZE, EPSILON)
    np.testing.assert_allclose(got, INSIDE + length * weights / _lengths([weights]), atol=1e-11)


def test_box_cuts_what_leaves_it():
    weights, images = linear_weights(), _at_walls()
    got = l2_pgd(linear_objective(weights), images, **{**SETTINGS, "num_steps": 1})
    want = np.clip(images + STEP_SIZE * weights / _lengths([weights]), 0, 1)
    np.testing.assert_allclose(got, want, atol=1e-11)
    assert np.any(got == 0) and np.any(got == 1)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e30])
def test_step_is_as_long_whatever_the_scale_of_the_gradient(scale):
    """The square of 1e-30 is zero in float32, that of 1e30 infinite."""
    images = INSIDE.astype(np.float32)
    got = l2_pgd(linear_objective(scale * linear_weights()), images, **{**SETTINGS, "num_steps": 1})
    np.testing.assert_allclose(_lengths(got - images), STEP_SIZE, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_image_without_gradient_stays_and_the_others_move(dtype):
    is_flat = np.array([1.0, 0.0, 1.0, 0.0])
    images, objective = _at_walls(dtype), linear_objective(linear_weights())
    got = l2_pgd(lambda x: (1 - is_flat) * tf.cast(objective(x), tf.float64), images, **SETTINGS)
    np.testing.assert_array_equal(got[::2], images[::2])
    assert np.all(_lengths(got[1::2] - images[1::2]) > 0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_steps", [0, 1, 5])
def test_random_start_stays_in_ball_and_box(dtype, num_steps):
    images = _at_walls(dtype)
    settings = {**SETTINGS, "num_steps": num_steps, "random_start": True, "seed": SEED}
    got = l2_pgd(linear_objective(linear_weights()), images, **settings)
    assert got.dtype == dtype
    assert np.all(_lengths(got - images) <= EPSILON + 1e-6)
    assert np.any(got != images) and np.min(got) == 0 and np.max(got) == 1


def test_another_box_is_kept():
    low, high = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 3.0, 1.0])
    images = low + (high - low) * _at_walls()
    got = l2_pgd(
        linear_objective(linear_weights()), images, clip_min=low, clip_max=high, **SETTINGS
    ).numpy()
    assert np.all(got >= low) and np.all(got <= high)
    assert 0.3 < _lengths(got - images).max() <= EPSILON + 1e-12


def _starts(shape, dtype, seed=SEED):
    images = np.full(shape, 0.5, dtype)
    settings = {**SETTINGS, "num_steps": 0, "random_start": True, "seed": seed}
    return np.float64(l2_pgd(tf.identity, images, **settings) - images) / EPSILON


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_start_is_uniform_in_the_ball(dtype):
    noise = _starts((3000, 1, 1, 3), dtype).reshape(-1, 3)
    # A third power of a uniform number is the volume; so are the shares of each axis (Archimedes).
    volume = np.linalg.norm(noise, axis=1) ** 3
    heights = noise / np.linalg.norm(noise, axis=1, keepdims=True)
    for found in (volume, *((1 + heights.T) / 2)):
        # Kolmogorov-Smirnov: 3,000 uniform numbers stay this close with probability 0.999.
        distance = np.abs(np.sort(found) - np.linspace(0, 1, len(found))).max()
        assert distance < 1.95 / np.sqrt(len(found))


def test_start_of_an_image_depends_on_its_seed_alone():
    whole = _starts((4, 8, 8, 3), np.float32, SEEDS)
    np.testing.assert_array_equal(whole[1:], _starts((3, 8, 8, 3), np.float32, SEEDS[1:]))
    assert len(np.unique(whole[:, 0, 0, 0])) == 4
    # In many dimensions nearly all of a ball is near its surface.
    assert np.all(_lengths(whole) > 0.9)


def test_eager_graph_of_unknown_sizes_and_xla_give_the_same_images():
    def attack(images, seed):
        settings = {**SETTINGS, "random_start": True, "seed": seed}
        return l2_pgd(quadratic_objective, images, constants=(0.4,), **settings)

    images = tf.constant(_at_walls())
    eager = attack(images, SEEDS)
    compiled = tf.function(attack, autograph=False, jit_compile=True)(images, SEEDS)
    np.testing.assert_allclose(compiled, eager, atol=1e-12)
    specs = tf.TensorSpec([None, None, None, 3], tf.float64), tf.TensorSpec([None, 2], tf.int32)
    graph = tf.function(attack, input_signature=specs, autograph=False)
    np.testing.assert_allclose(graph(images, SEEDS), eager, atol=1e-12)


def test_equals_cleverhans_without_random_start():
    """Away from the walls: where it meets one, cleverhans projects on box, ball and box again."""
    network, images = tiny_network(), tf.constant(INSIDE, tf.float32)
    got = l2_pgd(cross_entropy(network), images, constants=(LABELS,), **SETTINGS)
    want = projected_gradient_descent(
        lambda x: network(x, training=False),
        images,
        EPSILON,
        STEP_SIZE,
        SETTINGS["num_steps"],
        2,
        clip_min=0.0,
        clip_max=1.0,
        y=LABELS,
        rand_init=False,
        sanity_checks=False,
    )
    np.testing.assert_allclose(_lengths(got - images), EPSILON, rtol=1e-5)
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": -0.1}, r"`epsilon` must be >= 0; received -0\.1\."),
        ({"step_size": float("nan")}, r"`step_size` must be >= 0; received nan\."),
        ({"num_steps": -1}, r"`num_steps` must be an integer from 0 to 2147483647; received -1\."),
        ({"random_start": True}, r"`random_start=True` needs a `seed` .*; received None\."),
        ({"clip_max": 0.2}, r"`images` must be in the box"),
        # One per channel is no length of an image.
        ({"epsilon": np.full([3], 0.1)}, r"`epsilon` .*shape \(\d+, 1, 1, 1\); .* shape \(3,\)\."),
    ],
)
def test_wrong_argument_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        l2_pgd(tf.identity, INSIDE, **{**SETTINGS, **changes})
