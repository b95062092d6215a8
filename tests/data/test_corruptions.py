"""Common corruptions: names, arguments, and what a row depends on."""

import numpy as np
import pytest

from ascl_tf.data.corruptions import (
    BENCHMARK_CORRUPTIONS,
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SEVERITIES,
    corrupt,
)
from ascl_tf.data.corruptions.noise import ImageDraws
from tests.data.corruption_images import DETERMINISTIC, IMAGES, smooth_images


def test_names_are_those_of_the_benchmark():
    assert (len(BENCHMARK_CORRUPTIONS), len(EXTRA_CORRUPTIONS)) == (15, 4)
    assert CORRUPTIONS == BENCHMARK_CORRUPTIONS + EXTRA_CORRUPTIONS
    assert len(set(CORRUPTIONS)) == 19 and SEVERITIES == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_row_depends_on_its_image_and_position_alone(corruption, severity):
    images = smooth_images(67, seed=1)
    before = images.copy()
    together = corrupt(images, corruption, severity, 3)
    assert together.dtype == np.uint8 and together.shape == images.shape
    assert np.any(together != images)
    np.testing.assert_array_equal(images, before)
    apart = [
        corrupt(images[rows], corruption, severity, 3, first_position=rows.start)
        for rows in (slice(0, 1), slice(1, 5), slice(5, 67))
    ]
    np.testing.assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_seed_and_position_change_random_corruptions_only(corruption):
    severity, image = 3, smooth_images(1, seed=2)
    first = corrupt(image, corruption, severity, 0)
    same = corrupt(image, corruption, severity, 0)
    np.testing.assert_array_equal(first, same)
    other_seed = corrupt(image, corruption, severity, 1)
    other_place = corrupt(image, corruption, severity, 0, first_position=1)
    is_same = [np.array_equal(first, other) for other in (other_seed, other_place)]
    assert is_same == [corruption in DETERMINISTIC] * 2


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_other_sizes_work(corruption):
    images = smooth_images(2, size=20)
    corrupted = corrupt(images, corruption, 4, 0)
    assert corrupted.shape == images.shape and np.any(corrupted != images)


@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_heights_and_widths_may_differ(corruption, severity):
    for shape in ((9, 24), (24, 9)):
        images = smooth_images(2, size=24)[:, : shape[0], : shape[1]]
        corrupted = corrupt(images, corruption, severity, 0)
        assert corrupted.dtype == np.uint8 and corrupted.shape == images.shape
        assert np.any(corrupted != images)


@pytest.mark.parametrize("corruption", sorted(set(DETERMINISTIC) - {"jpeg_compression"}))
def test_what_treats_rows_as_columns_commutes_with_turning_the_image(corruption):
    images = smooth_images(2, size=24)[:, :10]
    turned = corrupt(images.swapaxes(1, 2), corruption, 4, 0).swapaxes(1, 2)
    # Sums in another order may fall on the other side of a whole number.
    assert np.abs(corrupt(images, corruption, 4, 0).astype(int) - turned).max() <= 1


def test_no_image_gives_no_image():
    assert corrupt(IMAGES[:0], "glass_blur", 1, 0).shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": IMAGES / 255}, r"`images` must be uint8 .* received float64"),
        ({"images": IMAGES[0]}, r"`images` must be uint8 .*shape \(32, 32, 3\)"),
        ({"images": IMAGES[:, :, :4]}, r"shape \[N, H, W, 3\], H and W >= 8; .*\(3, 32, 4, 3\)"),
        ({"corruption": "rain"}, r"`corruption` must be one of gaussian_noise.*'rain'"),
        ({"severity": 0}, r"`severity` must be 1 to 5; received 0"),
        ({"seed": -1}, r"`seed` must be from 0 .*received -1"),
        ({"first_position": -2}, r"`first_position` must be from 0 .*received -2"),
    ],
)
def test_what_does_not_fit_is_named(settings, message):
    arguments = {"images": IMAGES, "corruption": "fog", "severity": 1, "seed": 0, **settings}
    first_position = arguments.pop("first_position", 0)
    with pytest.raises(ValueError, match=message):
        corrupt(*arguments.values(), first_position=first_position)


def test_draws_belong_to_positions_and_to_calls():
    def draw(first, count):
        draws = ImageDraws(7, 1, first, count)
        return draws.standard_normal((5,)), draws.random((4, 2)), draws.coins((3, 3))

    for together, apart in zip(draw(0, 6), draw(4, 2), strict=True):
        np.testing.assert_array_equal(together[4:], apart)
    draws = ImageDraws(7, 1, 0, 6)
    first, second = draws.random((8,)), draws.random((8,))
    assert not np.intersect1d(first, second).size
    assert not np.intersect1d(first, ImageDraws(7, 2, 0, 6).random((8,))).size


def test_draws_have_their_distributions():
    draws = ImageDraws(0, 0, 0, 40)
    normal, uniform = draws.standard_normal((1000,)), draws.uniform(-2, 4, (1000,))
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    assert abs(uniform.mean() - 1) < 0.04 and -2 <= uniform.min() and uniform.max() < 4
    assert abs(draws.coins((1000,)).mean() - 0.5) < 0.01
    counts = draws.poisson(np.full((40, 1000), 7.5))
    assert abs(counts.mean() - 7.5) < 0.06 and abs(counts.var() - 7.5) < 0.3
