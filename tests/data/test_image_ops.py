"""Image operations against Pillow, colorsys, SciPy and NumPy loops."""

import colorsys
import importlib.util
import itertools
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance
from scipy import ndimage

from ascl_tf.data import image_ops
from ascl_tf.errors import RunError
from tests.common import random_images

TONES = {
    image_ops.BRIGHTNESS: ImageEnhance.Brightness,
    image_ops.CONTRAST: ImageEnhance.Contrast,
    image_ops.SATURATION: ImageEnhance.Color,
}
needs_addons = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_addons") is None,
    reason="tensorflow-addons has wheels up to Python 3.11",
)


def _float64_images(num_images=4, size=8, seed=0):
    return random_images(num_images, size, seed).astype(np.float64)


def _luma(image):
    return 0.2989 * image[..., 0] + 0.587 * image[..., 1] + 0.114 * image[..., 2]


def _expected_tone(image, tone, factor):
    luma = _luma(image)[..., None]
    base = {
        image_ops.BRIGHTNESS: np.zeros_like(luma),
        image_ops.CONTRAST: np.full_like(luma, luma.mean()),
        image_ops.SATURATION: luma,
    }[tone]
    return np.clip(base + factor * (image - base), 0, 1)


def _expected_hue(image, shift):
    result = np.empty_like(image)
    for row, column in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[row, column])
        result[row, column] = colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value)
    return result


def test_flip_mirrors_only_the_marked_images():
    images = random_images(3)
    got = image_ops.flip(images, tf.constant([True, False, True])).numpy()
    np.testing.assert_array_equal(got[1], images[1])
    np.testing.assert_array_equal(got[[0, 2]], images[[0, 2], :, ::-1])


@pytest.mark.parametrize("pad", [0, 1, 2])
def test_shift_crop_cuts_the_window_out_of_the_padded_image(pad):
    offsets = np.array(list(itertools.product(range(2 * pad + 1), repeat=2)), np.int32)
    images = random_images(len(offsets), size=5)
    got = image_ops.shift_crop(tf.constant(images), offsets[:, 0], offsets[:, 1], pad)
    for image, (y, x), result in zip(images, offsets, got.numpy(), strict=True):
        padded = np.pad(image, [(pad, pad), (pad, pad), (0, 0)])
        np.testing.assert_array_equal(result, padded[y : y + 5, x : x + 5])


def _boxes(height, width, num_boxes, seed=1):
    rng = np.random.default_rng(seed)
    heights = rng.integers(1, height + 1, num_boxes)
    widths = rng.integers(1, width + 1, num_boxes)
    top = [rng.integers(0, height - h + 1) for h in heights]
    left = [rng.integers(0, width - w + 1) for w in widths]
    return np.stack([top, left, heights, widths]).astype(np.int32)


def test_crop_and_resize_equals_pillow_in_float():
    images = random_images(40, size=16)[:, :12]  # 12 x 16: the axes must not be mixed up.
    boxes = _boxes(12, 16, 40)
    got = image_ops.crop_and_resize(tf.constant(images), *map(tf.constant, boxes)).numpy()
    for image, (top, left, height, width), result in zip(images, boxes.T, got, strict=True):
        for channel in range(3):
            picture = Image.fromarray(image[:, :, channel])
            picture = picture.crop((left, top, left + width, top + height))
            expected = np.asarray(picture.resize((16, 12), Image.Resampling.BILINEAR))
            np.testing.assert_allclose(result[:, :, channel], expected, rtol=0, atol=2e-6)


def test_crop_and_resize_equals_a_loop_in_float64():
    images = _float64_images(6, size=8)
    boxes = _boxes(8, 8, 6)
    got = image_ops.crop_and_resize(tf.constant(images), *map(tf.constant, boxes))
    assert got.dtype == tf.float64
    for image, (top, left, height, width), result in zip(images, boxes.T, got, strict=True):
        box = image[top : top + height, left : left + width]
        y = np.clip((np.arange(8) + 0.5) * height / 8 - 0.5, 0, height - 1)
        x = np.clip((np.arange(8) + 0.5) * width / 8 - 0.5, 0, width - 1)
        for channel in range(3):
            expected = ndimage.map_coordinates(
                box[..., channel], np.meshgrid(y, x, indexing="ij"), order=1
            )
            np.testing.assert_allclose(result[..., channel], expected, rtol=0, atol=1e-12)


def test_the_whole_image_as_box_changes_nothing():
    images = random_images(2)
    zero, full = tf.constant([0, 0]), tf.constant([8, 8])
    got = image_ops.crop_and_resize(tf.constant(images), zero, zero, full, full)
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize("tone", TONES)
def test_tones_equal_pillow_within_two_gray_levels(tone):
    images = np.round(random_images(6) * 255).astype(np.uint8)
    images[:3] //= 3  # Dark images, so that their mean lies elsewhere.
    factors = np.float32([0.6, 1.0, 1.4, 0.6, 0.9, 1.4])
    scaled = tf.constant(images / np.float32(255))
    got = 255 * image_ops.adjust_tone(scaled, tf.fill([6], tone), tf.constant(factors)).numpy()
    for image, factor, result in zip(images, factors, got, strict=True):
        expected = np.asarray(TONES[tone](Image.fromarray(image)).enhance(float(factor)))
        np.testing.assert_allclose(result, expected, rtol=0, atol=2)


