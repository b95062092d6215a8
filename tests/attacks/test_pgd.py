"""linf_pgd on one device: closed forms, ball and box, another library, one traced loop."""

import numpy as np
import pytest
import tensorflow as tf
from cleverhans.tf2.attacks.projected_gradient_descent import projected_gradient_descent

from ascl_tf.attacks import linf_pgd
from tests.attacks.networks import (
    LABELS,
    cross_entropy,
    linear_objective,
    linear_weights,
    quadratic_objective,
    tiny_network,
)
from tests.common import random_images

EPSILON, STEP_SIZE = 8 / 255, 2 / 255
SETTINGS = {"epsilon": EPSILON, "step_size": STEP_SIZE, "num_steps": 5}
SEED = tf.constant([3, 4])
SEEDS = tf.stack([tf.fill([4], 3), tf.range(4)], axis=1)


def _images(dtype=np.float32):
    # Some pixels on the walls of the box, so that clipping has something to do.
    return np.clip(1.5 * random_images() - 0.25, 0, 1).astype(dtype)


def _settings(**changes):
    return {**SETTINGS, **changes}


@pytest.mark.parametrize("num_steps", [1, 3, 4, 10])
def test_linear_objective_has_its_closed_form(num_steps):
    images, weights = _images(np.float64), linear_weights()
    got = linf_pgd(linear_objective(weights), images, **_settings(num_steps=num_steps))
    # Each step goes the same way; beyond four of 2/255 the ball of 8/255 stops it.
    length = min(num_steps * STEP_SIZE, EPSILON)
    np.testing.assert_allclose(got, np.clip(images + length * np.sign(weights), 0, 1), atol=1e-12)


def test_any_start_ends_in_the_same_corner_of_a_linear_objective():
    images, weights = _images(np.float64), linear_weights()
    settings = _settings(num_steps=8, random_start=True, seed=SEED)
    got = linf_pgd(linear_objective(weights), images, **settings)
    np.testing.assert_allclose(got, np.clip(images + EPSILON * np.sign(weights), 0, 1), atol=1e-12)


