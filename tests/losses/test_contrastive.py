"""Contrastive losses against float64 loops, closed forms and each other, on one device."""

import numpy as np
import pytest

from ascl_tf.losses import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
    supervised_contrastive_loss,
)
from tests.losses.contrastive_oracles import (
    LABELS,
    NUM_IMAGES,
    PARTLY_LABELED,
    PERTURBED,
    PERTURBED_VIEWS,
    VIEWS,
    ascl_oracle,
    every_knob,
    nt_xent_oracle,
    paper_eq8_oracle,
    supervised_oracle,
)

with_and_without_labels = pytest.mark.parametrize("labels", [LABELS, PARTLY_LABELED])


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent_matches_loop_oracle(temperature):
    got = nt_xent_loss(VIEWS, temperature=temperature)
    np.testing.assert_allclose(got, nt_xent_oracle(VIEWS, temperature), rtol=1e-12, atol=1e-13)


@with_and_without_labels
def test_supervised_matches_loop_oracle(labels):
    got = supervised_contrastive_loss(PERTURBED, labels, temperature=0.5)
    want = supervised_oracle(PERTURBED, labels, 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@every_knob
@with_and_without_labels
def test_ascl_matches_loop_oracle(labels, denominator, positives):
    knobs = {"denominator": denominator, "positives": positives}
    got = adversarial_supervised_contrastive_loss(
        VIEWS, PERTURBED, labels, temperature=0.5, **knobs
    )
    want = ascl_oracle(VIEWS, PERTURBED, labels, 0.5, **knobs)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def test_float32_matches_loop_oracle():
    views, perturbed = VIEWS.astype(np.float32), PERTURBED.astype(np.float32)
    got = adversarial_supervised_contrastive_loss(views, perturbed, LABELS, temperature=0.1)
    want = ascl_oracle(VIEWS, PERTURBED, LABELS, 0.1, "joint", "cross")
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_ascl_default_is_joint_and_cross():
    got = adversarial_supervised_contrastive_loss(VIEWS, PERTURBED, LABELS, temperature=0.5)
    want = ascl_oracle(VIEWS, PERTURBED, LABELS, 0.5, "joint", "cross")
    np.testing.assert_allclose(got, want, rtol=1e-12)


@with_and_without_labels
def test_adversarial_pair_matches_loop_oracle_with_perturbed_denominator(labels):
    got = adversarial_pair_supervised_contrastive_loss(PERTURBED_VIEWS, labels, temperature=0.5)
    want = supervised_oracle(PERTURBED_VIEWS, np.concatenate([labels, labels]), 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@with_and_without_labels
def test_adversarial_pair_matches_loop_oracle_with_clean_denominator(labels):
    got = adversarial_pair_supervised_contrastive_loss(
        PERTURBED_VIEWS, labels, temperature=0.5, clean_projections=VIEWS
    )
    want = paper_eq8_oracle(PERTURBED_VIEWS, VIEWS, labels, 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


def _equal_rows(num_rows):
    return np.tile([[0.6, 0.8]], [num_rows, 1])


def test_golden_equal_rows_give_the_logarithm_of_the_denominator_size():
    # Every logit ties, so a row is log(number of terms in its denominator).
    ones = np.zeros(4, np.int32)
    views, perturbed = _equal_rows(8), _equal_rows(4)
    nt_xent = nt_xent_loss(views, temperature=0.5)
    np.testing.assert_allclose(nt_xent, np.full(8, np.log(7.0)), rtol=1e-14)
    supervised = supervised_contrastive_loss(perturbed, ones, temperature=0.5)
    np.testing.assert_allclose(supervised, np.full(4, np.log(3.0)), rtol=1e-14)
    for denominator, size in [("joint", 11.0), ("clean", 7.0), ("adversarial", 4.0)]:
        ascl = adversarial_supervised_contrastive_loss(
            views, perturbed, ones, temperature=0.5, denominator=denominator
        )
        np.testing.assert_allclose(ascl, np.full(8, np.log(size)), rtol=1e-14)
    pair = adversarial_pair_supervised_contrastive_loss(views, ones, temperature=0.5)
    np.testing.assert_allclose(pair, np.full(8, np.log(7.0)), rtol=1e-14)


def test_golden_two_orthogonal_classes():
    # Equal within an image, orthogonal across images; t = 0.5, so exp(1/t) = e^2 and exp(0) = 1.
    views = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    e2 = np.exp(2.0)
    nt_xent = nt_xent_loss(views, temperature=0.5)
    np.testing.assert_allclose(nt_xent, np.full(4, np.log((e2 + 2) / e2)), rtol=1e-14)
    for denominator, total in [("joint", 2 * e2 + 3), ("clean", e2 + 2), ("adversarial", e2 + 1)]:
        ascl = adversarial_supervised_contrastive_loss(
            views, views[:2], [0, 1], temperature=0.5, denominator=denominator
        )
        np.testing.assert_allclose(ascl, np.full(4, np.log(total / e2)), rtol=1e-14)


def test_clean_denominator_can_be_negative_and_joint_cannot():
    views = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    perturbed = np.array([[1.0, 0.0], [0.0, 1.0]])
    arguments = (views, perturbed, [0, 1])
    clean = adversarial_supervised_contrastive_loss(
        *arguments, temperature=0.5, denominator="clean"
    )
    joint = adversarial_supervised_contrastive_loss(*arguments, temperature=0.5)
    np.testing.assert_allclose(clean[0], np.log((2 + np.exp(-2)) / np.exp(2)), rtol=1e-14)
    assert clean[0] < 0 < np.min(joint)


def test_supervised_with_one_class_per_image_is_nt_xent():
    labels = np.tile(np.arange(NUM_IMAGES), 2)
    np.testing.assert_allclose(
        supervised_contrastive_loss(VIEWS, labels, temperature=0.5),
        nt_xent_loss(VIEWS, temperature=0.5),
        rtol=1e-13,
    )


def test_adversarial_pair_on_clean_views_is_the_same_for_both_denominators():
    arguments = {"labels": PARTLY_LABELED, "temperature": 0.5}
    np.testing.assert_allclose(
        adversarial_pair_supervised_contrastive_loss(VIEWS, clean_projections=VIEWS, **arguments),
        adversarial_pair_supervised_contrastive_loss(VIEWS, **arguments),
        rtol=1e-13,
    )


def test_joint_all_is_supervised_over_all_three_stacks():
    # With every same-class row a positive and every row but i below, the clean anchors of eq. 9
    # are those of eq. 7 on clean and adversarial rows together.
    got = adversarial_supervised_contrastive_loss(
        VIEWS, PERTURBED, PARTLY_LABELED, temperature=0.5, positives="all"
    )
    stacks = np.concatenate([VIEWS, PERTURBED])
    want = supervised_contrastive_loss(stacks, np.tile(PARTLY_LABELED, 3), temperature=0.5)
    np.testing.assert_allclose(got, want[: 2 * NUM_IMAGES], rtol=1e-13, atol=1e-14)
