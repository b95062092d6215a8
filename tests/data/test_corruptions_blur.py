"""Blurs against sums by hand and SciPy."""

import math

import numpy as np
import pytest
import scipy.ndimage

from ascl_tf.data.corruptions import SEVERITIES, blur, corrupt
from tests.data.corruption_images import IMAGES, difference


def test_gaussian_blur_is_a_sum_over_neighbors():
    sigma = 0.6
    radius = int(4 * sigma + 0.5)
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-radius, radius + 1)]
    padded = np.pad(IMAGES[0] / 255, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    want = np.zeros((32, 32, 3))
    for i, row_weight in enumerate(weights):
        for j, weight in enumerate(weights):
            want += row_weight * weight * padded[i : i + 32, j : j + 32]
    want = want / sum(weights) ** 2 * 255
    assert difference(corrupt(IMAGES, "gaussian_blur", 2, 0)[0], np.floor(want)).mean() < 0.02


@pytest.mark.parametrize("severity", SEVERITIES)
def test_defocus_kernel_is_a_smoothed_disk_on_17_pixels(severity):
    radius, sigma = [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)][severity - 1]
    disk = np.zeros((17, 17))
    for i in range(17):
        for j in range(17):
            disk[i, j] = (i - 8) ** 2 + (j - 8) ** 2 <= radius**2
    side = math.exp(-1 / (2 * sigma**2))
    gauss = np.array([side, 1, side]) / (1 + 2 * side)
    full = scipy.ndimage.convolve(disk / disk.sum(), np.outer(gauss, gauss))
    kernel = blur.defocus_kernel(radius, sigma)
    inner = 8 - len(kernel) // 2
    np.testing.assert_allclose(kernel, full[inner : 17 - inner, inner : 17 - inner], atol=1e-12)
    assert full.sum() == pytest.approx(kernel.sum())


def test_defocus_mirrors_at_the_edge_pixel():
    kernel = blur.defocus_kernel(1.5, 0.1)
    padded = np.pad(IMAGES[0] / 255, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    want = sum(kernel[i, j] * padded[i : i + 32, j : j + 32] for i in range(5) for j in range(5))
    got = corrupt(IMAGES, "defocus_blur", 5, 0)[0]
    # Means of whole numbers may fall on either side of a whole number.
    assert difference(got, want * 255).max() < 1 + 1e-6


@pytest.mark.parametrize(("height", "width"), [(32, 32), (12, 20)])
def test_glass_copies_neighbors_as_the_sequential_scan_does(height, width):
    images = IMAGES[:, :height, :width]
    steps = np.random.default_rng(0).integers(0, 2, (len(images), 2, height - 2, width - 2))
    want = images.copy()
    for image, (up, left) in zip(want, steps, strict=True):
        for h in range(height - 1, 1, -1):
            for w in range(width - 1, 1, -1):
                h2, w2 = h - up[h - 2, w - 2], w - left[h - 2, w - 2]
                # Views on both sides: what is called a swap copies.
                image[h, w], image[h2, w2] = image[h2, w2], image[h, w]
    np.testing.assert_array_equal(blur.take_neighbors(images, steps), want)


def test_weakest_glass_only_copies():
    corrupted = corrupt(IMAGES, "glass_blur", 1, 0)
    np.testing.assert_array_equal(corrupted[:, :2], IMAGES[:, :2])
    candidates = np.stack(
        [IMAGES[:, 2 - i : 32 - i, 2 - j : 32 - j] for i in (0, 1) for j in (0, 1)]
    )
    matches = np.all(candidates == corrupted[None, :, 2:, 2:], axis=-1)
    assert matches.any(axis=0).all()
    assert abs(matches[3].mean() - 0.25) < 0.05


@pytest.mark.parametrize("angle", [-45.0, -10.0, 0.0, 33.0])
def test_motion_reads_whole_pixels_along_a_line(angle):
    radius, sigma = 6, 2.0
    got = blur.motion_blur_bytes(IMAGES[:1], [angle], radius, sigma)[0]
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    want = np.zeros((32, 32, 3))
    for i, weight in enumerate(weights):
        down = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        right = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        for row in range(32):
            for column in range(32):
                at = (min(max(row + down, 0), 31), min(column + right, 31))
                want[row, column] += weight / sum(weights) * IMAGES[0][at]
    # What is whole but for rounding counts as whole.
    assert difference(got, np.floor(want + 1e-3)).mean() < 0.01


def test_motion_moves_the_picture_as_its_kernel_is_one_sided():
    dot = np.zeros((1, 32, 32, 1), np.uint8)
    dot[0, 16, 16] = 255
    blurred = blur.motion_blur_bytes(dot, [0.0], 6, 1.0)[0, 16, :, 0]
    kernel = blur.motion_kernel(6, 1.0)
    np.testing.assert_allclose(blurred[16:9:-1], np.floor(255 * kernel[:7]), atol=1)
    assert not blurred[17:].any()


@pytest.mark.parametrize(("severity", "num_factors"), [(1, 7), (2, 12), (3, 16), (5, 26)])
def test_zoom_averages_scipys_zooms(severity, num_factors):
    image = IMAGES[1] / 255
    factors = np.arange(1, 1 + (0.06, 0.11, 0.16, 0.21, 0.26)[severity - 1], 0.01)
    assert len(factors) == num_factors
    total = image.copy()
    for factor in factors:
        kept = math.ceil(32 / factor)
        top = (32 - kept) // 2
        part = image[top : top + kept, top : top + kept]
        zoomed = scipy.ndimage.zoom(part, (factor, factor, 1), order=1)
        trim = (len(zoomed) - 32) // 2
        total += zoomed[trim : trim + 32, trim : trim + 32]
    want = total / (num_factors + 1) * 255
    got = corrupt(IMAGES, "zoom_blur", severity, 0)[1]
    assert difference(got, np.floor(want + 1e-9)).mean() < 0.01
