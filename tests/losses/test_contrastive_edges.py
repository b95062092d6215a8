"""Contrastive losses where sets are empty, single or full of duplicates."""

import numpy as np
import tensorflow as tf

from ascl_tf.losses import adversarial_supervised_contrastive_loss, supervised_contrastive_loss
from tests.losses.contrastive_oracles import (
    NUM_IMAGES,
    PARTLY_LABELED,
    PERTURBED,
    VIEWS,
    ascl_oracle,
    every_knob,
)


def test_anchor_without_positive_is_exactly_zero_with_zero_gradient():
    rows = tf.constant(PERTURBED[:4], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        losses = supervised_contrastive_loss(rows, [0, 1, 2, 3], temperature=0.01)
        total = tf.reduce_sum(losses)
    np.testing.assert_array_equal(losses, np.zeros(4))
    np.testing.assert_array_equal(tape.gradient(total, rows), np.zeros([4, 5]))


def test_single_row_has_neither_positive_nor_negative_and_gives_zero():
    row = tf.constant(PERTURBED[:1])
    with tf.GradientTape() as tape:
        tape.watch(row)
        losses = supervised_contrastive_loss(row, [0], temperature=0.5)
    np.testing.assert_array_equal(losses, [0.0])
    np.testing.assert_array_equal(tape.gradient(losses, row), np.zeros([1, 5]))


def test_single_image_ascl_is_the_ratio_of_its_own_adversarial_image():
    views, perturbed = VIEWS[:2], PERTURBED[:1]
    clean, own = views[0] @ views[1] / 0.5, views @ perturbed[0] / 0.5
    want = {
        "joint": np.log(np.exp(clean) + np.exp(own)) - own,
        "clean": clean - own,
        "adversarial": np.zeros(2),
    }
    for denominator, losses in want.items():
        got = adversarial_supervised_contrastive_loss(
            views, perturbed, [7], temperature=0.5, denominator=denominator
        )
        np.testing.assert_allclose(got, losses, rtol=1e-12, atol=1e-14)


@every_knob
def test_all_unlabeled_ascl_is_zero_with_zero_gradient(denominator, positives):
    views, perturbed = tf.constant(VIEWS, tf.float32), tf.constant(PERTURBED, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([views, perturbed])
        losses = adversarial_supervised_contrastive_loss(
            views,
            perturbed,
            np.full(NUM_IMAGES, -1),
            temperature=0.01,
            denominator=denominator,
            positives=positives,
        )
        total = tf.reduce_sum(losses)
    np.testing.assert_array_equal(losses, np.zeros(2 * NUM_IMAGES))
    for gradient in tape.gradient(total, [views, perturbed]):
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


@every_knob
def test_unlabeled_images_change_nothing_for_the_others(denominator, positives):
    knobs = {"temperature": 0.1, "denominator": denominator, "positives": positives}
    keep = np.flatnonzero(PARTLY_LABELED != -1)
    both = np.concatenate([keep, keep + NUM_IMAGES])
    whole = adversarial_supervised_contrastive_loss(VIEWS, PERTURBED, PARTLY_LABELED, **knobs)
    alone = adversarial_supervised_contrastive_loss(
        VIEWS[both], PERTURBED[keep], PARTLY_LABELED[keep], **knobs
    )
    np.testing.assert_allclose(tf.gather(whole, both), alone, rtol=1e-12, atol=1e-14)
    dropped = np.setdiff1d(np.arange(2 * NUM_IMAGES), both)
    np.testing.assert_array_equal(tf.gather(whole, dropped), np.zeros(len(dropped)))


@every_knob
def test_all_of_one_class_with_duplicated_rows_matches_loop_oracle(denominator, positives):
    views = np.concatenate([VIEWS[:4], VIEWS[:4]])  # Both views equal, so are rows 0 and 4.
    perturbed = VIEWS[:4]  # Equal to the clean rows too.
    knobs = {"denominator": denominator, "positives": positives}
    labels = np.zeros(4, np.int32)
    got = adversarial_supervised_contrastive_loss(
        views, perturbed, labels, temperature=0.1, **knobs
    )
    want = ascl_oracle(views, perturbed, labels, 0.1, **knobs)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
