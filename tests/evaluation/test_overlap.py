"""Test images that were seen in training are counted, by their pixels alone."""

import numpy as np
import pytest

from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.evaluation.checks import count_seen, explain_overlap


def _set(images, name="folder:photos"):
    labels = np.zeros(len(images), np.int32)
    return ImageDataset(name, np.asarray(images, np.uint8), labels, 1, ("one",))


IMAGES = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)


def test_every_copy_counts_wherever_it_stands_and_whatever_its_label():
    test = np.stack([IMAGES[7], IMAGES[2], IMAGES[7], 255 - IMAGES[1]])
    # Oracle: all pairs, pixel by pixel.
    expected = sum(any(np.array_equal(one, other) for other in IMAGES) for one in test)
    assert count_seen(test, IMAGES) == expected == 3


def test_one_pixel_makes_another_image():
    changed = IMAGES.copy()
    changed[:, 0, 0, 0] ^= 1
    assert count_seen(changed, IMAGES) == 0
    assert explain_overlap(_set(changed), _set(IMAGES)) == ""


def test_images_of_another_size_are_no_copies():
    assert count_seen(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 2, 8, 3), np.uint8)) == 0


def test_explanation_counts_images_and_names_the_training_set():
    line = explain_overlap(_set(IMAGES[:2]), _set(IMAGES))
    assert line.startswith("2 of 2 test images are also among the 9 training images of folder:ph")
    assert "memorized" in line


def test_cifar100_is_known_to_hold_ten_copies_and_no_more():
    rng = np.random.default_rng(1)
    training = rng.integers(0, 256, (20, 4, 4, 3), np.uint8)
    for num_copies, is_known in ((10, True), (11, False)):
        line = explain_overlap(_set(training[:num_copies], "cifar100:3.0.2"), _set(training))
        assert line.startswith(f"{num_copies} of {num_copies} test images")
        assert ("itself holds 10 such copies" in line) == is_known
    assert "itself" not in explain_overlap(_set(training[:3], "cifar10"), _set(training))


@pytest.mark.parametrize("bad", [IMAGES / 255.0, IMAGES[0]])
def test_what_is_no_array_of_byte_images_is_named(bad):
    with pytest.raises(ValueError, match=r"`images` must be uint8 with shape \[num_images"):
        count_seen(bad, IMAGES)
    with pytest.raises(ValueError, match=r"`training_images` must be uint8"):
        count_seen(IMAGES, bad)
