"""The high-frequency component: what it keeps of known waves, against NumPy's full transform."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data.image_ops import high_frequency_component


def _wave(periods_y, periods_x, size=(32, 32), phase=0.3):
    """One image [1, H, W, 3] of a plane wave, its channels of different heights."""
    y, x = np.mgrid[: size[0], : size[1]]
    wave = np.cos(2 * np.pi * (periods_y * y / size[0] + periods_x * x / size[1]) + phase)
    return (wave[None, :, :, None] * [1.0, 0.5, 0.2]).astype(np.float64)


# Distances 5, 7.07, 7.81, 8, 8.06, 8.54 and so on from frequency zero.
LOW = [(0, 0), (0, 1), (3, 4), (5, -5), (6, 5), (0, 7), (-7, 0)]
HIGH = [(0, 8), (8, 0), (4, 7), (8, 3), (-6, 6), (0, 16), (16, 0), (16, 16), (1, 15)]


@pytest.mark.parametrize("periods", LOW)
def test_wave_nearer_than_the_radius_vanishes(periods):
    np.testing.assert_allclose(high_frequency_component(_wave(*periods), radius=8), 0, atol=1e-12)


@pytest.mark.parametrize("periods", HIGH)
def test_wave_at_the_radius_or_farther_stays(periods):
    image = _wave(*periods)
    np.testing.assert_allclose(high_frequency_component(image, radius=8), image, atol=1e-12)


def test_of_a_sum_of_waves_the_far_ones_are_left():
    kept = _wave(9, 2) + _wave(3, -11, phase=1.0)
    image = kept + 0.5 + _wave(2, 3) + _wave(-1, 6)
    np.testing.assert_allclose(high_frequency_component(image, radius=8), kept, atol=1e-12)


@pytest.mark.parametrize("size", [(32, 32), (16, 16), (7, 7), (8, 12), (9, 6)])
@pytest.mark.parametrize("radius", [0, 1, 2.5, 8])
def test_agrees_with_the_full_transform_and_its_shift(size, radius):
    images = np.random.default_rng(0).uniform(size=(2, *size, 3))
    rows, columns = [np.arange(n) - n // 2 for n in size]
    want = np.empty_like(images)
    for image in range(2):
        for channel in range(3):
            spectrum = np.fft.fftshift(np.fft.fft2(images[image, :, :, channel]))
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    if (row**2 + column**2) ** 0.5 < radius:
                        spectrum[i, j] = 0
            want[image, :, :, channel] = np.fft.ifft2(np.fft.ifftshift(spectrum)).real
    np.testing.assert_allclose(high_frequency_component(images, radius=radius), want, atol=1e-12)
    narrow = high_frequency_component(images.astype(np.float32), radius=radius)
    assert narrow.dtype == tf.float32
    np.testing.assert_allclose(narrow, want, atol=1e-5)


def test_in_a_graph_with_a_batch_of_any_size():
    spec = tf.TensorSpec([None, 8, 8, 3], tf.float64)
    function = tf.function(lambda x: high_frequency_component(x, radius=2), input_signature=[spec])
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 3))
    assert function(images).shape == (3, 8, 8, 3)
    np.testing.assert_allclose(function(images), high_frequency_component(images, radius=2))


@pytest.mark.parametrize(
    "images, radius, message",
    [
        (np.zeros([8, 8, 3]), 1, r"`images` must have shape \[B, H, W, C\].*\(8, 8, 3\)"),
        (np.zeros([1, 8, 8, 3], np.uint8), 1, r"float32 or float64; received uint8"),
        (np.zeros([1, 8, 8, 3]), -1, r"`radius` must be >= 0; received -1"),
        (np.zeros([1, 8, 8, 3]), float("nan"), r"`radius` must be >= 0; received nan"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(images, radius, message):
    with pytest.raises(ValueError, match=message):
        high_frequency_component(images, radius=radius)
