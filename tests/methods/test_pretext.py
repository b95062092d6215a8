"""Patches, turns and permutations, by hand-made cases; what their random numbers depend on."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods import pretext
from tests.common import random_images


def _many(draw, num_images):
    """Draws in a graph, where thousands of seeds take no time."""
    return tf.function(draw)(_seed(num_images)).numpy()


def _seed(num_images, first=7):
    return tf.stack([tf.fill([num_images], first), tf.range(num_images)], axis=1)


def test_patches_are_cut_row_by_row():
    # Pixel value = 10 * row + column of its patch.
    rows = np.repeat(np.arange(4), 2)
    image = (10.0 * rows[:, None] + rows[None, :])[None, :, :, None] * np.ones(3)
    patches = pretext.split_patches(tf.constant(image)).numpy()
    assert patches.shape == (1, 16, 2, 2, 3)
    for patch in range(16):
        assert np.all(patches[0, patch] == 10 * (patch // 4) + patch % 4)


def test_patches_match_numpy_slices_in_images_that_are_not_square():
    images = np.random.default_rng(0).uniform(size=(2, 8, 12, 3)).astype(np.float32)
    patches = pretext.split_patches(tf.constant(images)).numpy()
    for patch in range(16):
        top, left = 2 * (patch // 4), 3 * (patch % 4)
        np.testing.assert_array_equal(patches[:, patch], images[:, top : top + 2, left : left + 3])
    np.testing.assert_array_equal(pretext.join_patches(tf.constant(patches)), images)


def test_reordered_image_holds_patch_of_the_order_at_each_place():
    images = random_images(2, 8)
    orders = np.stack([np.arange(16), np.r_[15, np.arange(15)]]).astype(np.int32)
    got = pretext.reorder_patches(tf.constant(images), orders).numpy()
    np.testing.assert_array_equal(got[0], images[0])
    np.testing.assert_array_equal(got[1, :2, :2], images[1, 6:, 6:])  # Place 0: patch 15.
    np.testing.assert_array_equal(got[1, :2, 2:4], images[1, :2, :2])  # Place 1: patch 0.
    np.testing.assert_array_equal(got[1, 2:4, :2], images[1, :2, 6:])  # Place 4: patch 3.


@pytest.mark.parametrize("quarters", range(4))
def test_turns_are_those_of_numpy(quarters):
    images = random_images(3, 8)
    got = pretext.all_turns(tf.constant(images))[quarters]
    np.testing.assert_array_equal(got, np.rot90(images, quarters, axes=(1, 2)))


def test_one_quarter_moves_the_top_right_corner_to_the_top_left():
    image = np.zeros((1, 2, 2, 1), np.float32)
    image[0, 0, 1] = 1.0
    assert pretext.all_turns(tf.constant(image))[1][0, 0, 0, 0] == 1.0


def test_each_image_is_turned_by_its_own_number():
    images = random_images(4, 8)
    got = pretext.turn(tf.constant(images), tf.constant([2, 0, 3, 1]))
    want = [np.rot90(image, k) for image, k in zip(images, [2, 0, 3, 1], strict=True)]
    np.testing.assert_array_equal(got, want)


def test_jigsaw_table_holds_the_unchanged_order_and_thirty_permutations():
    table = pretext.make_jigsaw_table(tf.constant([0, 12])).numpy()
    assert table.shape == (31, 16)
    np.testing.assert_array_equal(table[0], np.arange(16))
    assert all(sorted(row) == list(range(16)) for row in table.tolist())
    assert len({tuple(row) for row in table.tolist()}) == 31
    np.testing.assert_array_equal(table, pretext.make_jigsaw_table(tf.constant([0, 12])))
    assert np.any(table != pretext.make_jigsaw_table(tf.constant([1, 12])))


def test_patch_orders_are_permutations_and_each_place_is_equally_likely_hidden():
    orders = _many(pretext.draw_patch_orders, 2000)
    assert np.all(np.sort(orders, axis=1) == np.arange(16))
    counts = np.bincount(orders[:, :4].ravel(), minlength=16)
    # 500 expected; standard deviation about 19.
    assert counts.min() > 420 and counts.max() < 580


def test_turns_are_equally_likely():
    counts = np.bincount(_many(pretext.draw_turns, 2000), minlength=4)
    assert len(counts) == 4 and counts.min() > 420 and counts.max() < 580


def test_a_tenth_of_the_images_and_one_class_of_31_are_left_as_they_are():
    classes = _many(pretext.draw_jigsaw_classes, 6000)
    counts = np.bincount(classes, minlength=31)
    assert len(counts) == 31
    share = 0.1 + 0.9 / 31  # Standard deviation 0.0044.
    assert abs(counts[0] / 6000 - share) < 0.02
    expected = 6000 * 0.9 / 31  # 174, standard deviation 13.
    assert counts[1:].min() > expected - 60 and counts[1:].max() < expected + 60


@pytest.mark.parametrize(
    "draw", [pretext.draw_patch_orders, pretext.draw_turns, pretext.draw_jigsaw_classes]
)
def test_draw_of_an_image_depends_on_its_own_seed_alone(draw):
    whole = draw(_seed(12)).numpy()
    np.testing.assert_array_equal(draw(_seed(12)[5:9]), whole[5:9])
    assert np.any(whole != draw(_seed(12, first=8)))


def test_image_that_cannot_be_cut_is_named():
    with pytest.raises(ValueError, match="`method=selfie`: .*multiples of 4; found 10 x 8"):
        pretext.check_image_shape("selfie", (None, 10, 8, 3), has_patches=True)


def test_image_that_cannot_be_turned_is_named():
    with pytest.raises(ValueError, match="`method=rotation_at`: .*square images; found 8 x 12"):
        pretext.check_image_shape("rotation_at", (None, 8, 12, 3), is_square=True)
    pretext.check_image_shape("selfie", (None, 8, 12, 3), has_patches=True)
