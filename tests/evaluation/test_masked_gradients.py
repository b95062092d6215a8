"""A model that hides its gradients: PGD's number looks high, and is not believed."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import autoattack_versions
from ascl_tf.evaluation import PROTOCOLS, checks, evaluate_robustness
from ascl_tf.evaluation.protocols import Protocol
from tests.evaluation import models

EPSILON = "8/255"


@pytest.fixture(scope="module")
def problem():
    """Images at half the distance from the boundary that eight gray levels can go."""
    rng = np.random.default_rng(0)
    # One sign per channel: Square, which paints squares of one color, can follow that.
    weights = np.broadcast_to(np.float32([1, -1, 1]), (4, 4, 3))
    images = rng.uniform(0.2, 0.8, (12, 4, 4, 3)).astype(np.float32)
    margins = np.where(np.arange(12) % 2, -1, 1) * 4 / 255
    distance = np.einsum("nhwc,hwc->n", images, weights) / weights.size - margins
    images -= distance[:, None, None, None].astype(np.float32) * weights
    labels = (margins < 0).astype(np.int64)
    assert not models.linear_survivors(images, labels, weights, 0.0, 8 / 255).any()
    return images, labels, weights, np.float32(0)


def _quantised(weights, bias):
    """The linear classifier of images with 64 levels: its gradient is zero nearly everywhere."""
    linear = models.linear_logits(weights, bias)

    def logits_fn(images):
        # Tied to its images, so that a gradient exists: all zeros.
        return linear(tf.round(images * 63) / 63) + 0.0 * tf.reduce_sum(images)

    return logits_fn


def test_quantised_input_keeps_pgds_number_high_and_squares_low(problem, monkeypatch):
    images, labels, weights, bias = problem
    short = (
        autoattack_versions.PlannedAttack(name="apgd-ce", kind="apgd", num_steps=5),
        autoattack_versions.PlannedAttack(name="square", kind="square", num_queries=150),
    )
    monkeypatch.setitem(autoattack_versions.VERSIONS, "short", short)
    ensemble = Protocol(
        name="short", kind="autoattack", epsilon=EPSILON, options={"version": "short"}
    )
    pgd20, autoattack = evaluate_robustness(
        _quantised(weights, bias), (images, labels), [PROTOCOLS["pgd20"], ensemble]
    )
    # Without the rounding none of the images withstands this radius.
    assert pgd20["robust_accuracy"] > 60 > 20 > autoattack["robust_accuracy"]
    raised = {check["name"] for check in pgd20["checks"]}
    assert raised == {"zero_gradients", "far_above_autoattack"}
    raised = {check["name"] for check in autoattack["checks"]}
    assert raised == {"zero_gradients", "square_stronger"}
    assert [attack["num_queries"] for attack in autoattack["planned_attacks"]][1] == 150


def test_the_same_model_without_rounding_passes(problem):
    images, labels, weights, bias = problem
    (record,) = evaluate_robustness(models.linear_logits(weights, bias), (images, labels), "pgd20")
    assert record["checks"] == [] and record["robust_accuracy"] == 0


def test_every_check_of_records_is_told_from_a_sound_number():
    sound = {
        "protocol": "pgd20",
        "attack": PROTOCOLS["pgd20"].settings(),
        "epsilon": EPSILON,
        "standard_accuracy": 80.0,
        "robust_accuracy": 50.0,
        "max_perturbation": np.float32(8 / 255).item(),
        "checks": [],
    }
    (record,) = checks.attach([sound], {})
    assert record["checks"] == []
