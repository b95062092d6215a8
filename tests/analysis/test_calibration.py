"""Calibration errors against closed forms and loops over images."""

import json
import math
import warnings

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.calibration import (
    adversarial_images,
    calibration_parts,
    compare_calibration,
    expected_calibration_error,
    logits_of,
)
from tests.common import random_images
from tests.evaluation.models import linear_logits, linear_problem, tiny_network


def _logits(confidences, num_classes=2):
    """Returns logits whose class 0 has these softmax probabilities, the others equal ones."""
    confidences = np.asarray(confidences, np.float64)
    others = (1 - confidences) / (num_classes - 1)
    rest = np.repeat(np.log(others)[:, None], num_classes - 1, axis=1)
    return np.concatenate([np.log(confidences)[:, None], rest], axis=1)


def _random(num_images=400, num_classes=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_images, num_classes)) * 2, rng.integers(
        num_classes, size=num_images
    )


def _by_loops(logits, labels, num_bins):
    """Returns (ECE, MCE, counts), as fractions, image by image."""
    bins = {}
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = math.fsum(math.exp(value) for value in row)
        probabilities = [math.exp(value) / total for value in row]
        confidence = max(probabilities)
        number = next(m for m in range(1, num_bins + 1) if confidence <= m / num_bins)
        right = probabilities.index(confidence) == label
        bins.setdefault(number, []).append((confidence, right))
    gaps = {
        number: abs(
            sum(right for _, right in members) / len(members)
            - sum(confidence for confidence, _ in members) / len(members)
        )
        for number, members in bins.items()
    }
    ece = sum(len(bins[number]) / len(labels) * gap for number, gap in gaps.items())
    counts = [len(bins.get(number, ())) for number in range(1, num_bins + 1)]
    return ece, max(gaps.values()), counts


@pytest.mark.parametrize("num_bins", [1, 7, 15])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_loops_over_images(num_bins, seed):
    logits, labels = _random(seed=seed)
    result = expected_calibration_error(logits, labels, num_bins=num_bins)
    ece, mce, counts = _by_loops(logits, labels, num_bins)
    assert result["expected_calibration_error"] == pytest.approx(100 * ece, rel=1e-10)
    assert result["maximum_calibration_error"] == pytest.approx(100 * mce, rel=1e-10)
    assert result["bin_counts"] == counts


def test_parts_of_images_have_the_error_as_mean():
    logits, labels = _random()
    error = expected_calibration_error(logits, labels)["expected_calibration_error"]
    assert calibration_parts(logits, labels).mean() == pytest.approx(error)


def test_standard_error_of_the_parts_is_the_one_of_a_bootstrap_over_images():
    rng, (logits, labels) = np.random.default_rng(3), _random(num_images=2000)
    errors = []
    for _ in range(300):
        rows = rng.integers(2000, size=2000)
        found = expected_calibration_error(logits[rows], labels[rows])
        errors.append(found["expected_calibration_error"])
    parts = calibration_parts(logits, labels)
    assert parts.std() / np.sqrt(2000) == pytest.approx(np.std(errors), rel=0.15)


def test_one_bin_is_the_difference_of_confidence_and_accuracy():
    logits, labels = _random()
    result = expected_calibration_error(logits, labels, num_bins=1)
    gap = abs(result["accuracy"] - result["mean_confidence"])
    assert result["expected_calibration_error"] == pytest.approx(gap)


def test_error_of_equal_confidences_in_closed_form():
    # Ten images at 80 %, seven of them right: 10 points too confident.
    result = expected_calibration_error(_logits([0.8] * 10), np.array([0] * 7 + [1] * 3))
    assert result["expected_calibration_error"] == pytest.approx(10)
    assert result["maximum_calibration_error"] == pytest.approx(10)
    assert result["accuracy"] == pytest.approx(70)
    assert result["mean_confidence"] == pytest.approx(80)


def test_gaps_of_both_signs_do_not_cancel():
    # Five images at 90 % all wrong, five at 60 % all right: 0.5 * 0.9 + 0.5 * 0.4.
    labels = np.array([1] * 5 + [0] * 5)
    result = expected_calibration_error(_logits([0.9] * 5 + [0.6] * 5), labels)
    assert result["expected_calibration_error"] == pytest.approx(65)
    assert result["maximum_calibration_error"] == pytest.approx(90)


def test_calibrated_classifier_has_no_error():
    # At 75 % three of four are right, at 50 % one of two.
    logits = _logits([0.75] * 4 + [0.5] * 2)
    labels = np.array([0, 0, 0, 1, 0, 1])
    result = expected_calibration_error(logits, labels)
    assert result["expected_calibration_error"] == pytest.approx(0, abs=1e-10)


