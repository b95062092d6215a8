"""RoCL's contrast: values and one-sided gradient against float64 loops, replicas, errors."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import nt_xent_loss
from ascl_tf.losses.multi_view import one_sided_nt_xent_loss
from tests.losses.helpers import join_views, run_on_two_replicas, unit_rows

NUM_IMAGES = 4
EVERY_NUMBER_OF_VIEWS = pytest.mark.parametrize("num_views", [2, 3, 4])


def _rows(num_views):
    return unit_rows(num_views * NUM_IMAGES, seed=num_views)


def _others(i, num_views):
    """Returns (indices of all rows but i, those of them that show the image of i)."""
    others = [a for a in range(num_views * NUM_IMAGES) if a != i]
    return others, [a for a in others if a % NUM_IMAGES == i % NUM_IMAGES]


def _oracle(rows, num_views, temperature):
    losses = []
    for i, anchor in enumerate(rows):
        others, positives = _others(i, num_views)
        total = sum(np.exp(np.dot(anchor, rows[a]) / temperature) for a in others)
        terms = [np.log(np.exp(np.dot(anchor, rows[p]) / temperature) / total) for p in positives]
        losses.append(-sum(terms))
    return np.array(losses)


def _gradient_of_anchors(rows, num_views, temperature):
    """The closed form, every row but the anchor a constant."""
    gradients = []
    for i, anchor in enumerate(rows):
        others, positives = _others(i, num_views)
        weights = np.array([np.exp(np.dot(anchor, rows[a]) / temperature) for a in others])
        weights /= weights.sum()
        pull = sum(rows[p] for p in positives)
        push = sum(w * rows[a] for w, a in zip(weights, others, strict=True))
        gradients.append((len(positives) * push - pull) / temperature)
    return np.array(gradients)


def _loss(rows, num_views, temperature=0.5):
    return one_sided_nt_xent_loss(rows, num_views=num_views, temperature=temperature)


def _loss_and_gradient(rows, num_views):
    with tf.GradientTape() as tape:
        tape.watch(rows)
        losses = _loss(rows, num_views)
        total = tf.reduce_sum(losses)
    return losses, tape.gradient(total, rows)


@EVERY_NUMBER_OF_VIEWS
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_losses_equal_the_loop(num_views, temperature):
    rows = _rows(num_views)
    want = _oracle(rows, num_views, temperature)
    np.testing.assert_allclose(_loss(rows, num_views, temperature), want, rtol=1e-12)
    single = _loss(tf.cast(rows, tf.float32), num_views, temperature)
    np.testing.assert_allclose(single, want, rtol=2e-5)


@EVERY_NUMBER_OF_VIEWS
def test_gradient_passes_through_the_anchor_alone(num_views):
    rows = _rows(num_views)
    _, gradient = _loss_and_gradient(tf.constant(rows), num_views)
    np.testing.assert_allclose(gradient, _gradient_of_anchors(rows, num_views, 0.5), rtol=1e-11)


def test_two_views_have_the_values_of_nt_xent_but_not_its_gradient():
    rows = tf.constant(_rows(2))
    losses, gradient = _loss_and_gradient(rows, 2)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        both_sides = nt_xent_loss(rows, temperature=0.5)
    np.testing.assert_allclose(losses, both_sides, rtol=1e-12)
    assert np.abs(gradient - tape.gradient(both_sides, rows)).max() > 0.1


def test_loss_of_one_anchor_sends_no_gradient_to_another_row():
    rows = tf.constant(_rows(3))
    with tf.GradientTape() as tape:
        tape.watch(rows)
        first = _loss(rows, 3)[0]
    gradient = tape.gradient(first, rows).numpy()
    assert np.abs(gradient[0]).max() > 0.1
    np.testing.assert_array_equal(gradient[1:], 0)


def test_equal_rows_meet_all_others_with_the_same_share():
    rows = np.tile(unit_rows(1), [6, 1])
    np.testing.assert_allclose(_loss(rows, 3), 2 * np.log(5), rtol=1e-12)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_half_precision_and_a_low_temperature_stay_finite(dtype):
    losses, gradient = _loss_and_gradient(tf.cast(_rows(3), dtype), 3)
    assert losses.dtype == tf.float32 and np.all(np.isfinite(losses))
    assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))
    assert np.all(np.isfinite(_loss(_rows(3).astype(np.float32), 3, 0.001)))


@EVERY_NUMBER_OF_VIEWS
def test_two_replicas_equal_one_device(num_views):
    rows = _rows(num_views)
    want = _loss_and_gradient(tf.constant(rows), num_views)
    parts = run_on_two_replicas(lambda own: _loss_and_gradient(own, num_views), (rows, num_views))
    for got, expected in zip(zip(*parts, strict=True), want, strict=True):
        np.testing.assert_allclose(join_views(got, num_views), expected, rtol=1e-12, atol=1e-12)


def test_unknown_number_of_rows_is_read_in_the_graph():
    spec = tf.TensorSpec([None, 5], tf.float64)
    graph = tf.function(lambda rows: _loss(rows, 3), input_signature=[spec], autograph=False)
    np.testing.assert_allclose(graph(_rows(3)), _loss(_rows(3), 3), rtol=1e-12)


@pytest.mark.parametrize(
    "shape, num_views, temperature, message",
    [
        ([6, 2], 1, 0.5, r"`num_views` must be >= 2; received 1"),
        ([7, 2], 3, 0.5, r"`projections` must have 3 rows for every image.*\(7, 2\)"),
        ([6], 3, 0.5, r"`projections` must have shape \[num_views \* num_images, dim\].*\(6,\)"),
        ([6, 2], 3, 0.0, r"`temperature` must be a finite number > 0; received 0.0"),
    ],
)
def test_errors_name_argument_expected_and_received(shape, num_views, temperature, message):
    with pytest.raises(ValueError, match=message):
        _loss(tf.zeros(shape), num_views, temperature)
