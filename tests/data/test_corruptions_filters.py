"""The 8-bit routines of spatter, against loops by hand and, where it is installed, OpenCV."""

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage

from ascl_tf.data.corruptions import spatter


def drops(num_images=20, seed=0):
    """Returns layers like those of spatter, uint8 [num_images, 32, 32]."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.63, 0.12, (num_images, 32, 32))
    layers = scipy.ndimage.gaussian_filter(noise, (0, 0.8, 0.8), mode="nearest")
    layers[layers < 0.68] = 0
    return (layers * 255).astype(np.uint8)


def test_chamfer_distance_is_the_cheapest_way_with_kings_and_knights_moves():
    is_goal = np.zeros((2, 14, 11), bool)
    is_goal[0, 3, 2] = is_goal[0, 12, 9] = is_goal[1, 0, 5] = True
    got = spatter.chamfer_distance(is_goal)
    for image, goals in enumerate(([(3, 2), (12, 9)], [(0, 5)])):
        for row, column in itertools.product(range(14), range(11)):
            ways = [_chamfer(abs(row - i), abs(column - j)) for i, j in goals]
            assert got[image, row, column] == pytest.approx(min(ways), abs=1e-4)


def _chamfer(rows, columns):
    short, long = sorted((rows, columns))
    if long >= 2 * short:
        return 2.1969 * short + (long - 2 * short)
    return 2.1969 * (long - short) + 1.4 * (2 * short - long)


def test_without_a_goal_everything_is_far():
    assert spatter.chamfer_distance(np.zeros((1, 9, 9), bool)).min() > 1000


def test_equalised_histogram_follows_the_cumulated_counts():
    image = np.array([[3, 3, 3, 3], [5, 5, 9, 9], [9, 9, 9, 9], [12, 12, 12, 12]], np.uint8)
    got = spatter.equalize_histogram(image[None])[0]
    # 4 of 16 pixels are the darkest; of the other 12, 2, 8 and 12 lie at or below.
    want = {3: 0, 5: round(255 * 2 / 12), 9: round(255 * 8 / 12), 12: 255}
    np.testing.assert_array_equal(got, np.vectorize(want.get)(image))


def test_flat_image_keeps_its_level():
    images = np.stack([np.full((5, 5), 7, np.uint8), np.arange(25, dtype=np.uint8).reshape(5, 5)])
    np.testing.assert_array_equal(spatter.equalize_histogram(images)[0], 7)


def test_box_and_correlation_mirror_at_the_edge():
    images, kernel = drops(3), np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    padded = np.pad(images.astype(int), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    windows = [(i, j, padded[:, i : i + 32, j : j + 32]) for i in range(3) for j in range(3)]
    np.testing.assert_allclose(
        spatter.box_blur(images), sum(part for _, _, part in windows) / 9, rtol=1e-6
    )
    want = np.clip(sum(kernel[i, j] * part for i, j, part in windows), 0, 255)
    np.testing.assert_array_equal(spatter.correlate_bytes(images, kernel), want)


def test_mean_of_whole_numbers_is_not_lowered_by_rounding():
    ramp = np.tile(np.arange(32, dtype=np.float32), (1, 32, 1))
    np.testing.assert_array_equal(spatter.box_blur(ramp)[0, :, 5].astype(int), 5)


def test_edges_of_a_square_run_around_it():
    image = np.zeros((1, 20, 20), np.uint8)
    image[0, 6:14, 5:13] = 200
    edges = spatter.canny_edges(image, 50, 150)[0]
    assert 20 <= edges.sum() <= 40
    inside = scipy.ndimage.binary_fill_holes(edges)
    assert inside[7:13, 6:12].all() and not inside[:5].any() and not inside[:, 15:].any()
    assert not edges[8:12, 7:11].any()


def test_weak_edges_count_only_beside_strong_ones():
    def edges(heights):
        # A step along the rows, of another height in each row.
        image = np.zeros((1, 24, 12), np.uint8)
        image[0, :, 6:] = np.asarray(heights)[:, None]
        return spatter.canny_edges(image, 50, 150)[0].any(axis=1)

    weak, strong = math.ceil(51 / 4), 60
    assert not edges([weak] * 24).any()
    assert edges([strong] * 24).all()
    assert edges([weak] * 20 + [strong] * 4).all()
    assert not edges([10] * 24).any()


def test_routines_are_those_of_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    images = drops(60, seed=1)
    edges = np.stack([cv2.Canny(image, 50, 150) > 0 for image in images])
    np.testing.assert_array_equal(spatter.canny_edges(images, 50, 150), edges)
    free = np.where(edges, 0, 255).astype(np.uint8)
    want = np.stack([cv2.distanceTransform(image, cv2.DIST_L2, 5) for image in free])
    got = spatter.chamfer_distance(edges)
    np.testing.assert_allclose(np.minimum(got, 20), np.minimum(want, 20), atol=1e-4)
    want = np.stack([cv2.equalizeHist(image) for image in images])
    np.testing.assert_array_equal(spatter.equalize_histogram(images), want)
