"""Digital corruptions against closed forms and other libraries."""

import colorsys

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from ascl_tf.data.corruptions import SEVERITIES, corrupt, digital
from tests.data.corruption_images import GRAY, IMAGES, difference


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_moves_towards_the_mean_and_truncates(severity):
    factor = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    got = corrupt(IMAGES, "contrast", severity, 0)
    for image, corrupted in zip(IMAGES.astype(float), got, strict=True):
        for channel in range(3):
            mean = image[..., channel].sum() / 1024
            want = mean + factor * (image[..., channel] - mean)
            assert 0 <= (want - corrupted[..., channel]).min() + 1e-9
            assert (want - corrupted[..., channel]).max() < 1


@pytest.mark.parametrize(("severity", "factor", "offset"), [(2, 0.1, 0.0), (5, 2.5, 0.2)])
def test_saturation_is_that_of_colorsys(severity, factor, offset):
    got = corrupt(IMAGES, "saturate", severity, 0)

    def changed(red, green, blue):
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        return colorsys.hsv_to_rgb(hue, min(saturation * factor + offset, 1), value)

    want = 255 * np.array([changed(*pixel) for pixel in IMAGES.reshape(-1, 3).tolist()])
    assert difference(got, want.reshape(IMAGES.shape)).max() < 1 + 1e-6
    # Pure white has no hue: it turns reddish where saturation is added.
    rest = int(255 * (1 - offset))
    np.testing.assert_array_equal(got[0, 6, 6], [255, rest, rest])


@pytest.mark.parametrize(("severity", "quality"), [(1, 80), (5, 40)])
def test_jpeg_is_that_of_tensorflow(severity, quality):
    got = corrupt(IMAGES, "jpeg_compression", severity, 0)
    for image, corrupted in zip(IMAGES, got, strict=True):
        encoded = tf.io.encode_jpeg(image, quality=quality, chroma_downsampling=True)
        want = tf.io.decode_jpeg(encoded, dct_method="INTEGER_ACCURATE").numpy()
        assert difference(corrupted, want).mean() < 0.2


def _box_matrix(rows, columns):
    """Returns the mean over the pixels whose centers lie within each box of the new grid."""
    scale = max(columns / rows, 1)
    centers = (np.arange(rows)[:, None] + 0.5) * columns / rows
    offsets = (np.arange(columns) + 0.5 - centers) / scale
    matrix = ((offsets > -0.5) & (offsets <= 0.5)).astype(float)
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("severity", "small"), [(1, 30), (2, 28), (3, 27), (4, 24), (5, 20)])
def test_pixelate_takes_means_over_boxes_there_and_back(severity, small):
    both = _box_matrix(32, small) @ _box_matrix(small, 32)
    want = np.einsum("ij,njkc,lk->nilc", both, IMAGES.astype(float), both)
    assert difference(corrupt(IMAGES, "pixelate", severity, 0), want).max() <= 2


def test_affine_map_takes_moved_corners_to_where_they_were():
    jitter = np.random.default_rng(0).uniform(-2, 2, (4, 3, 2))
    sources = digital.affine_sources((32, 32), jitter)
    for row, moves in zip(sources, jitter, strict=True):
        for (column, line), move in zip([(26, 26), (26, 6), (6, 6)], moves, strict=True):
            at = [[line + move[1]], [column + move[0]]]
            got = [scipy.ndimage.map_coordinates(row[..., k], at, order=1)[0] for k in range(2)]
            np.testing.assert_allclose(got, [column, line], atol=1e-9)
    unmoved = digital.affine_sources((12, 32), np.zeros((1, 3, 2)))[0]
    np.testing.assert_allclose(unmoved[3, 25], [25, 3], atol=1e-12)


@pytest.mark.parametrize(("border", "mode"), [("mirror", "mirror"), ("symmetric", "reflect")])
def test_sampling_is_that_of_scipy(border, mode):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(2, 16, 11, 3)).astype(np.float32)
    rows, columns = rng.uniform(-20, 36, (2, 2, 16, 11))
    got = digital.sample_bilinear(images, rows, columns, border=border)
    for index in range(2):
        at = [rows[index], columns[index]]
        for channel in range(3):
            want = scipy.ndimage.map_coordinates(
                images[index, ..., channel], at, order=1, mode=mode
            )
            np.testing.assert_allclose(got[index, ..., channel], want, atol=1e-5)


def test_elastic_leaves_a_flat_image_flat():
    corrupted = corrupt(GRAY, "elastic_transform", 3, 0)
    assert difference(corrupted, 128).max() <= 1
