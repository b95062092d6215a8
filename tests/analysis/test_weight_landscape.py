"""The weight landscape: its center, its direction, and weights that come back."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.weight_landscape import filter_normalized_direction, weight_landscape
from ascl_tf.errors import RunError
from tests.common import random_images
from tests.evaluation.models import linear_problem, tiny_network

ATTACK = {"epsilon": 8 / 255, "step_size": 2 / 255, "num_steps": 5}


def _labels(num_images, num_classes=4):
    return np.arange(num_images) % num_classes


def _network_landscape(network, **settings):
    images, labels = random_images(6), _labels(6)
    return weight_landscape(
        network, network.trainable_weights, images, labels, **ATTACK | {"num_points": 3} | settings
    )


def _pgd_loss(network, images, labels):
    """Mean loss after PGD without a random start, written out step by step."""
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    attacked = tf.constant(images)
    for _ in range(ATTACK["num_steps"]):
        with tf.GradientTape() as tape:
            tape.watch(attacked)
            total = tf.reduce_sum(cross_entropy(labels, network(attacked)))
        attacked = attacked + ATTACK["step_size"] * tf.sign(tape.gradient(total, attacked))
        attacked = tf.clip_by_value(
            attacked,
            np.maximum(images - ATTACK["epsilon"], 0),
            np.minimum(images + ATTACK["epsilon"], 1),
        )
    return float(np.mean(cross_entropy(labels, network(attacked))))


def test_center_and_moved_weights_have_the_adversarial_loss():
    network = tiny_network()
    result = _network_landscape(network, random_start=False)
    direction = filter_normalized_direction(network.trainable_weights)
    originals = network.get_weights()
    for offset, loss in zip((-1, 0, 1), result["losses"], strict=True):
        network.set_weights([w + offset * d for w, d in zip(originals, direction, strict=True)])
        # Crafted anew: the oracle attacks the moved network.
        assert loss == pytest.approx(_pgd_loss(network, random_images(6), _labels(6)), rel=1e-5)
    assert result["offsets"] == [-1, 0, 1]
    assert result["centre_loss"] == result["losses"][1]


def test_linear_classifier_has_its_closed_form():
    images, labels, kernel, _ = linear_problem()
    weight = tf.Variable(kernel.reshape(-1, 1))

    def logits_fn(images):
        score = tf.reshape(images, [-1, kernel.size]) @ weight
        return tf.concat([score, -score], axis=1)

    settings = {"epsilon": 8 / 255, "step_size": 8 / 255, "num_steps": 1, "random_start": False}
    result = weight_landscape(logits_fn, [weight], images, labels, num_points=5, **settings)
    (direction,) = filter_normalized_direction([weight])
    for offset, loss in zip(np.linspace(-1, 1, 5), result["losses"], strict=True):
        moved = (kernel.reshape(-1) + offset * direction[:, 0]).astype(np.float64)
        signs = 1 - 2 * labels[:, None]
        flat = images.reshape(len(images), -1).astype(np.float64)
        worst = np.clip(flat - signs * settings["epsilon"] * np.sign(moved), 0, 1)
        expected = np.log1p(np.exp(-2 * signs[:, 0] * (worst @ moved))).mean()
        assert loss == pytest.approx(expected, rel=1e-4)


def test_measures_are_rises_of_each_image_in_the_mean_over_directions():
    settings = {"random_start": False, "num_directions": 2}
    network, images = tiny_network(), random_images(6)
    result = _network_landscape(network, **settings)
    originals, labels = network.get_weights(), _labels(6)
    for name, offset in (("rise_half", 0.5), ("rise", 1.0)):
        rises = np.zeros(6)
        for number in range(2):
            direction = filter_normalized_direction(originals, number=number)
            for sign, moved in ((-1, 0.0), (1, offset)):
                weights = zip(originals, direction, strict=True)
                network.set_weights([w + moved * d for w, d in weights])
                for i in range(0, 6, 3):
                    loss = _pgd_loss(network, images[i : i + 1], labels[i : i + 1])
                    rises[i] += sign * loss / 2
        network.set_weights(originals)
        found = np.array(result["measures"][name])
        np.testing.assert_allclose(found[::3], rises[::3], rtol=1e-3, atol=1e-5)


def test_every_filter_of_the_direction_is_as_long_as_the_filter():
    network = tiny_network()
    weights = network.trainable_weights
    for weight, direction in zip(weights, filter_normalized_direction(weights), strict=True):
        weight = weight.numpy()
        assert direction.shape == weight.shape and direction.dtype == weight.dtype
        if weight.ndim == 1:
            assert not direction.any()
            continue
        for channel in range(weight.shape[-1]):
            expected = np.linalg.norm(weight[..., channel].astype(np.float64))
            assert np.linalg.norm(direction[..., channel]) == pytest.approx(expected, rel=1e-5)
            cosine = np.sum(direction[..., channel] * weight[..., channel]) / expected**2
            assert abs(cosine) < 0.6


def test_direction_belongs_to_seed_and_a_filter_of_zeros_stays():
    weights = [np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)]
    draws = ((1, 0), (1, 0), (2, 0), (1, 1))
    first, again, other, further = (
        filter_normalized_direction(weights, seed=seed, number=number) for seed, number in draws
    )
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[0], further[0])
    assert not first[1].any()


def test_weights_come_back_bit_for_bit():
    network = tiny_network()
    before = [w.tobytes() for w in network.get_weights()]
    _network_landscape(network)
    assert [w.tobytes() for w in network.get_weights()] == before


def test_weights_come_back_after_an_exception():
    network = tiny_network()
    before = [w.tobytes() for w in network.get_weights()]

    def interrupt(num_done, num_to_do):
        assert [w.tobytes() for w in network.get_weights()] != before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _network_landscape(network, progress=interrupt)
    assert [w.tobytes() for w in network.get_weights()] == before


def test_batch_size_changes_nothing_and_one_trace_serves_all():
    network, traces = tiny_network(), []

    def logits_fn(images):
        if not tf.executing_eagerly():
            traces.append(1)
        return network(images)

    results = [
        weight_landscape(
            logits_fn,
            network.trainable_weights,
            random_images(7),
            _labels(7),
            num_points=3,
            batch_size=batch_size,
            **ATTACK,
        )
        for batch_size in (7, 3)
    ]
    np.testing.assert_allclose(results[0]["losses"], results[1]["losses"], rtol=1e-5)
    # Per call: once in the loop of PGD and once for the loss, however many points and batches.
    assert len(traces) == 4


def test_result_fits_json_and_repeats_itself():
    results = [_network_landscape(tiny_network(), seed=seed) for seed in (5, 5, 6)]
    first, again, other = (json.dumps(r["losses"], allow_nan=False) for r in results)
    assert first == again != other
    assert (results[0]["parameters"]["num_steps"], results[0]["num_images"]) == (5, 6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_points": 2}, r"`num_points` must be odd and >= 3; received 2"),
        ({"batch_size": 0}, r"`batch_size` must be >= 1; received 0"),
        ({"num_directions": 0}, r"`num_directions` must be >= 1; received 0"),
        ({"max_offset": -1}, r"`max_offset` must be > 0; received -1"),
        ({"epsilon": -1}, r"`epsilon` must be >= 0; received -1"),
    ],
)
def test_bad_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        _network_landscape(tiny_network(), **settings)


def test_loss_that_is_not_finite_is_named():
    weight = tf.Variable([[np.float32(np.nan), 1.0]])

    def logits_fn(images):
        return tf.reduce_sum(images, [1, 2, 3])[:, None] @ weight

    with pytest.raises(RunError, match="expected finite losses"):
        weight_landscape(
            logits_fn, [weight], random_images(2), np.array([0, 1]), num_points=3, **ATTACK
        )
