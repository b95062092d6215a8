"""Feature inversion against closed forms on linear maps, and on a small trained network."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis import inversion_choices
from ascl_tf.analysis.inversion import compare_inversions, invert_features
from ascl_tf.analysis.inversion_agreement import agreement_of_components
from ascl_tf.analysis.inversion_choices import (
    choose_probe_images,
    choose_seed_images,
    first_components,
    noise_images,
    noise_of_same_norm,
    rank_components,
)
from tests.common import random_images

SIZE = 6


def _linear(num_features=3, seed=0):
    """Returns (features function, its weights [F, H, W, C])."""
    weights = np.random.default_rng(seed).normal(size=(num_features, SIZE, SIZE, 3))
    kernel = tf.constant(weights.reshape(num_features, -1).T, tf.float32)
    return lambda images: tf.reshape(images, [-1, kernel.shape[0]]) @ kernel, weights


def _gray(num_images=2):
    return np.full((num_images, SIZE, SIZE, 3), 0.5, np.float32)


@functools.cache
def _trained_features():
    """Returns pooled features of a network that has learnt to tell four gratings, and images."""
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=512)
    places = np.arange(16) * np.pi / 2
    gratings = [
        np.sin(k * places[:, None] + (1 - k) * places[None] + shift)
        for k in (0, 1)
        for shift in (0.0, 0.8)
    ]
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    pictures = np.array(gratings)[labels][..., None] * colors[labels][:, None, None]
    images = 0.5 + 0.15 * pictures + rng.normal(size=(512, 16, 16, 3)) * 0.1
    images = np.clip(images, 0, 1).astype(np.float32)
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    history = network.fit(images, labels, batch_size=64, epochs=12, verbose=0)
    assert history.history["accuracy"][-1] > 0.95
    return keras.Model(network.inputs, network.layers[-2].output), images


def test_linear_map_is_climbed_along_its_weights():
    features_fn, weights = _linear()
    result = invert_features(features_fn, _gray(), [2, 0], num_steps=10, step_size=0.02)
    for place, component in enumerate([2, 0]):
        direction = weights[component] / np.linalg.norm(weights[component])
        want = 0.5 + 10 * 0.02 * direction
        for images in result["images"]:
            np.testing.assert_allclose(images[place], want, atol=1e-6)
        rise = 0.2 * np.linalg.norm(weights[component])
        got = (
            np.array(result["values_after"])[:, place] - np.array(result["values_before"])[:, place]
        )
        np.testing.assert_allclose(got, rise, rtol=1e-4)
    np.testing.assert_allclose(result["perturbation_norms"], 0.2, rtol=1e-5)


def test_linear_map_ends_in_the_best_corner_of_the_box():
    features_fn, weights = _linear()
    result = invert_features(features_fn, random_images(3, SIZE), [1], num_steps=300, step_size=5.0)
    corner = (weights[1] > 0).astype(float)
    for images in result["images"]:
        np.testing.assert_allclose(images[0], corner, atol=1e-6)
    np.testing.assert_allclose(result["values_after"], weights[1].clip(min=0).sum(), rtol=1e-5)


def test_values_belong_to_their_seed_and_component():
    features_fn, weights = _linear(4)
    seeds = random_images(3, SIZE)
    result = invert_features(features_fn, seeds, [3, 1], num_steps=7, step_size=0.3)
    got = np.array(result["images"], np.float64)
    for s in range(3):
        for place, component in enumerate([3, 1]):
            before = np.sum(seeds[s].astype(np.float64) * weights[component])
            after = np.sum(got[s, place] * weights[component])
            length = np.linalg.norm(got[s, place] - seeds[s])
            assert result["values_before"][s][place] == pytest.approx(before, rel=1e-4, abs=1e-4)
            assert result["values_after"][s][place] == pytest.approx(after, rel=1e-4, abs=1e-4)
            assert result["perturbation_norms"][s][place] == pytest.approx(length, rel=1e-4)


def test_best_image_of_the_path_is_kept():
    peak = random_images(1, SIZE, seed=5)

    def features_fn(images):
        return -tf.reduce_sum(tf.square(images - peak), axis=[1, 2, 3])[:, None]

    # One step too long to stay: the seed on the peak itself is the best of the path.
    result = invert_features(features_fn, peak, [0], num_steps=3, step_size=2.0)
    np.testing.assert_array_equal(result["images"][0][0], peak[0])
    paths = [
        invert_features(features_fn, _gray(1), [0], num_steps=n, step_size=0.3)["values_after"]
        for n in (0, 5, 40)
    ]
    values = np.ravel(paths)
    assert np.all(np.diff(values) >= 0) and values[-1] > values[0]


def test_component_without_gradient_leaves_the_image():
    seeds = random_images(2, SIZE)

    def features_fn(images):
        return tf.nn.relu(tf.reduce_mean(images, axis=[1, 2]) - [0.0, 2.0, 2.0])

    result = invert_features(features_fn, seeds, [1], num_steps=5)
    np.testing.assert_array_equal(np.array(result["images"], np.float32)[:, 0], seeds)
    assert result["values_before"] == result["values_after"] == result["values_noise"]
    assert np.all(np.array(result["perturbation_norms"]) == 0)


def _rises(**settings):
    """Returns mean rises [K] over the seeds by inversion, and by noise of the same norm."""
    features_fn, images = _trained_features()
    result = compare_inversions({"trained": features_fn}, images, num_components=4, **settings)
    (model,) = result["models"]
    before, after, noise = (
        np.array(model[key]) for key in ("values_before", "values_after", "values_noise")
    )
    assert np.all(after > before)
    return (after - before).mean(axis=0), np.abs(noise - before).mean(axis=0)


@pytest.mark.slow  # The next one takes a shorter path.
def test_trained_components_rise_ten_times_as_much_as_by_noise_of_the_same_norm():
    rises, rises_by_noise = _rises()
    assert rises.mean() >= 10 * rises_by_noise.mean(), rises / rises_by_noise


@pytest.mark.slow  # The one before has the longer path.
def test_every_trained_component_does_so_on_a_shorter_path():
    rises, rises_by_noise = _rises(num_steps=60, step_size=0.2)
    assert np.all(rises >= 10 * rises_by_noise), rises / rises_by_noise


def test_noise_is_as_long_as_the_change():
    images, changed = random_images(5, 8), random_images(5, 8, seed=1)
    noisy = noise_of_same_norm(images, changed, seed=3)
    wanted = [np.linalg.norm(change) for change in changed - images]
    np.testing.assert_allclose([np.linalg.norm(n) for n in noisy - images], wanted, rtol=1e-4)
    assert noisy.min() >= 0 and noisy.max() <= 1 and noisy.dtype == np.float32
    np.testing.assert_array_equal(noisy, noise_of_same_norm(images, changed, seed=3))
    assert not np.array_equal(noisy, noise_of_same_norm(images, changed, seed=[3, 1]))
    np.testing.assert_array_equal(noise_of_same_norm(images, images, seed=3), images)


def test_noise_goes_as_far_as_the_box_allows():
    black, white = np.zeros((2, 8, 8, 3)), np.ones((2, 8, 8, 3))
    noisy = noise_of_same_norm(black, white, seed=0)
    # Half of the directions point out of the box.
    assert set(np.unique(noisy)) == {0.0, 1.0}
    assert 0.4 < noisy.mean() < 0.6


def test_box_is_kept_and_equal_calls_give_equal_numbers():
    features_fn, images = _trained_features()
    arguments = {"num_steps": 15, "step_size": 1.5, "seed": 4}
    first = invert_features(features_fn, images[:3], [0, 5], **arguments)
    second = invert_features(features_fn, images[:3], [0, 5], **arguments)
    assert json.dumps(first, allow_nan=False) == json.dumps(second)
    assert np.min(first["images"]) >= 0 and np.max(first["images"]) <= 1
    assert first["parameters"]["norm"] == "l2" and first["parameters"]["num_steps"] == 15


def test_number_of_steps_is_a_loop_and_not_a_longer_graph():
    calls = []

    def features_fn(images):
        calls.append(None)
        return tf.reduce_mean(images, axis=[1, 2])

    counts = []
    for num_steps in (2, 50):
        calls.clear()
        invert_features(features_fn, _gray(), [0], num_steps=num_steps)
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_figure_holds_the_same_seeds_and_components_for_every_model():
    functions = {"one": _linear(8)[0], "other": _linear(12, seed=1)[0]}
    images = np.round(255 * random_images(30, SIZE)).astype(np.uint8)
    settings = {"num_natural": 3, "num_noise": 1, "num_components": 2, "num_steps": 2}
    result = compare_inversions(functions, images, **settings)
    assert [model["label"] for model in result["models"]] == ["one", "other"]
    assert result["seed_kinds"] == ["natural"] * 3 + ["noise"]
    assert result["seed_indices"][3] is None and max(result["components"]) < 8
    assert np.shape(result["seed_images"]) == (4, SIZE, SIZE, 3)
    for place, index in enumerate(result["seed_indices"][:3]):
        np.testing.assert_allclose(result["seed_images"][place], images[index] / 255, atol=6e-5)
    for model in result["models"]:
        assert np.shape(model["images"]) == (4, 2, SIZE, SIZE, 3)
        assert np.shape(model["values_after"]) == (4, 2)
        # Of all components that are alive for both.
        assert np.shape(model["measures"]["agreement"]) == (8,)
    assert result["parameters"]["num_probe_images"] == 30
    json.dumps(result, allow_nan=False)


def test_components_are_alive_for_every_model():
    # Components 0 to 5 of 8: dead in the first model, dead in the second, rarely alive,
    # dead at one seed, and alive.
    probe = [np.ones((10, 8)), np.ones((10, 6))]
    seeds = [np.ones((2, 8)), np.ones((2, 6))]
    probe[0][:, 0] = 0
    probe[1][:, 1] = 1e-9
    probe[0][:6, 2] = 0
    seeds[1][1, 3] = 0
    for seed in range(5):
        ranked = rank_components(probe, seeds, seed=seed)
        assert set(ranked[:2]) == {4, 5} and set(ranked) == {3, 4, 5}
    orders = {tuple(first_components(rank_components(probe, seeds, seed=s), 2)) for s in range(9)}
    assert orders == {(4, 5), (5, 4)}
    with pytest.raises(ValueError, match=r"`num_components` must be from 1 to 3.*received 4"):
        first_components(ranked, 4)


def test_negative_components_count_as_alive():
    features = [-np.ones((4, 2))]
    assert len(rank_components(features, features, seed=0)) == 2


def test_half_of_the_probe_images_are_enough():
    probe = np.zeros((10, 1))
    probe[:5] = 1
    seeds = [np.ones((1, 1))]
    assert inversion_choices.MIN_ALIVE_SHARE == 0.5
    assert rank_components([probe], seeds, seed=0) == [0]


def test_component_with_one_image_agrees_and_one_that_follows_its_start_does_not():
    weights = np.random.default_rng(2).normal(size=3 * SIZE * SIZE).astype(np.float32)

    def features_fn(images):
        flat = tf.reshape(images - 0.5, [-1, 3 * SIZE * SIZE])
        # Component 0 is linear: the corner of the box that its weights point to is its one image.
        # Component 1 leads each start away from the middle by its own pixels. 2 has no gradient.
        linear = tf.linalg.matvec(flat, weights)
        return tf.stack([linear, tf.reduce_sum(flat**2, 1), 0.0 * linear], axis=1)

    components, settings = np.array([0, 1, 2]), {"num_steps": 400, "step_size": 0.5}
    one, own, none = agreement_of_components(features_fn, components, (SIZE, SIZE, 3), **settings)
    assert one == pytest.approx(1.0, abs=0.01)
    first, second = noise_images(2, (SIZE, SIZE, 3), seed=0).reshape(2, -1)
    corners = np.corrcoef(first > 0.5, second > 0.5)[0, 1]
    assert own == pytest.approx(corners, abs=0.01)
    assert none == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-6)
    assert abs(corners) < 0.2 and abs(none) < 0.2


def test_seeds_are_different_images_and_then_uniform_noise():
    images = random_images(20, SIZE)
    seeds = choose_seed_images(images, num_natural=20, num_noise=2, seed=0)
    assert sorted(seeds.indices[:20]) == list(range(20))
    assert seeds.images.shape == (22, SIZE, SIZE, 3) and seeds.images.dtype == np.float32
    noise = noise_images(4, (32, 32, 3), seed=0)
    histogram = np.histogram(noise, bins=10, range=(0, 1))[0] / noise.size
    np.testing.assert_allclose(histogram, 0.1, atol=0.015)
    assert not np.array_equal(noise, noise_images(4, (32, 32, 3), seed=1))
    only_noise = choose_seed_images(images, num_natural=0, num_noise=1, seed=0)
    assert only_noise.kinds == ["noise"]


def test_probe_takes_all_images_where_there_are_fewer():
    images = random_images(5, SIZE)
    np.testing.assert_array_equal(choose_probe_images(images, num_images=9, seed=0), images)
    assert len(choose_probe_images(images, num_images=3, seed=0)) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": []}, r"`components` must be a list of integers"),
        ({"components": [0.5]}, r"`components` must be a list of integers.*float64"),
        ({"components": [3]}, r"`components` must be in 0\.\.2.*received \[3\]"),
        ({"components": [-1]}, r"`components` must be in 0\.\.2.*received \[-1\]"),
        ({"num_steps": -1}, r"`num_steps` must be >= 0; received -1"),
        ({"step_size": -0.1}, r"`step_size` must be >= 0; received -0.1"),
        ({"seed_images": np.zeros((4, 4))}, r"`images` must have shape.*\(4, 4\)"),
        ({"seed_images": np.full((1, SIZE, SIZE, 3), 1.5)}, r"`images` must be uint8, or in"),
        ({"features_fn": lambda images: tf.round(images)[:, 0, 0]}, r"must be differentiable"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"features_fn": _linear()[0], "seed_images": _gray(), "components": [0], **change}
    with pytest.raises(ValueError, match=message):
        invert_features(**arguments)


def test_bad_choices_are_named():
    with pytest.raises(ValueError, match="`features_fns` must hold at least one model"):
        compare_inversions({}, _gray())
    with pytest.raises(ValueError, match="`num_natural` and `num_noise` must be >= 0"):
        choose_seed_images(_gray(), num_natural=0, num_noise=0, seed=0)
    with pytest.raises(ValueError, match="`num_images` must be from 1 to the 2 images"):
        choose_seed_images(_gray(), num_natural=3, num_noise=0, seed=0)
