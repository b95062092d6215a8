"""Losses of AutoAttack: loops in float64, invariances, gradients, ties."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import logit_losses


def _logits(num_images=7, num_classes=6, seed=0):
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(num_images, num_classes))
    labels = rng.integers(0, num_classes, num_images)
    # One image is right, one has its label in second place.
    order = np.argsort(logits, axis=1)
    labels[0], labels[1] = order[0, -1], order[1, -2]
    targets = (labels + 1 + rng.integers(0, num_classes - 1, num_images)) % num_classes
    return logits, labels.astype(np.int32), targets.astype(np.int32)


def _dlr(row, label):
    first, second, third = sorted(row, reverse=True)[:3]
    other = second if row[label] == first else first
    return -(row[label] - other) / (first - third)


def _targeted_dlr(row, label, target):
    first, _, third, fourth = sorted(row, reverse=True)[:4]
    return -(row[label] - row[target]) / (first - 0.5 * (third + fourth))


def test_dlr_matches_its_formula():
    logits, labels, _ = _logits()
    want = [_dlr(list(row), label) for row, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(
        logit_losses.dlr_loss(tf.constant(logits), labels), want, rtol=1e-9, atol=1e-12
    )


def test_targeted_dlr_matches_its_formula():
    logits, labels, targets = _logits()
    rows = zip(logits, labels, targets, strict=True)
    want = [_targeted_dlr(list(row), label, target) for row, label, target in rows]
    got = logit_losses.targeted_dlr_loss(tf.constant(logits), labels, targets)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_dlr_of_known_logits():
    # -(4 - 3) / (4 - 1) right; -(1 - 4) / (4 - 1) for the third class.
    logits = tf.constant([[4.0, 3.0, 1.0, 0.0]] * 2)
    np.testing.assert_allclose(logit_losses.dlr_loss(logits, [0, 2]), [-1 / 3, 1.0], rtol=1e-6)
    # -(4 - 1) / (4 - (1 + 0) / 2)
    got = logit_losses.targeted_dlr_loss(logits, [0, 0], [2, 2])
    np.testing.assert_allclose(got, [-3 / 3.5] * 2, rtol=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
def test_gradient_matches_finite_differences(targeted):
    logits, labels, targets = _logits()

    def loss(values):
        if targeted:
            return tf.reduce_sum(logit_losses.targeted_dlr_loss(values, labels, targets))
        return tf.reduce_sum(logit_losses.dlr_loss(values, labels))

    analytic, numeric = tf.test.compute_gradient(loss, [tf.constant(logits)], delta=1e-6)
    np.testing.assert_allclose(analytic[0], numeric[0], rtol=1e-6, atol=1e-7)
    assert np.any(analytic[0] != 0)


def test_ratios_do_not_change_with_shift_and_scale():
    logits, labels, targets = _logits()
    moved = tf.constant(100.0 * logits + 7.0)
    np.testing.assert_allclose(
        logit_losses.dlr_loss(moved, labels), logit_losses.dlr_loss(tf.constant(logits), labels)
    )
    np.testing.assert_allclose(
        logit_losses.targeted_dlr_loss(moved, labels, targets),
        logit_losses.targeted_dlr_loss(tf.constant(logits), labels, targets),
    )


def test_equal_logits_give_zero_and_no_nan():
    logits = tf.ones([2, 5])
    np.testing.assert_array_equal(logit_losses.dlr_loss(logits, [0, 1]), [0, 0])
    np.testing.assert_array_equal(logit_losses.targeted_dlr_loss(logits, [0, 1], [1, 0]), [0, 0])


def test_margin_is_the_lead_over_the_best_other_class():
    logits = tf.constant([[4.0, 3.0, 1.0], [4.0, 3.0, 1.0], [2.0, 2.0, 0.0]])
    np.testing.assert_array_equal(logit_losses.margin(logits, [0, 1, 1]), [1.0, -1.0, 0.0])


def test_first_of_equal_logits_is_the_prediction():
    logits = tf.constant([[2.0, 2.0, 0.0]] * 2)
    labels = tf.constant([0, 1])
    np.testing.assert_array_equal(logit_losses.is_correct(logits, labels), [True, False])
    np.testing.assert_array_equal(logit_losses.likely_classes(logits, 1), [0, 0])
    np.testing.assert_array_equal(logit_losses.likely_classes(logits, 2), [1, 1])


def test_classes_are_ranked_by_their_logits():
    logits = tf.constant([[0.1, 0.9, 0.5, 0.2]])
    ranks = [int(logit_losses.likely_classes(logits, rank)[0]) for rank in (1, 2, 3, 4)]
    assert ranks == [1, 2, 3, 0]
