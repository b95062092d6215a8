"""Every attack refuses images that are not in its box: one that moved would prove nothing."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import AutoAttack, apgd, fab_t, linf_pgd, square
from tests.common import random_images

EPSILON = 2 / 255
LABELS = np.arange(4) % 3


def _logits(images):
    return 20 * tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2])


def _linf_pgd(images):
    return linf_pgd(_logits, images, epsilon=EPSILON, step_size=EPSILON, num_steps=1)


def _apgd(images):
    return apgd(_logits, images, LABELS, epsilon=EPSILON, num_steps=1, seed=[0, 1])


def _fab_t(images):
    return fab_t(_logits, images, LABELS, epsilon=EPSILON, num_steps=1, num_targets=2)


def _square(images):
    return square(_logits, images, LABELS, epsilon=EPSILON, num_queries=1, seed=[0, 1])


def _autoattack(images):
    return AutoAttack(_logits, epsilon=EPSILON, num_classes=3, version="fast")(images, LABELS)


ATTACKS = [_linf_pgd, _apgd, _fab_t, _square, _autoattack]
UINT8 = np.full((4, 8, 8, 3), 128, np.uint8)
IMAGES = {
    "uint8": (UINT8, r"`images` must be floating point.*received dtype.*uint8"),
    "int32 in [0, 1]": (UINT8.astype(np.int32) // 128, r"floating point.*received dtype.*int32"),
    "in [-1, 1]": (2 * random_images() - 1, r"`images` must be in .*received values from -"),
    "in [0, 255]": (255 * random_images(), r"`images` must be in .*received values from"),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("images", IMAGES)
def test_images_out_of_the_box_are_named(attack, images):
    values, message = IMAGES[images]
    with pytest.raises(ValueError, match=message):
        attack(values)


@pytest.mark.parametrize("attack", ATTACKS[:-1])
def test_they_are_named_in_a_graph_that_knows_them(attack):
    with pytest.raises(ValueError, match="received values from -"):
        tf.function(lambda: attack(2 * random_images() - 1), autograph=False)()
