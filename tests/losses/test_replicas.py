"""Two replicas equal one device: gathered rows, sums, losses and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    gather_across_replicas,
    gather_views,
    global_mean,
    local_rows,
    nt_xent_loss,
    sum_across_replicas,
    supervised_contrastive_loss,
)
from tests.losses.helpers import join_views, run_on_two_replicas, split_views, unit_rows

# Replica 0 has the first three images, one of them unlabeled; replica 1 has two such.
LABELS = np.array([0, -1, 1, -1, 0, -1], np.int32)
NUM_IMAGES = len(LABELS)
VIEWS = unit_rows(2 * NUM_IMAGES, seed=1)
PERTURBED = unit_rows(NUM_IMAGES, seed=2)
PERTURBED_VIEWS = unit_rows(2 * NUM_IMAGES, seed=3)


def _ascl(denominator, positives):
    def loss(labels, clean, adversarial):
        return adversarial_supervised_contrastive_loss(
            clean,
            adversarial,
            labels,
            temperature=0.1,
            denominator=denominator,
            positives=positives,
        )

    return loss


def _nt_xent(labels, views):
    return nt_xent_loss(views, temperature=0.1)


def _supervised(labels, rows):
    return supervised_contrastive_loss(rows, labels, temperature=0.1)


def _pair(labels, perturbed_views, clean=None):
    return adversarial_pair_supervised_contrastive_loss(
        perturbed_views, labels, temperature=0.1, clean_projections=clean
    )


# name -> loss, then (projections, number of views) for each argument after the labels.
LOSSES = {
    "nt_xent": (_nt_xent, (VIEWS, 2)),
    "supervised": (_supervised, (PERTURBED, 1)),
    "eq8": (_pair, (PERTURBED_VIEWS, 2)),
    "eq8_clean": (_pair, (PERTURBED_VIEWS, 2), (VIEWS, 2)),
    **{
        f"ascl_{denominator}_{positives}": (
            _ascl(denominator, positives),
            (VIEWS, 2),
            (PERTURBED, 1),
        )
        for denominator in ("joint", "clean", "adversarial")
        for positives in ("cross", "all")
    },
}


def _loss_and_gradients(loss, labels, *projections):
    """Returns rows, this replica's share of the mean, and its gradients."""
    num_views = 1 if loss is _supervised else 2
    with tf.GradientTape() as tape:
        tape.watch(projections)
        rows = loss(labels, *projections)
        mask = None if loss is _nt_xent else tf.tile(labels != -1, [num_views])
        share = global_mean(rows, mask)
    return rows, share, tape.gradient(share, projections)


def _compare_with_one_device(name, dtype, rtol, atol, in_graph=False):
    loss, *inputs = LOSSES[name]
    arrays = [array.astype(dtype) for array, _ in inputs]
    want_rows, want_mean, want_gradients = _loss_and_gradients(
        loss, tf.constant(LABELS), *[tf.constant(array) for array in arrays]
    )
    pairs = [(array, num_views) for array, (_, num_views) in zip(arrays, inputs, strict=True)]
    first, second = run_on_two_replicas(
        lambda *args: _loss_and_gradients(loss, *args), (LABELS, 1), *pairs, in_graph=in_graph
    )
    tolerance = {"rtol": rtol, "atol": atol}
    rows = join_views([first[0], second[0]], inputs[0][1])
    assert rows.dtype == dtype
    np.testing.assert_allclose(rows, want_rows, **tolerance)
    np.testing.assert_allclose(first[1] + second[1], want_mean, **tolerance)
    for k, (_, num_views) in enumerate(inputs):
        gradient = join_views([first[2][k], second[2][k]], num_views)
        np.testing.assert_allclose(gradient, want_gradients[k], **tolerance)
        assert np.any(gradient != 0)


@pytest.mark.parametrize("name", LOSSES)
def test_float64_loss_and_gradient_equal_one_device(name):
    _compare_with_one_device(name, np.float64, rtol=1e-12, atol=1e-12)


def test_float32_loss_and_gradient_equal_one_device_in_a_graph():
    _compare_with_one_device("ascl_joint_cross", np.float32, rtol=1e-5, atol=1e-5, in_graph=True)


