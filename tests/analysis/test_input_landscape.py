"""The input landscape against closed forms, and its directions against their norms."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.input_landscape import input_landscape, landscape_directions
from ascl_tf.errors import RunError
from tests.common import random_images
from tests.evaluation.models import linear_logits, linear_problem, tiny_network

RADIUS = 16 / 255


def _labels(num_images, num_classes=4):
    return np.arange(num_images) % num_classes


def _cross_entropy(logits, labels):
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_partition = np.log(np.exp(shifted).sum(axis=1))
    return log_partition - shifted[np.arange(len(labels)), labels]


def test_center_is_the_loss_on_the_data():
    network, images = tiny_network(), random_images(7)
    result = input_landscape(network, images, _labels(7), grid_size=5)
    expected = _cross_entropy(network(images), _labels(7))
    assert result["adversarial_offsets"][2] == result["random_offsets"][2] == 0
    np.testing.assert_allclose(result["measures"]["loss"], expected, rtol=1e-5)
    assert result["centre_loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert result["mean_loss"][2][2] == result["centre_loss"]


def test_linear_classifier_has_its_closed_form():
    images, labels, weights, bias = linear_problem()
    result = input_landscape(linear_logits(weights, bias), images, labels, grid_size=5, seed=3)
    _, random_signs = landscape_directions(linear_logits(weights, bias), images, labels, seed=3)
    weights, signs = weights.astype(np.float64), 1 - 2 * labels

    def losses(a, b):
        # To raise the loss the score moves against the sign of the label.
        scores = np.sum(images * weights, axis=(1, 2, 3)) + bias - a * signs * np.abs(weights).sum()
        scores = scores + b * np.sum(weights * random_signs, axis=(1, 2, 3))
        return np.log1p(np.exp(-2 * signs * scores))

    offsets = np.linspace(-RADIUS, RADIUS, 5)
    expected = [[np.mean(losses(a, b)) for b in offsets] for a in offsets]
    np.testing.assert_allclose(result["mean_loss"], expected, rtol=1e-4)
    rises = {
        "rise_half": losses(RADIUS / 2, 0) - losses(0, 0),
        "rise": losses(RADIUS, 0) - losses(0, 0),
    }
    for name, values in rises.items():
        np.testing.assert_allclose(result["measures"][name], values, rtol=1e-3, atol=1e-5)


def test_rise_at_half_the_radius_needs_no_point_of_the_grid():
    settings = {"images": random_images(5), "labels": _labels(5)}
    coarse = input_landscape(tiny_network(), grid_size=3, **settings)
    fine = input_landscape(tiny_network(), grid_size=5, **settings)
    at_half = fine["mean_loss"][3][2] - fine["centre_loss"]
    assert np.mean(coarse["measures"]["rise_half"]) == pytest.approx(at_half, rel=1e-4)


def test_directions_have_norm_one_and_differ_from_image_to_image():
    network, images = tiny_network(), random_images(6)
    for direction in landscape_directions(network, images, _labels(6)):
        assert direction.shape == images.shape
        np.testing.assert_array_equal(np.abs(direction).reshape(6, -1).max(axis=1), 1)
        assert len({row.tobytes() for row in direction.numpy()}) == 6
    np.testing.assert_array_equal(np.abs(direction), 1)
    assert abs(np.mean(direction)) < 0.15


def test_adversarial_direction_raises_the_loss():
    result = input_landscape(tiny_network(), random_images(8), _labels(8), grid_size=3)
    below, center, above = (row[1] for row in result["mean_loss"])
    assert below < center < above


def test_batch_size_changes_nothing_and_one_trace_serves_all():
    network, traces = tiny_network(), []

    def logits_fn(images):
        if not tf.executing_eagerly():
            traces.append(1)
        return network(images)

    results = [
        input_landscape(logits_fn, random_images(7), _labels(7), grid_size=3, batch_size=batch_size)
        for batch_size in (7, 3)
    ]
    np.testing.assert_allclose(results[0]["mean_loss"], results[1]["mean_loss"], rtol=1e-5)
    # Per call: once for the gradient and once in the loop over points, however many batches.
    assert len(traces) == 4


def test_clipping_keeps_the_box_and_is_off_by_default():
    seen = []

    def logits_fn(images):
        tf.py_function(lambda x: seen.append((x.numpy().min(), x.numpy().max())), [images], [])
        return tf.stack([tf.reduce_sum(images, [1, 2, 3]), tf.zeros(tf.shape(images)[0])], axis=1)

    arguments = (logits_fn, np.zeros((2, 4, 4, 3), np.float32), np.array([0, 1]))
    input_landscape(*arguments, grid_size=3, clip_to_box=True)
    assert min(low for low, _ in seen) >= 0 and max(high for _, high in seen) <= 1
    assert input_landscape(*arguments, grid_size=3)["parameters"]["clip_to_box"] is False
    assert min(low for low, _ in seen) == pytest.approx(-2 * RADIUS)


def test_image_without_a_gradient_is_counted():
    def logits_fn(images):
        mean = tf.reduce_mean(images, [1, 2, 3])
        return tf.stack([tf.where(mean > 0.5, mean, 0.0 * mean), 0.0 * mean], axis=1)

    images = np.stack([np.zeros((2, 2, 3)), np.ones((2, 2, 3))]).astype(np.float32)
    result = input_landscape(logits_fn, images, np.array([0, 0]), grid_size=3)
    assert result["num_zero_gradients"] == 1


def test_result_fits_json_and_repeats_itself():
    results = [
        input_landscape(tiny_network(), random_images(3), _labels(3), grid_size=3, seed=seed)
        for seed in (5, 5, 6)
    ]
    first, again, other = (json.dumps(r["mean_loss"], allow_nan=False) for r in results)
    assert first == again != other
    assert results[0]["num_images"] == 3 and results[0]["parameters"]["radius"] == RADIUS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid_size": 4}, r"`grid_size` must be odd and >= 3; received 4"),
        ({"batch_size": 0}, r"`batch_size` must be >= 1; received 0"),
        ({"radius": 0}, r"`radius` must be > 0; received 0"),
    ],
)
def test_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        input_landscape(tiny_network(), random_images(2), _labels(2), **settings)


def test_model_without_gradient_or_finite_loss_is_named():
    def constant(images):
        return tf.ones([tf.shape(images)[0], 2])

    def broken(images):
        return tf.reduce_sum(images, [1, 2, 3])[:, None] * tf.constant([[np.nan, 1.0]])

    with pytest.raises(ValueError, match="whose gradient is None"):
        input_landscape(constant, random_images(2), np.array([0, 1]), grid_size=3)
    with pytest.raises(RunError, match="expected finite losses"):
        input_landscape(broken, random_images(2), np.array([0, 1]), grid_size=3)