def test_pixels_without_gradient_stay():
    weights = linear_weights()
    weights[:4] = 0
    got = linf_pgd(linear_objective(weights), _images(), **SETTINGS)
    np.testing.assert_array_equal(got[:, :4], _images()[:, :4])
    assert np.any(got[:, 4:] != _images()[:, 4:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("num_steps", [0, 1, 5])
def test_random_start_stays_in_ball_and_box(dtype, num_steps):
    images = _images(dtype)
    settings = _settings(num_steps=num_steps, random_start=True, seed=SEED)
    got = linf_pgd(linear_objective(linear_weights()), images, **settings).numpy()
    assert np.abs(got - images).max() <= EPSILON + 1e-7
    assert got.min() >= 0 and got.max() <= 1
    assert np.any(got == 0) and np.any(got == 1)


def test_another_box_is_kept():
    settings = _settings(clip_min=0.2, clip_max=0.7)
    images = np.clip(_images(), 0.2, 0.7)
    got = linf_pgd(linear_objective(linear_weights()), images, **settings).numpy()
    assert got.min() == np.float32(0.2) and got.max() == np.float32(0.7)


def test_start_is_uniform_in_the_ball():
    images = np.full((4, 8, 8, 3), 0.5)
    got = linf_pgd(tf.identity, images, **_settings(num_steps=0, random_start=True, seed=SEED))
    noise = np.sort((got - images).numpy().ravel()) / EPSILON
    # Kolmogorov-Smirnov: 768 uniform numbers stay this close with probability 0.999.
    distance = np.abs((noise + 1) / 2 - np.linspace(0, 1, noise.size)).max()
    assert distance < 1.95 / np.sqrt(noise.size)


def test_seed_decides_the_start():
    def start(seed):
        settings = _settings(num_steps=0, random_start=True, seed=seed)
        return linf_pgd(tf.identity, _images(), **settings).numpy()

    np.testing.assert_array_equal(start([3, 4]), start([3, 4]))
    assert np.any(start([3, 4]) != start([3, 5]))


@pytest.mark.parametrize("random_start", [False, True])
def test_epsilon_zero_returns_the_images(random_start):
    settings = _settings(epsilon=0.0, random_start=random_start, seed=SEED)
    got = linf_pgd(linear_objective(linear_weights()), _images(), **settings)
    np.testing.assert_array_equal(got, _images())


def test_no_step_returns_the_images():
    got = linf_pgd(linear_objective(linear_weights()), _images(), **_settings(num_steps=0))
    np.testing.assert_array_equal(got, _images())


def test_more_steps_never_lower_a_linear_objective():
    objective = linear_objective(linear_weights())

    def value(num_steps):
        settings = _settings(num_steps=num_steps, random_start=True, seed=SEED)
        return objective(linf_pgd(objective, _images(np.float64), **settings)).numpy()

    values = np.stack([value(num_steps) for num_steps in range(7)])
    assert np.all(np.diff(values, axis=0) >= 0)
    assert np.all(values[-1] > values[0])


def test_equals_cleverhans_without_random_start():
    network, images = tiny_network(), tf.constant(_images())
    got = linf_pgd(cross_entropy(network), images, constants=(LABELS,), **SETTINGS)
    want = projected_gradient_descent(
        lambda x: network(x, training=False),
        images,
        EPSILON,
        STEP_SIZE,
        SETTINGS["num_steps"],
        np.inf,
        clip_min=0.0,
        clip_max=1.0,
        y=LABELS,
        rand_init=False,
        sanity_checks=False,
    )
    assert np.abs(got - images).max() > 0.9 * EPSILON
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_model_variables_stay_bit_equal():
    network = tiny_network()
    before = [variable.numpy() for variable in network.variables]
    linf_pgd(cross_entropy(network), _images(), constants=(LABELS,), **SETTINGS)
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


def test_constants_equal_closing_over_them():
    objective = cross_entropy(tiny_network())
    passed = linf_pgd(objective, _images(), constants=(LABELS,), **SETTINGS)
    closed = linf_pgd(lambda x: objective(x, LABELS), _images(), **SETTINGS)
    np.testing.assert_array_equal(passed, closed)


def test_splitting_a_batch_with_one_seed_per_image_changes_nothing():
    objective = linear_objective(linear_weights())
    settings = _settings(num_steps=1, random_start=True)
    whole = linf_pgd(objective, _images(), seed=SEEDS, **settings)
    parts = [
        linf_pgd(objective, _images()[rows], seed=SEEDS[rows], **settings)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_eager_graph_and_xla_give_the_same_images():
    def attack(images, seed):
        settings = _settings(random_start=True, seed=seed)
        return linf_pgd(quadratic_objective, images, constants=(0.4,), **settings)

    images = tf.constant(_images(np.float64))
    eager = attack(images, SEEDS)
    for jit_compile in (False, True):
        compiled = tf.function(attack, autograph=False, jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(images, SEEDS), eager, atol=1e-12)


def test_float32_start_is_the_same_under_xla():
    def start(images):
        settings = _settings(num_steps=0, random_start=True, seed=SEED)
        return linf_pgd(tf.identity, images, **settings)

    images = tf.constant(_images())
    compiled = tf.function(start, autograph=False, jit_compile=True)(images)
    np.testing.assert_allclose(compiled, start(images), atol=6e-8)  # One rounding of a pixel.


def test_two_batches_are_traced_once():
    calls = {"attack": 0, "objective": 0}

    def counted(images, places):
        calls["objective"] += 1
        return quadratic_objective(images, places)

    @tf.function
    def attack(images, places):
        calls["attack"] += 1
        return linf_pgd(counted, images, constants=(places,), **SETTINGS)

    for images in (_images(), 1 - _images()):
        attack(tf.constant(images), tf.constant(0.4))
    assert calls == {"attack": 1, "objective": 1}


def test_graph_does_not_grow_with_the_number_of_steps():
    def count_nodes(num_steps):
        attack = tf.function(
            lambda x: linf_pgd(
                quadratic_objective, x, constants=(0.4,), **_settings(num_steps=num_steps)
            ),
            autograph=False,
        )
        graph = attack.get_concrete_function(tf.constant(_images())).graph.as_graph_def()
        return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    assert count_nodes(5) == count_nodes(50)


def test_batch_of_unknown_size_can_be_attacked():
    attack = tf.function(
        lambda x, seed: linf_pgd(
            linear_objective(linear_weights()), x, **_settings(random_start=True, seed=seed)
        ),
        input_signature=[tf.TensorSpec([None, 8, 8, 3]), tf.TensorSpec([None, 2], tf.int32)],
        autograph=False,
    )
    for num_images in (1, 4):
        rows = slice(0, num_images)
        settings = _settings(random_start=True, seed=SEEDS[rows])
        want = linf_pgd(linear_objective(linear_weights()), _images()[rows], **settings)
        np.testing.assert_allclose(attack(_images()[rows], SEEDS[rows]), want, atol=1e-7)


@pytest.mark.parametrize(
    "given, kept",
    [("float64", "float64"), ("float32", "float32"), ("float16", "float32")],
)
def test_float64_is_kept_and_all_else_becomes_float32(given, kept):
    images = np.round(_images()).astype(given)
    settings = _settings(random_start=True, seed=SEED)
    got = linf_pgd(linear_objective(linear_weights()), images, **settings)
    assert got.dtype == kept
    assert 0 < np.abs(got - images.astype(kept)).max() <= EPSILON + 1e-7


def test_result_carries_no_gradient():
    images, scale = tf.constant(_images()), tf.Variable(2.0)
    objective = linear_objective(linear_weights())
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(linf_pgd(lambda x: scale * objective(x), images, **SETTINGS))
    assert tape.gradient(total, [images, scale]) == [None, None]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epsilon": -0.1}, r"`epsilon` must be >= 0; received -0\.1\."),
        ({"epsilon": float("nan")}, r"`epsilon` must be >= 0; received nan\."),
        ({"epsilon": tf.constant(-0.1)}, r"`epsilon` must be >= 0; received"),
        ({"epsilon": float("inf")}, r"`epsilon` must be finite; received inf\."),
        ({"epsilon": "8/255"}, r"`epsilon` must be a number, .* float32; received '8/255'\."),
        ({"epsilon": None}, r"`epsilon` must be a number, .*; received None\."),
        ({"epsilon": True}, r"`epsilon` must be a number, .*; received True\."),
        ({"epsilon": [[0.1], [0.1, 0.1]]}, r"`epsilon` must be an array; received \[\[0\.1\], \[0"),
        ({"epsilon": tf.constant(0.1, tf.float64)}, r"`epsilon` must .* float32; .*dtype=float64"),
        (
            {"epsilon": np.full([4], 0.1)},
            r"`epsilon` must be a number, or broadcast to shape \(4, 8, 8, 3\); .* shape \(4,\)\.",
        ),
        (
            {"step_size": tf.fill([5, 1, 1, 1], 0.1)},
            r"`step_size` .* received shape \(5, 1, 1, 1\)\.",
        ),
        ({"step_size": -1.0}, r"`step_size` must be >= 0; received -1\.0\."),
        ({"step_size": float("inf")}, r"`step_size` must be finite; received inf\."),
        ({"num_steps": -1}, r"`num_steps` must be an integer from 0 to 2147483647; received -1\."),
        (
            {"num_steps": 2.5},
            r"`num_steps` must be an integer from 0 to 2147483647; received 2\.5\.",
        ),
        (
            {"num_steps": None},
            r"`num_steps` must be an integer from 0 to 2147483647; received None\.",
        ),
        (
            {"num_steps": "2"},
            r"`num_steps` must be an integer from 0 to 2147483647; received '2'\.",
        ),
        ({"random_start": True}, r"`random_start=True` needs a `seed` .*; received None\."),
        (
            {"random_start": True, "seed": [1, 2, 3]},
            r"`seed` must be int32 \[2\], or \[4, 2\] with a pair .*; received \[1, 2, 3\]\.",
        ),
        (
            {"random_start": True, "seed": [[1, 2]]},
            r"`seed` must be int32 \[2\], or \[4, 2\] with a pair .*; received \[\[1, 2\]\]\.",
        ),
        ({"random_start": True, "seed": 2 * [2**31]}, r"`seed` must be int32 .*\[2147483648, 2147"),
        (
            {"random_start": True, "seed": [0.5, 1]},
            r"`seed` must be int32 .*; received \[0\.5, 1\]",
        ),
        ({"random_start": True, "seed": "12"}, r"`seed` must be int32 .*; received '12'\."),
        (
            {"random_start": True, "seed": tf.constant([1, 2], tf.int64)},
            r"`seed` must be int32 .*; received .*dtype=int64",
        ),
        ({"num_steps": tf.constant(2.0)}, r"`num_steps` must be an int32 scalar; received .*2\.0"),
        (
            {"num_steps": tf.constant(-1)},
            r"`num_steps` must be an integer from 0 .*; received -1\.",
        ),
        # As int32 it is 0.
        ({"num_steps": 2**32}, r"`num_steps` must be an integer from 0 .*; received 4294967296\."),
        ({"images": None}, r"`images` must be an array; received None\."),
        (
            {"images": [[0.5], [0.5, 0.5]]},
            r"`images` must be an array; received \[\[0\.5\], \[0\.5, ",
        ),
        ({"clip_min": "0"}, r"`clip_min` must be a number, .*; received '0'\."),
        ({"clip_max": None}, r"`clip_max` must be a number, .*; received None\."),
        ({"clip_max": np.ones(5)}, r"`clip_max` .*broadcast to shape \(4, 8, 8, 3\); .* \(5,\)\."),
        (
            {"images": np.zeros([8, 8, 3])},
            r"`images` must have shape \[batch, height, width, channels\]; received \(8, 8, 3\)\.",
        ),
        (
            {"images": np.full([4, 8, 8, 3], 128, np.uint8)},
            r"`images` must be floating point, .* divided by 255; received dtype uint8\.",
        ),
        ({"images": np.ones([4, 8, 8, 3], int)}, r"must be floating point.*received dtype int64\."),
        ({"images": np.ones([4, 8, 8, 3], bool)}, r"must be floating point.*received dtype bool\."),
        (
            {"images": 2 * _images() - 1},
            r"`images` must be in the box .* = \[0\.0, 1\.0\]; received values from -1 to 1\.",
        ),
        ({"images": 255 * _images()}, r"`images` must be in the box .* from 0 to 255\."),
        ({"images": _images() * np.nan}, r"`images` must be in the box .* from nan to nan\."),
        ({"clip_max": 0.5}, r"`images` must be in the box .* = \[0\.0, 0\.5\]; received"),
        (
            {"clip_min": 1.0, "clip_max": 0.0},
            r"`clip_min` must be at most `clip_max`; received 1\.0 and 0\.0\.",
        ),
        ({"clip_min": float("nan")}, r"`clip_min` must be at most `clip_max`; received nan and"),
        (
            {"objective": lambda x: tf.ones([4])},
            r"`objective` must depend on its images; received one that does not\.",
        ),
    ],
)
def test_wrong_argument_is_named(changes, message):
    settings = {"objective": tf.identity, "images": _images(), **SETTINGS, **changes}
    with pytest.raises(ValueError, match=message):
        linf_pgd(settings.pop("objective"), settings.pop("images"), **settings)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full([4, 8, 8, 3], 128, np.uint8), "received dtype uint8"),
        (2 * _images() - 1, "received values from -1 to 1"),
    ],
)
def test_images_that_a_graph_knows_are_checked_there_too(images, message):
    attack = tf.function(lambda: linf_pgd(tf.identity, images, **SETTINGS))
    with pytest.raises(ValueError, match=message):
        attack()
    if images.dtype == np.uint8:
        # The type is known even where the values are not.
        with pytest.raises(ValueError, match=message):
            tf.function(lambda x: linf_pgd(tf.identity, x, **SETTINGS))(images)


def test_box_of_float32_images_is_compared_in_float32():
    images = np.full([1, 8, 8, 3], 0.1, np.float32)
    got = linf_pgd(tf.identity, images, clip_max=0.1, **SETTINGS)
    np.testing.assert_array_equal(got, images)


def test_box_may_differ_from_channel_to_channel():
    """As that of images that were normalized with mean and deviation of each channel."""
    low, high = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 3.0, 1.0])
    images = low + (high - low) * _images(np.float64)
    settings = _settings(clip_min=low, clip_max=high)
    got = linf_pgd(linear_objective(linear_weights()), images, **settings).numpy()
    assert np.all(got >= low) and np.all(got <= high)
    assert 0 < np.abs(got - images).max() <= EPSILON + 1e-12
    with pytest.raises(ValueError, match="`images` must be in the box"):
        linf_pgd(tf.identity, images[..., ::-1], **settings)
