"""Contrast of several views, and several clusterings at once, against float64 loops."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import global_mean, nt_xent_loss
from ascl_tf.losses.multi_view import clustering_loss, multi_view_contrastive_loss
from tests.losses.contrastive_oracles import ratio_loss
from tests.losses.helpers import join_views, run_on_two_replicas, unit_rows

NUM_IMAGES = 4
LOGITS = [np.random.default_rng(k).normal(size=(NUM_IMAGES, k)) for k in (2, 5, 3)]
PSEUDO_LABELS = np.array([[0, 4, 2], [1, 0, 2], [1, 3, 0], [0, 2, 1]], np.int32)


def _oracle(rows, num_views, temperature):
    num_images = len(rows) // num_views
    losses = []
    for i in range(len(rows)):
        others = [a for a in range(len(rows)) if a != i]
        positives = [rows[a] for a in others if a % num_images == i % num_images]
        losses.append(ratio_loss(rows[i], positives, [rows[a] for a in others], temperature))
    return losses


@pytest.mark.parametrize("num_views", [2, 3, 4])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_multi_view_loss_agrees_with_loops(num_views, temperature):
    rows = unit_rows(num_views * NUM_IMAGES)
    loss = multi_view_contrastive_loss(rows, num_views=num_views, temperature=temperature)
    np.testing.assert_allclose(loss, _oracle(rows, num_views, temperature), rtol=1e-12)


def test_two_views_give_nt_xent():
    rows = unit_rows(2 * NUM_IMAGES)
    loss = multi_view_contrastive_loss(rows, num_views=2, temperature=0.3)
    np.testing.assert_allclose(loss, nt_xent_loss(rows, temperature=0.3), rtol=1e-12)


def test_low_precision_gives_float32():
    rows = tf.cast(unit_rows(4 * NUM_IMAGES), tf.bfloat16)
    loss = multi_view_contrastive_loss(rows, num_views=4, temperature=0.5)
    assert loss.dtype == tf.float32
    wide = _oracle(tf.cast(rows, tf.float64).numpy(), 4, 0.5)
    np.testing.assert_allclose(loss, wide, rtol=1e-5)


def test_two_replicas_contrast_with_the_views_of_both():
    rows = unit_rows(4 * NUM_IMAGES)

    def step(rows):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            losses = multi_view_contrastive_loss(rows, num_views=4, temperature=0.2)
            mean = global_mean(losses)
        return losses, tape.gradient(mean, rows)

    losses, gradients = zip(*run_on_two_replicas(step, (rows, 4)), strict=True)
    want_losses, want_gradient = step(tf.constant(rows))
    np.testing.assert_allclose(join_views(losses, 4), want_losses, rtol=1e-12)
    np.testing.assert_allclose(join_views(gradients, 4), want_gradient, atol=1e-14)


def test_clustering_loss_agrees_with_loops():
    want = []
    for image in range(NUM_IMAGES):
        losses = []
        for m, logits in enumerate(LOGITS):
            exponents = [np.exp(value) for value in logits[image]]
            losses.append(-np.log(exponents[PSEUDO_LABELS[image, m]] / sum(exponents)))
        want.append(sum(losses) / len(losses))
    np.testing.assert_allclose(clustering_loss(LOGITS, PSEUDO_LABELS), want, rtol=1e-12)


def test_one_clustering_is_plain_cross_entropy():
    logits, labels = LOGITS[1], PSEUDO_LABELS[:, 1]
    want = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    np.testing.assert_allclose(clustering_loss([logits], labels[:, None]), want, rtol=1e-12)


@pytest.mark.parametrize(
    "num_rows, num_views, message",
    [
        (4, 1, r"`num_views` must be >= 2; received 1\."),
        (6, 4, r"`projections` must have 4 rows for every image; received shape \(6, 5\)\."),
    ],
)
def test_numbers_of_views_that_do_not_fit_are_refused(num_rows, num_views, message):
    with pytest.raises(ValueError, match=message):
        multi_view_contrastive_loss(unit_rows(num_rows), num_views=num_views, temperature=0.5)


@pytest.mark.parametrize("labels", [PSEUDO_LABELS[:, :2], PSEUDO_LABELS[:, 0]])
def test_a_column_for_each_clustering_is_demanded(labels):
    with pytest.raises(ValueError, match=r"`pseudo_labels` must have shape \[B, 3\]"):
        clustering_loss(LOGITS, labels)
