"""Noise, snow, fog, brightness and spatter against what is true of them by definition."""

import colorsys
import math

import numpy as np
import pytest

from ascl_tf.data.corruptions import corrupt, spatter, weather
from tests.data.corruption_images import GRAY, IMAGES, difference


@pytest.mark.parametrize(
    ("corruption", "sigma"),
    [
        ("gaussian_noise", 0.1 * 255),
        ("speckle_noise", 0.2 * 128),
        ("shot_noise", math.sqrt(128 / 255 / 50) * 255),
    ],
)
def test_noise_has_its_standard_deviation_and_is_truncated(corruption, sigma):
    noise = corrupt(GRAY, corruption, 5, 0).astype(float) - 128
    assert noise.std() == pytest.approx(sigma, rel=0.02)
    # Truncation takes half a gray level away.
    assert noise.mean() == pytest.approx(-0.5, abs=0.25)
    # Each component has its own.
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.03


def test_impulses_are_black_or_white_component_by_component():
    corrupted = corrupt(GRAY, "impulse_noise", 5, 0)
    assert set(np.unique(corrupted)) == {0, 128, 255}
    for value in (0, 255):
        assert np.mean(corrupted == value) == pytest.approx(0.035, rel=0.07)
    is_hit = corrupted != 128
    assert np.mean(is_hit.all(axis=-1)) < 0.002


def test_brightness_is_that_of_colorsys():
    got = corrupt(IMAGES, "brightness", 3, 0)

    def brighter(red, green, blue):
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        return colorsys.hsv_to_rgb(hue, saturation, min(value + 0.15, 1))

    want = 255 * np.array([brighter(*pixel) for pixel in IMAGES.reshape(-1, 3).tolist()])
    assert difference(got, want.reshape(IMAGES.shape)).max() < 1 + 1e-6
    np.testing.assert_array_equal(got[:, 5, 5], int(0.15 * 255))


def test_snow_on_black_is_gray_and_the_same_upside_down():
    corrupted = corrupt(np.zeros((4, 32, 32, 3), np.uint8), "snow", 3, 0)
    np.testing.assert_array_equal(corrupted, corrupted[:, ::-1, ::-1])
    np.testing.assert_array_equal(corrupted[..., 0], corrupted[..., 2])
    # Where no flake fell: (1 - share) * 0.5.
    assert corrupted.min() == int(0.1 * 0.5 * 255) and corrupted.max() > 100


class _Recorded:
    """Draws that were made before, given out in turn."""

    def __init__(self, *parts):
        self._parts = list(parts)

    def uniform(self, low, high, shape):
        part = self._parts.pop(0)
        assert part.shape[1:] == shape
        return low + (high - low) * part


def test_plasma_is_diamond_square_on_a_torus():
    size, decay, rng = 8, 2.0, np.random.default_rng(0)
    parts = [rng.uniform(size=(2, 3, cells, cells)) for cells in (1, 2, 4)]
    got = weather.plasma(size, decay, _Recorded(*parts))
    for index in range(2):
        want, wobble = np.zeros((size, size)), 100.0
        for part, step in zip(parts, (8, 4, 2), strict=True):
            half = step // 2
            # Centers first, then the points between columns, then between rows.
            for number, (row, column) in enumerate([(half, half), (0, half), (half, 0)]):
                around = [(-half, -half), (-half, half), (half, -half), (half, half)]
                if number:
                    around = [(-half, 0), (half, 0), (0, -half), (0, half)]
                for i in range(size // step):
                    for j in range(size // step):
                        y, x = i * step + row, j * step + column
                        mean = sum(want[(y + a) % size, (x + b) % size] for a, b in around) / 4
                        jump = wobble * (2 * part[index, number, i, j] - 1)
                        want[y, x] = mean + wobble * jump
            wobble /= decay
        want = (want - want.min()) / (want.max() - want.min())
        np.testing.assert_allclose(got[index], want, atol=1e-9)


def test_fog_keeps_below_the_old_maximum():
    images = (IMAGES // 2).astype(np.uint8)
    corrupted = corrupt(images, "fog", 4, 0)
    assert np.all(corrupted.max(axis=(1, 2, 3)) <= images.max(axis=(1, 2, 3)))
    # The cloud is 0 somewhere; there x M / (M + a) is left.
    brightest = images.max(axis=(1, 2, 3), keepdims=True) / 255
    darkened = images * brightest / (brightest + 1)
    assert np.all((corrupted - darkened).min(axis=(1, 2, 3)) > -1)
    assert np.any(np.abs(corrupted - darkened).max(axis=-1) < 1, axis=(1, 2)).all()


def test_mud_covers_whole_drops_and_leaves_the_rest():
    corrupted = corrupt(GRAY, "spatter", 4, 0)
    is_touched = np.any(corrupted != 128, axis=-1)
    assert 0.001 < is_touched.mean() < 0.2
    # At least four fifths of a touched pixel are mud.
    assert np.all(corrupted[is_touched] < 0.2 * 128 + np.array([63, 42, 20]))


def test_water_only_brightens_and_red_least():
    corrupted = corrupt(GRAY, "spatter", 3, 0).astype(int)
    # 128 / 255 * 255 is truncated from just below 128 or not at all.
    assert corrupted.min() >= 127
    assert np.all(corrupted[..., 0] <= corrupted[..., 1])
    np.testing.assert_array_equal(corrupted[..., 1], corrupted[..., 2])
    # Where it shines most, half of (175, 238, 238) is added.
    np.testing.assert_array_equal(corrupted.max(axis=(0, 1, 2)), [215, 247, 247])


def test_no_water_shines_nowhere():
    liquid = np.zeros((2, 32, 32))
    liquid[1, 10:20, 12:18] = 0.75
    film = spatter.water_film(liquid)
    np.testing.assert_array_equal(film[0], 0)
    assert film[1].max() == 1 and film[1].min() == 0
    assert not film[1][liquid[1] == 0].any()
