"""Contrastive losses refuse arguments that do not fit, and say which."""

import pytest
import tensorflow as tf

from ascl_tf.losses import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
    supervised_contrastive_loss,
)
from tests.losses.contrastive_oracles import LABELS, NUM_IMAGES, PERTURBED, VIEWS


@pytest.mark.parametrize("temperature", [0.0, -0.5, float("nan"), float("inf"), None])
def test_temperature_must_be_positive_and_finite(temperature):
    with pytest.raises(ValueError, match="`temperature` must be a finite number > 0; received"):
        nt_xent_loss(VIEWS, temperature=temperature)
    with pytest.raises(ValueError, match="`temperature` must be"):
        supervised_contrastive_loss(PERTURBED, LABELS, temperature=temperature)
    with pytest.raises(ValueError, match="`temperature` must be"):
        adversarial_supervised_contrastive_loss(VIEWS, PERTURBED, LABELS, temperature=temperature)
    with pytest.raises(ValueError, match="`temperature` must be"):
        adversarial_pair_supervised_contrastive_loss(VIEWS, LABELS, temperature=temperature)


def test_wrong_rank_names_the_argument_and_the_shape():
    cube = tf.zeros([2, 2, 5])
    with pytest.raises(ValueError, match=r"`projections` must have shape.*\(2, 2, 5\)"):
        nt_xent_loss(cube, temperature=0.5)
    with pytest.raises(ValueError, match=r"`projections` must have shape.*\(2, 2, 5\)"):
        supervised_contrastive_loss(cube, [0, 0], temperature=0.5)
    with pytest.raises(ValueError, match=r"`clean_projections` must have shape.*\(2, 2, 5\)"):
        adversarial_supervised_contrastive_loss(cube, PERTURBED, LABELS, temperature=0.5)
    with pytest.raises(ValueError, match=r"`adversarial_projections` must have shape.*\(2, 2, 5\)"):
        adversarial_supervised_contrastive_loss(VIEWS, cube, LABELS, temperature=0.5)
    with pytest.raises(ValueError, match=r"`adversarial_projections` must have shape.*\(2, 2, 5\)"):
        adversarial_pair_supervised_contrastive_loss(cube, LABELS, temperature=0.5)


def test_odd_number_of_rows_is_refused_where_two_views_are_meant():
    with pytest.raises(ValueError, match=r"`projections` must have an even number.*\(5, 5\)"):
        nt_xent_loss(PERTURBED, temperature=0.5)
    with pytest.raises(ValueError, match=r"`clean_projections` must have an even number"):
        adversarial_supervised_contrastive_loss(PERTURBED, PERTURBED, LABELS, temperature=0.5)
    with pytest.raises(ValueError, match=r"`adversarial_projections` must have an even number"):
        adversarial_pair_supervised_contrastive_loss(PERTURBED, LABELS, temperature=0.5)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`labels` must .*\[num_anchors\], here \(10,\).*\(5,\)"):
        supervised_contrastive_loss(VIEWS, LABELS, temperature=0.5)
    with pytest.raises(ValueError, match=r"`labels` must .*\[num_images\], here \(5,\).*\(4,\)"):
        adversarial_supervised_contrastive_loss(VIEWS, PERTURBED, LABELS[:4], temperature=0.5)
    with pytest.raises(ValueError, match=r"`labels` must .*\[num_images\], here \(5,\).*\(4,\)"):
        adversarial_pair_supervised_contrastive_loss(VIEWS, LABELS[:4], temperature=0.5)
    with pytest.raises(ValueError, match=r"`adversarial_projections` .*here \(5, 5\).*\(4, 5\)"):
        adversarial_supervised_contrastive_loss(VIEWS, PERTURBED[:4], LABELS, temperature=0.5)
    with pytest.raises(ValueError, match=r"`clean_projections` .*here \(10, 5\).*\(8, 5\)"):
        adversarial_pair_supervised_contrastive_loss(
            VIEWS, LABELS, temperature=0.5, clean_projections=VIEWS[:8]
        )


def test_labels_must_be_integers():
    with pytest.raises(ValueError, match="`labels` must be integers; received dtype float32"):
        supervised_contrastive_loss(PERTURBED, tf.zeros([NUM_IMAGES]), temperature=0.5)


@pytest.mark.parametrize("dtype", [tf.int64, tf.uint64, tf.uint32])
def test_labels_that_would_become_others_are_refused(dtype):
    top = 2**31 if dtype == tf.uint32 else 2**32 + 1
    labels = tf.cast(LABELS, dtype) + tf.constant([top] + [0] * (NUM_IMAGES - 1), dtype)
    with pytest.raises(
        ValueError, match=f"`labels` must be class ids .* to {top + int(LABELS[0])}"
    ):
        supervised_contrastive_loss(PERTURBED, labels, temperature=0.5)


def test_unknown_names_list_the_known_ones():
    arguments = (VIEWS, PERTURBED, LABELS)
    with pytest.raises(ValueError, match="`denominator` must be one of joint, clean, adversarial"):
        adversarial_supervised_contrastive_loss(*arguments, temperature=0.5, denominator="both")
    with pytest.raises(ValueError, match="`positives` must be one of cross, all; received 'own'"):
        adversarial_supervised_contrastive_loss(*arguments, temperature=0.5, positives="own")
