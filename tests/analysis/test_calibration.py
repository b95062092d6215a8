"""Calibration errors against closed forms and loops over images."""

import json
import math

import numpy as np
import pytest

from ascl_tf.analysis.calibration import compare_calibration, expected_calibration_error


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