def test_negatives_come_from_the_global_batch():
    gathered = run_on_two_replicas(lambda z: nt_xent_loss(z, temperature=0.1), (VIEWS, 2))
    for got, own_views in zip(gathered, split_views(VIEWS, 2), strict=True):
        local_only = nt_xent_loss(own_views, temperature=0.1).numpy()
        # Each anchor meets more negatives than on its replica alone.
        assert np.all(got.numpy() > local_only + 1e-6)


def test_attack_gradient_with_constant_clean_anchors_equals_one_device():
    def gradient(clean, adversarial, labels):
        with tf.GradientTape() as tape:
            tape.watch(adversarial)
            rows = adversarial_supervised_contrastive_loss(
                clean, adversarial, labels, temperature=0.1
            )
            total = tf.reduce_sum(rows)
        return tape.gradient(total, adversarial)

    want = gradient(*[tf.constant(array) for array in (VIEWS, PERTURBED, LABELS)])
    got = run_on_two_replicas(gradient, (VIEWS, 2), (PERTURBED, 1), (LABELS, 1))
    np.testing.assert_allclose(np.concatenate(got), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_gathered_views_stand_in_global_view_major_order(num_views):
    rows = np.arange(num_views * 4 * 2, dtype=np.float64).reshape(num_views * 4, 2)

    def gather(own):
        return gather_views(own, num_views), local_rows(2, num_views)

    first, second = run_on_two_replicas(gather, (rows, num_views))
    for (everyone, places), own in zip((first, second), split_views(rows, num_views), strict=True):
        np.testing.assert_array_equal(everyone, rows)
        assert places.dtype == tf.int32
        np.testing.assert_array_equal(rows[places.numpy()], own)


def test_gathered_vectors_keep_their_rank_and_order():
    labels = np.array([0, 1, 2, 3, 10, 11, 12, 13], np.int32)
    for everyone in run_on_two_replicas(lambda own: gather_views(own, 2), (labels, 2)):
        np.testing.assert_array_equal(everyone, labels)


def test_gather_concatenates_and_its_gradient_is_the_sum_over_replicas():
    rows = np.arange(4.0).reshape(4, 1)
    weights = np.array([[1.0], [10.0], [100.0], [1000.0]])

    def gather(own, own_weight):
        with tf.GradientTape() as tape:
            tape.watch(own)
            everyone = gather_across_replicas(own)
            total = tf.reduce_sum(everyone) * tf.reduce_sum(own_weight)
        return everyone, tape.gradient(total, own)

    for everyone, gradient in run_on_two_replicas(gather, (rows, 1), (weights, 1)):
        np.testing.assert_array_equal(everyone, rows)
        np.testing.assert_array_equal(gradient, [[1111.0], [1111.0]])


def test_sum_adds_over_replicas():
    for total in run_on_two_replicas(sum_across_replicas, ([1.0, 2.0, 10.0, 20.0], 1)):
        np.testing.assert_array_equal(total, [11.0, 22.0])


@pytest.mark.parametrize(
    "mask, want",
    [
        (None, 8.5),
        ([True, True, True, False], 7.0 / 3.0),
        ([False, False, True, False], 4.0),
        ([False] * 4, 0.0),
    ],
)
def test_shares_add_up_to_the_mean_with_masks_unevenly_spread(mask, want):
    rows = np.array([1.0, 2.0, 4.0, 27.0])

    def share(own, *own_mask):
        with tf.GradientTape() as tape:
            tape.watch(own)
            mean = global_mean(own, *own_mask)
        return mean, tape.gradient(mean, own)

    inputs = [(rows, 1)] + ([] if mask is None else [(np.array(mask), 1)])
    (first, first_gradient), (second, second_gradient) = run_on_two_replicas(share, *inputs)
    np.testing.assert_allclose(first + second, want, rtol=1e-15)
    counted = np.ones(4) if mask is None else np.array(mask, np.float64)
    gradient = np.concatenate([first_gradient, second_gradient])
    np.testing.assert_allclose(gradient, counted / max(counted.sum(), 1), rtol=1e-15)


def test_one_device_gathers_nothing():
    rows = tf.constant(VIEWS)
    assert gather_across_replicas(rows) is rows
    assert gather_views(rows, 2) is rows
    assert sum_across_replicas(rows) is rows
    np.testing.assert_array_equal(local_rows(3, 2), np.arange(6))
