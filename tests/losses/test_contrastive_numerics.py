"""Contrastive losses: gradients, float types, low temperatures, graphs, order of images."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
    supervised_contrastive_loss,
)
from tests.losses.contrastive_oracles import (
    KNOBS,
    LABELS,
    NUM_IMAGES,
    PARTLY_LABELED,
    PERTURBED,
    PERTURBED_VIEWS,
    VIEWS,
)
from tests.losses.helpers import unit_rows


def _all_losses():
    """Returns name -> (loss of a tuple of projections, those projections)."""
    losses = {
        "nt_xent": (lambda z, t=0.5: nt_xent_loss(z, temperature=t), (VIEWS,)),
        "supervised": (
            lambda z, t=0.5: supervised_contrastive_loss(z, PARTLY_LABELED, temperature=t),
            (PERTURBED,),
        ),
        "eq8": (
            lambda z, t=0.5: adversarial_pair_supervised_contrastive_loss(
                z, PARTLY_LABELED, temperature=t
            ),
            (PERTURBED_VIEWS,),
        ),
        "eq8_clean": (
            lambda z, c, t=0.5: adversarial_pair_supervised_contrastive_loss(
                z, PARTLY_LABELED, temperature=t, clean_projections=c
            ),
            (PERTURBED_VIEWS, VIEWS),
        ),
    }
    for denominator, positives in KNOBS:
        losses[f"ascl_{denominator}_{positives}"] = (
            lambda z, a, t=0.5, d=denominator, p=positives: adversarial_supervised_contrastive_loss(
                z, a, PARTLY_LABELED, temperature=t, denominator=d, positives=p
            ),
            (VIEWS, PERTURBED),
        )
    return losses


ALL_LOSSES = _all_losses()
every_loss = pytest.mark.parametrize("loss, inputs", ALL_LOSSES.values(), ids=ALL_LOSSES.keys())


# One of each function: the others differ in what is summed, which loops in float64 have too.
DIFFERENTIATED = ("nt_xent", "supervised", "ascl_joint_cross", "ascl_clean_all", "eq8")


@pytest.mark.parametrize(
    "loss, inputs",
    [
        pytest.param(*case, id=name, marks=() if name in DIFFERENTIATED else pytest.mark.slow)
        for name, case in ALL_LOSSES.items()
    ],
)
def test_gradient_matches_finite_differences(loss, inputs):
    weights = np.random.default_rng(9).normal(size=loss(*inputs).shape)

    @tf.function  # Evaluated twice for every entry of the inputs.
    def weighted_sum(*projections):
        return tf.reduce_sum(weights * loss(*projections))

    inputs = [tf.constant(array) for array in inputs]
    analytic, numeric = tf.test.compute_gradient(weighted_sum, inputs, delta=1e-5)
    for got, want in zip(analytic, numeric, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


@every_loss
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32])
def test_low_precision_input_gives_finite_float32_at_low_temperature(loss, inputs, dtype):
    rounded = [tf.cast(array, dtype) for array in inputs]
    got = loss(*rounded, 0.01)
    # All arithmetic after the input's own rounding is in float32: logits reach 100 here.
    want = loss(*[tf.cast(array, tf.float64) for array in rounded], 0.01)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@every_loss
def test_float64_stays_float64(loss, inputs):
    assert loss(*[tf.constant(array) for array in inputs]).dtype == tf.float64


@every_loss
def test_float32_gradient_at_low_temperature_equals_the_float64_one(loss, inputs):
    gradients = []
    for dtype in (tf.float32, tf.float64):
        rounded = [tf.cast(tf.constant(array, tf.float32), dtype) for array in inputs]
        with tf.GradientTape() as tape:
            tape.watch(rounded)
            total = tf.reduce_sum(loss(*rounded, 0.01))
        gradients.append(tape.gradient(total, rounded))
    for got, want in zip(*gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)  # Entries reach 100.


@every_loss
def test_graph_equals_eager_with_unknown_batch_size(loss, inputs):
    if loss is not ALL_LOSSES["nt_xent"][0]:  # The other losses close over their labels.
        inputs = [tf.constant(array) for array in inputs]
        traced = tf.function(loss)
    else:
        traced = tf.function(loss, input_signature=[tf.TensorSpec([None, 5], tf.float64)])
    np.testing.assert_allclose(traced(*inputs), loss(*inputs), rtol=1e-13, atol=1e-14)


def test_ascl_in_a_graph_of_unknown_batch_size_equals_eager():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float64),
            tf.TensorSpec([None, None], tf.float64),
            tf.TensorSpec([None], tf.int64),
        ]
    )
    def traced(views, perturbed, labels):
        return adversarial_supervised_contrastive_loss(views, perturbed, labels, temperature=0.5)

    for num_images in (3, NUM_IMAGES):
        views = unit_rows(2 * num_images)
        arguments = (views, PERTURBED[:num_images], PARTLY_LABELED[:num_images])
        want = adversarial_supervised_contrastive_loss(*arguments, temperature=0.5)
        np.testing.assert_allclose(traced(*arguments), want, rtol=1e-13, atol=1e-14)


def test_permuting_images_permutes_the_losses():
    order = np.array([3, 0, 4, 1, 2])
    both = np.concatenate([order, order + NUM_IMAGES])
    labels = PARTLY_LABELED
    np.testing.assert_allclose(
        nt_xent_loss(VIEWS[both], temperature=0.5),
        tf.gather(nt_xent_loss(VIEWS, temperature=0.5), both),
        rtol=1e-12,
    )
    for denominator, positives in KNOBS:
        knobs = {"temperature": 0.5, "denominator": denominator, "positives": positives}
        want = adversarial_supervised_contrastive_loss(VIEWS, PERTURBED, labels, **knobs)
        got = adversarial_supervised_contrastive_loss(
            VIEWS[both], PERTURBED[order], labels[order], **knobs
        )
        np.testing.assert_allclose(got, tf.gather(want, both), rtol=1e-12, atol=1e-13)
    for clean, permuted in [(None, None), (VIEWS, VIEWS[both])]:
        want = adversarial_pair_supervised_contrastive_loss(
            PERTURBED_VIEWS, labels, temperature=0.5, clean_projections=clean
        )
        got = adversarial_pair_supervised_contrastive_loss(
            PERTURBED_VIEWS[both], labels[order], temperature=0.5, clean_projections=permuted
        )
        np.testing.assert_allclose(got, tf.gather(want, both), rtol=1e-12, atol=1e-13)


def test_adversarial_gradient_is_the_same_with_constant_clean_anchors():
    views, perturbed = tf.constant(VIEWS), tf.constant(PERTURBED)
    gradients = []
    for watched in ([perturbed], [views, perturbed]):
        with tf.GradientTape() as tape:
            tape.watch(watched)
            losses = adversarial_supervised_contrastive_loss(
                views, perturbed, LABELS, temperature=0.5
            )
            total = tf.reduce_sum(losses)
        gradients.append(tape.gradient(total, perturbed))
    np.testing.assert_array_equal(gradients[0], gradients[1])


def test_small_loss_keeps_its_digits_at_low_temperature():
    # Positive at cosine 1, one negative at cosine 0.85: the loss is log(1 + e^-15) = 3.06e-7,
    # far below the spacing of float32 at the logit, 100.
    negative = [0.85, np.sqrt(1 - 0.85**2)]
    rows = tf.constant([[1.0, 0.0], [1.0, 0.0], negative], tf.float32)
    got = supervised_contrastive_loss(rows, [0, 0, 1], temperature=0.01)
    np.testing.assert_allclose(got[:2], np.full(2, np.log1p(np.exp(-15.0))), atol=1e-7)