@pytest.mark.parametrize("tone", TONES)
def test_tones_equal_their_formula_in_float64(tone):
    images = _float64_images(4)
    factors = np.array([0.0, 0.6, 1.0, 1.4])
    got = image_ops.adjust_tone(tf.constant(images), tf.fill([4], tone), tf.constant(factors))
    expected = [_expected_tone(*pair) for pair in zip(images, [tone] * 4, factors, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tone", TONES)
def test_factor_one_changes_no_bit(tone):
    images = random_images()
    got = image_ops.adjust_tone(tf.constant(images), tf.fill([4], tone), tf.ones([4]))
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_hue_equals_colorsys(dtype, tolerance):
    shifts = np.array([-0.5, -0.1, 0.0, 0.03, 0.1], dtype)
    images = random_images(5, size=4).astype(dtype)
    images[0, 0, :3] = [[0, 0, 0], [1, 1, 1], [0.4, 0.4, 0.4]]
    images[1, 0] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    got = image_ops.adjust_hue(tf.constant(images), tf.constant(shifts))
    assert got.dtype == dtype
    expected = [_expected_hue(*pair) for pair in zip(images, shifts, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def test_hue_equals_pillow_within_its_255_hues():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    got = image_ops.adjust_hue(tf.constant(pixels / np.float32(255)), tf.constant([26 / 255]))
    hue, saturation, value = Image.fromarray(pixels[0]).convert("HSV").split()
    hue = hue.point([(level + 26) % 255 for level in range(256)])
    expected = Image.merge("HSV", [hue, saturation, value]).convert("RGB")
    difference = np.abs(255 * got[0].numpy() - np.asarray(expected, np.float64))
    # Pillow cuts the hue to steps of 1/255 circle, which is up to 6 levels of a channel.
    assert difference.max() < 8
    assert difference.mean() < 2


def test_grayscale_equals_pillow_and_has_equal_channels():
    images = np.round(random_images() * 255).astype(np.uint8)
    got = image_ops.to_grayscale(tf.constant(images / np.float32(255))).numpy()
    np.testing.assert_array_equal(got[..., 1:], got[..., :1].repeat(2, axis=-1))
    for image, result in zip(images, got, strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"))
        np.testing.assert_allclose(255 * result[..., 0], expected, rtol=0, atol=1)
    np.testing.assert_allclose(got[..., 0], _luma(images / 255), rtol=0, atol=1e-6)


def test_jitter_follows_each_of_the_24_orders():
    hue = 3
    orders = list(itertools.permutations([*TONES, hue]))
    images = _float64_images(24, size=4)
    rng = np.random.default_rng(2)
    factors, shifts = rng.uniform(0.4, 1.6, (24, 3)), rng.uniform(-0.1, 0.1, 24)
    got = image_ops.jitter_color(
        tf.constant(images),
        tf.constant(factors),
        tf.constant(shifts),
        tone_order=tf.constant([[op for op in order if op != hue] for order in orders]),
        hue_place=tf.constant([order.index(hue) for order in orders]),
    )
    for number, order in enumerate(orders):
        expected = images[number]
        for op in order:
            if op == hue:
                expected = _expected_hue(expected, shifts[number])
            else:
                expected = _expected_tone(expected, op, factors[number, op])
        np.testing.assert_allclose(got[number], expected, rtol=0, atol=1e-9, err_msg=str(order))


def _expected_blur(image, kernel_size, sigma):
    places = np.arange(kernel_size) - kernel_size // 2
    kernel = np.exp(-(places**2) / (2 * sigma**2))
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    # SciPy's "mirror" does not repeat the edge pixel.
    return np.stack(
        [ndimage.correlate(image[..., c], kernel, mode="mirror") for c in range(3)], axis=-1
    )


@needs_addons
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_blur_gives_each_image_its_own_sigma(kernel_size):
    images = _float64_images(5, size=9)
    choice = [1, -1, 0, 2, 1]
    sigmas = (0.375, 1.0, 2.0)  # Exact in float32, to which addons rounds them.
    got = image_ops.blur_with_choice(
        tf.constant(images), tf.constant(choice), kernel_size=kernel_size, sigmas=sigmas
    )
    assert got.dtype == tf.float64
    np.testing.assert_array_equal(got[1], images[1])
    for number in (0, 2, 3, 4):
        expected = _expected_blur(images[number], kernel_size, sigmas[choice[number]])
        np.testing.assert_allclose(got[number], expected, rtol=0, atol=1e-12)


def test_missing_addons_are_named_with_flag_and_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    with pytest.raises(
        RunError, match=r"`gaussian_blur`: expected tensorflow-addons.*Python 3\.11"
    ):
        image_ops.blur_with_choice(random_images(), tf.zeros([4]), kernel_size=3, sigmas=(1.0,))