def test_confidence_of_one_belongs_to_the_last_bin():
    logits = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    result = expected_calibration_error(logits, np.array([0, 0]))
    assert result["bin_counts"] == [0] * 14 + [2]
    assert result["bin_confidences"][-1] == 100 and result["bin_accuracies"][-1] == 50
    assert result["expected_calibration_error"] == 50


def test_confidence_on_an_edge_belongs_to_the_bin_below():
    # Two equal logits: a confidence of exactly a half, the edge between bins 2 and 3 of 4.
    result = expected_calibration_error(np.zeros((3, 2)), np.array([0, 0, 1]), num_bins=4)
    assert result["bin_counts"] == [0, 3, 0, 0]
    assert result["bin_edges"] == [0, 25, 50, 75, 100]


def test_empty_bins_are_none_and_count_nothing():
    result = expected_calibration_error(_logits([0.9]), np.array([0]), num_bins=2)
    assert result["bin_confidences"] == [None, pytest.approx(90)]
    assert result["bin_accuracies"] == [None, 100]
    assert result["maximum_calibration_error"] == pytest.approx(10)
    assert "NaN" not in json.dumps(result, allow_nan=False)


def test_bins_add_up_to_the_whole():
    logits, labels = _random()
    result = expected_calibration_error(logits.astype(np.float32), labels)
    counts = np.array(result["bin_counts"])
    assert counts.sum() == result["num_images"] == 400
    for part, whole in (("bin_accuracies", "accuracy"), ("bin_confidences", "mean_confidence")):
        values = np.array([0.0 if value is None else value for value in result[part]])
        assert np.sum(values * counts) / 400 == pytest.approx(result[whole])
    for low, high, value in zip(
        result["bin_edges"], result["bin_edges"][1:], result["bin_confidences"], strict=False
    ):
        assert value is None or low < value <= high


def test_shift_of_all_logits_changes_nothing():
    logits, labels = _random()
    shifted = expected_calibration_error(logits + 1e4, labels)
    want = expected_calibration_error(logits, labels)
    assert shifted["expected_calibration_error"] == pytest.approx(
        want["expected_calibration_error"], rel=1e-6
    )


def test_logits_far_apart_are_certain_and_overflow_nowhere():
    logits = np.array([[1e308, -1e308, 0], [-1e308, 1e308, 1e308]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = expected_calibration_error(logits, np.array([0, 1]), num_bins=2)
    assert result["bin_counts"] == [1, 1]
    assert (result["mean_confidence"], result["accuracy"]) == (75, 100)


def test_figure_holds_clean_and_attacked_images_of_every_model():
    logits, labels = _random()
    by_model = {"b": {"clean": logits, "attacked": -logits}, "a": {"clean": 2 * logits}}
    result = compare_calibration(by_model, labels, num_bins=10)
    assert result["figure"] == "calibration"
    assert result["parameters"] == {"num_bins": 10, "num_images": 400}
    first, second = result["models"]
    assert (first["label"], second["label"]) == ("b", "a")
    assert set(first["conditions"]) == {"clean", "attacked"}
    assert set(second["conditions"]) == {"clean"}
    want = expected_calibration_error(-logits, labels, num_bins=10)
    assert first["conditions"]["attacked"] == want
    assert first["measures"]["attacked"] == calibration_parts(-logits, labels, num_bins=10).tolist()
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros(3)}, r"`logits` must have shape.*\(3,\)"),
        ({"logits": np.zeros((0, 2))}, r"`logits` must have shape.*\(0, 2\)"),
        ({"logits": np.full((2, 2), np.inf)}, r"`logits` must be finite"),
        ({"labels": np.zeros(3, int)}, r"`labels` must be 2 integers.*\(3,\)"),
        ({"labels": np.zeros(2)}, r"`labels` must be 2 integers.*float64"),
        ({"num_bins": 0}, r"`num_bins` must be >= 1; received 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"logits": np.zeros((2, 2)), "labels": np.array([0, 1]), **change}
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(**arguments)


def test_figure_without_a_model_is_refused():
    with pytest.raises(ValueError, match="`logits_by_model` must hold at least one model"):
        compare_calibration({}, np.array([0]))


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


def test_adversarial_images_are_those_that_the_logits_are_of():
    network, images = tiny_network(), random_images(5)
    attack = {"epsilon": 8 / 255, "step_size": 2 / 255, "num_steps": 3, "random_start": True}
    attacked = adversarial_images(network, images, _labels(5), attack=attack, seed=7)
    assert 0 < np.abs(attacked - images).max() <= 8 / 255 + 1e-6
    found = logits_of(network, attacked, _labels(5))
    expected = logits_of(network, images, _labels(5), attack=attack, seed=7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
