"""Logits of many images: those of the model, and under PGD those of images made step by step."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.image_logits import logits_of
from tests.common import random_images
from tests.evaluation.models import linear_logits, linear_problem, tiny_network


def _labels(num_images):
    return np.arange(num_images) % 4


def test_without_attack_they_are_the_models_whatever_the_batch_size():
    network, images = tiny_network(), random_images(7)
    for batch_size in (7, 3):
        logits = logits_of(network, images, _labels(7), batch_size=batch_size)
        np.testing.assert_allclose(logits, network(images), rtol=1e-5, atol=1e-6)


def test_attacked_linear_classifier_has_its_closed_form():
    images, labels, weights, bias = linear_problem()
    attack = {"epsilon": 0.1, "step_size": 0.1, "num_steps": 2, "random_start": False}
    logits = logits_of(linear_logits(weights, bias), images, labels, attack=attack)
    signs = (1 - 2 * labels)[:, None, None, None]
    worst = np.clip(images - 0.1 * signs * np.sign(weights), 0, 1)
    scores = np.sum(worst.astype(np.float64) * weights, axis=(1, 2, 3)) + bias
    np.testing.assert_allclose(logits, np.stack([scores, -scores], axis=1), rtol=1e-4, atol=1e-5)


def test_starts_belong_to_seed_and_place_and_not_to_the_batch():
    network, images = tiny_network(), random_images(5)
    attack = {"epsilon": 0.1, "step_size": 0.02, "num_steps": 1, "random_start": True}
    results = [
        logits_of(network, images, _labels(5), attack=attack, seed=seed, batch_size=batch_size)
        for seed, batch_size in ((1, 5), (1, 2), (2, 5))
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)
    assert np.abs(results[0] - results[2]).max() > 1e-4


def test_progress_ends_at_the_number_of_images():
    seen = []
    logits_of(
        lambda images: tf.reduce_mean(images, axis=[1, 2]),
        random_images(5),
        _labels(5) % 3,
        batch_size=2,
        progress=lambda num_done, num_to_do: seen.append((num_done, num_to_do)),
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_batch_size_below_one_is_named():
    with pytest.raises(ValueError, match=r"`batch_size` must be >= 1; received 0"):
        logits_of(tiny_network(), random_images(1), _labels(1), batch_size=0)
