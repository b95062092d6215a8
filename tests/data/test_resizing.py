"""Resizing against Pillow's own, which is another implementation of the same filter."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascl_tf.data.resizing import choose_size, resize

RNG = np.random.default_rng(0)


def _image(height, width):
    # Smooth, as pictures are: of noise, rounding alone would be all that is compared.
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(rows / a + columns / b) for a, b in ((3, 5), (7, 2), (4, 9))]
    return (127.5 * (1 + np.stack(waves, axis=2))).astype(np.uint8)


def _by_pillow(image, width, height):
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


@pytest.mark.parametrize("height, width", [(40, 25), (25, 40), (9, 31), (64, 64), (7, 7)])
def test_shorter_side_is_resized_and_the_longer_one_cut_to_its_center(height, width):
    image = _image(height, width)
    scale = 16 / min(height, width)
    tall, wide = round(height * scale), round(width * scale)
    top, left = (tall - 16) // 2, (wide - 16) // 2
    expected = _by_pillow(image, wide, tall)[top : top + 16, left : left + 16]
    assert expected.shape == (16, 16, 3)
    np.testing.assert_allclose(resize(image, 16).numpy(), expected.astype(int), atol=1)


@pytest.mark.parametrize("height, width", [(40, 25), (25, 40), (9, 31), (200, 3)])
def test_longer_side_is_resized_and_black_fills_the_square(height, width):
    image = _image(height, width)
    scale = 16 / max(height, width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    expected = np.zeros([16, 16, 3], int)
    top, left = (16 - tall) // 2, (16 - wide) // 2
    expected[top : top + tall, left : left + wide] = _by_pillow(image, wide, tall)
    np.testing.assert_allclose(resize(image, 16, "pad").numpy(), expected, atol=1)


def test_stretch_changes_the_aspect_ratio():
    image = _image(40, 25)
    found = resize(image, 16, "stretch").numpy()
    np.testing.assert_allclose(found, _by_pillow(image, 16, 16).astype(int), atol=1)


@pytest.mark.parametrize("size", [8, 32, 50])
def test_squares_are_the_same_in_all_three_ways_bit_for_bit(size):
    images = RNG.integers(0, 256, [4, 32, 32, 3], np.uint8)
    # What has always been done with the squares of CIFAR and STL-10.
    pixels = tf.image.resize(images, [size, size], method="bilinear", antialias=True)
    expected = tf.saturate_cast(tf.round(pixels), tf.uint8).numpy()
    for how in ("stretch", "crop", "pad"):
        np.testing.assert_array_equal(resize(images, size, how).numpy(), expected)
        np.testing.assert_array_equal(resize(images[0], size, how).numpy(), expected[0])


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_size_that_a_graph_does_not_know_is_served(how):
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    traced = tf.function(lambda image: resize(image, 8, how), [spec], autograph=False)
    for image in (_image(20, 12), _image(12, 20), _image(16, 16)):
        np.testing.assert_array_equal(traced(image).numpy(), resize(image, 8, how).numpy())
    assert traced.get_concrete_function().structured_outputs.shape == (8, 8, 3)


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_batch_is_what_its_images_are(how):
    images = np.stack([_image(20, 12), _image(20, 12)[::-1]])
    alone = [resize(image, 8, how).numpy() for image in images]
    np.testing.assert_array_equal(resize(images, 8, how).numpy(), alone)


@pytest.mark.parametrize(
    "sides, size",
    [([5], 32), ([32, 63], 32), ([63, 65], 64), ([127], 64), ([128, 2000, 3], 128), ([900], 224)],
)
def test_chosen_size_is_not_above_the_median(sides, size):
    assert choose_size(np.array(sides)) == size
