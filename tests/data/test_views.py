"""Weak and strong views: distributions, seeds, dtypes, replicas."""

import importlib.util
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from ascl_tf.data import image_ops, views
from ascl_tf.data.views import random_box, strong_view, weak_view
from tests.common import random_images, two_replicas

needs_addons = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_addons") is None,
    reason="tensorflow-addons has wheels up to Python 3.11",
)


def _blurred_view(images, seed):
    return strong_view(images, seed, gaussian_blur=True)


VIEWS = [weak_view, strong_view, pytest.param(_blurred_view, marks=needs_addons)]
# The blur is the same code in either place, and long to trace.
VIEWS_WITHOUT_BLUR = [
    *VIEWS[:2],
    pytest.param(_blurred_view, marks=[needs_addons, pytest.mark.slow]),
]


def _pairs(num_images, first=7):
    return tf.stack([tf.fill([num_images], first), tf.range(num_images)], axis=1)


def _assert_share(hits, probability):
    """Checks a relative frequency to within four standard deviations."""
    deviation = math.sqrt(probability * (1 - probability) / len(hits))
    assert abs(np.mean(hits) - probability) < 4 * deviation


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_views_keep_shape_dtype_and_range(view, dtype):
    images = random_images(8, size=20).astype(dtype)
    got = view(images, _pairs(8))
    assert got.shape == images.shape and got.dtype == dtype
    assert np.min(got) >= 0 and np.max(got) <= 1
    assert np.abs(got - images).max() > 0.1


@pytest.mark.parametrize("view", VIEWS)
def test_precision_of_images_does_not_change_the_view(view):
    images = random_images(16, size=20)
    single, double = view(images, _pairs(16)), view(images.astype(np.float64), _pairs(16))
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-5)


@pytest.mark.parametrize("view", VIEWS_WITHOUT_BLUR)
def test_float64_images_never_pass_through_float32(view):
    spec = tf.TensorSpec([4, 20, 20, 3], tf.float64)
    traced = tf.function(view, autograph=False)
    graph = traced.get_concrete_function(spec, tf.TensorSpec([4, 2], tf.int32)).graph
    outputs = [tensor for operation in graph.get_operations() for tensor in operation.outputs]
    wide = [tensor for tensor in outputs if (tensor.shape.rank or 0) >= 3]
    assert any(tensor.dtype == tf.float64 for tensor in wide)
    assert not [t.name for t in wide if t.dtype in (tf.float16, tf.bfloat16, tf.float32)]


@pytest.mark.parametrize("view", VIEWS)
def test_same_seed_same_view_and_other_seed_other_view(view):
    images = random_images(4, size=20)
    first, again, other = (view(images, [1, number]) for number in (2, 2, 3))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_two_strong_views_of_an_image_differ():
    images = random_images(16)
    first, second = strong_view(images, _pairs(16, 1)), strong_view(images, _pairs(16, 2))
    assert np.all(np.abs(first - second).max(axis=(1, 2, 3)) > 0.01)


@pytest.mark.parametrize("view", VIEWS)
def test_row_depends_on_its_image_and_seed_bit_for_bit(view):
    images, seeds = random_images(4, size=20), _pairs(4)
    parts = [view(images[row], seeds[row]) for row in (slice(1), slice(1, 4))]
    np.testing.assert_array_equal(view(images, seeds), tf.concat(parts, axis=0))


@pytest.mark.parametrize(
    ("view", "dtype", "tolerance"),
    [
        (weak_view, tf.float64, 1e-13),
        pytest.param(strong_view, tf.float32, 1e-6, marks=pytest.mark.slow),
        (strong_view, tf.float64, 1e-13),
        pytest.param(_blurred_view, tf.float32, 1e-6, marks=[needs_addons, pytest.mark.slow]),
        pytest.param(_blurred_view, tf.float64, 1e-13, marks=[needs_addons, pytest.mark.slow]),
    ],
)
def test_graph_without_autograph_equals_eager(view, dtype, tolerance):
    # Not bit for bit: the graph optimizer may fold constants of the blur.
    images, seeds = tf.cast(random_images(4, size=20), dtype), _pairs(4)
    dynamic = [tf.TensorSpec([None, 20, 20, 3], dtype), tf.TensorSpec([None, 2], tf.int32)]
    graph = tf.function(view, input_signature=dynamic, autograph=False)
    np.testing.assert_allclose(graph(images, seeds), view(images, seeds), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "view",
    # Rows of any view are independent: see above.
    [weak_view, pytest.param(strong_view, marks=pytest.mark.slow)],
)
def test_two_replicas_give_the_views_of_one_device_bit_for_bit(view):
    images, seeds = random_images(6, size=20), _pairs(6)
    strategy = two_replicas()

    @tf.function(autograph=False)
    def run(images, seeds):
        return strategy.run(view, args=(images, seeds))

    def distribute(values):
        halves = tf.split(values, 2)
        return strategy.experimental_distribute_values_from_function(
            lambda context: halves[context.replica_id_in_sync_group]
        )

    replicas = strategy.experimental_local_results(run(distribute(images), distribute(seeds)))
    one_device = tf.function(view, autograph=False)(images, seeds)
    np.testing.assert_array_equal(tf.concat(replicas, axis=0), one_device)


@pytest.mark.parametrize("view", [weak_view, strong_view])
def test_row_i_shows_image_i(view):
    # Constant gray images, whose order by brightness no view can change by much.
    values = np.float32([0.05, 0.9, 0.2])
    images = np.tile(values[:, None, None, None], [1, 8, 8, 3])
    for number in range(5):
        got = view(images, _pairs(3, number)).numpy().max(axis=(1, 2, 3))
        np.testing.assert_array_equal(np.argsort(got), np.argsort(values))


def test_weak_view_reaches_every_place_and_both_sides_equally():
    num_images, size = 3600, 8  # Pads 1: 3 x 3 places, times 2 for the flip.
    codes = np.arange(size * size, dtype=np.float32).reshape(size, size) / 64
    images = np.tile(codes[None, :, :, None], [num_images, 1, 1, 3])
    got = np.round(weak_view(images, [3, 4]).numpy()[:, 3:5, 3:5, 0] * 64).astype(int)
    is_flipped = got[:, 0, 1] < got[:, 0, 0]
    corner = np.minimum(got[:, 0, 0], got[:, 0, 1])
    offsets_y, offsets_x = corner // size - 2, corner % size - 2
    assert set(offsets_y) == set(offsets_x) == {0, 1, 2}
    counts = np.bincount(9 * is_flipped + 3 * offsets_y + offsets_x, minlength=18)
    assert counts.sum() == num_images
    assert stats.chisquare(counts).pvalue > 1e-3


def test_weak_view_pads_four_zeros_at_32():
    got = weak_view(np.ones([400, 32, 32, 3], np.float32), [0, 1]).numpy()[..., 0]
    top = (got[:, :, 16] == 0).argmin(axis=1)
    assert top.max() == 4 and set(np.unique(got)) == {0.0, 1.0}


def _expected_box(numbers, image_height, image_width, min_area):
    """torchvision's loop over ten tries, one image."""
    for area, ratio in zip(numbers[:10], numbers[10:20], strict=True):
        area = image_height * image_width * (min_area + (1 - min_area) * area)
        ratio = (3 / 4) ** (1 - ratio) * (4 / 3) ** ratio
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= image_width and 0 < height <= image_height:
            top = int(numbers[20] * (image_height - height + 1))
            return top, int(numbers[21] * (image_width - width + 1)), height, width
    if image_width / image_height < 3 / 4:
        width, height = image_width, round(image_width * 4 / 3)
    elif image_width / image_height > 4 / 3:
        width, height = round(image_height * 4 / 3), image_height
    else:
        width, height = image_width, image_height
    return (image_height - height) // 2, (image_width - width) // 2, height, width


@pytest.mark.parametrize("size", [(32, 32), (10, 31), (40, 9)])
@pytest.mark.parametrize("min_area", [0.2, 0.08, 1.0])
def test_boxes_equal_the_loop_over_ten_tries(size, min_area):
    numbers = np.random.default_rng(0).uniform(size=(500, 22)).astype(np.float32)
    got = np.stack(random_box(tf.constant(numbers), *size, min_area), axis=1)
    expected = [_expected_box(row.astype(np.float64), *size, min_area) for row in numbers]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("size", "expected"), [((32, 32), (0, 0, 32, 32)), ((10, 31), (0, 9, 10, 13))]
)
def test_without_a_fitting_try_the_box_is_central(size, expected):
    # The full area at the most extreme ratio fits nowhere.
    numbers = np.full([1, 22], 0.999, np.float32)
    assert tuple(int(value[0]) for value in random_box(tf.constant(numbers), *size)) == expected


@pytest.mark.parametrize("min_area", [0.0, 1.5])
def test_share_of_the_image_outside_its_range_is_named(min_area):
    with pytest.raises(ValueError, match=rf"`min_area` must be in \(0, 1\]; received {min_area}"):
        strong_view(random_images(2), [0, 1], min_area=min_area)


def test_smaller_boxes_give_other_views():
    images = random_images(8)
    default, same = strong_view(images, [2, 3]), strong_view(images, [2, 3], min_area=0.2)
    np.testing.assert_array_equal(default, same)
    assert np.abs(default - strong_view(images, [2, 3], min_area=0.08)).max() > 0.05


def test_boxes_keep_area_and_ratio_and_reach_both_ends():
    numbers = tf.random.stateless_uniform([5000, 22], [5, 6])
    top, left, height, width = (np.array(value) for value in random_box(numbers, 64, 64))
    areas, ratios = height * width / 64**2, width / height
    # Rounding to whole pixels moves either by a few hundredths.
    assert 0.18 < areas.min() < 0.22 and 0.98 < areas.max() <= 1
    assert 0.72 < ratios.min() < 0.78 and 1.28 < ratios.max() < 1.38
    assert abs(np.log(ratios).mean()) < 0.01
    assert top.min() == left.min() == 0
    assert (top + height).max() == (left + width).max() == 64


def test_jitter_and_gray_have_their_probabilities():
    # A constant color: neither crop nor flip changes it.
    num_images = 4000
    color = np.float32([0.5, 0.4, 0.3])
    images = np.tile(color, [num_images, 8, 8, 1])
    pixels = strong_view(images, [8, 9]).numpy()[:, 4, 4]
    is_gray = np.ptp(pixels, axis=1) == 0
    unchanged = np.where(is_gray[:, None], color @ image_ops.GRAY_WEIGHTS, color)
    is_jittered = np.abs(pixels - unchanged).max(axis=1) > 1e-6
    _assert_share(is_gray, 0.2)
    _assert_share(is_jittered, 0.8)
    _assert_share(is_gray & is_jittered, 0.16)


def test_jitter_draws_uniform_factors_and_each_order(monkeypatch):
    seen = {}

    def record(images, factors, hue_shift, **order):
        seen.update(order, factors=factors.numpy(), hue_shift=hue_shift.numpy())
        return images

    monkeypatch.setattr(image_ops, "jitter_color", record)
    strong_view(np.zeros([4800, 4, 4, 3], np.float32), [1, 1])
    for column in seen["factors"].T:
        assert stats.kstest(column, stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    assert stats.kstest(seen["hue_shift"], stats.uniform(-0.1, 0.2).cdf).pvalue > 1e-3
    orders = list(
        zip(map(tuple, seen["tone_order"].numpy()), seen["hue_place"].numpy(), strict=True)
    )
    every = itertools.product(itertools.permutations(range(3)), range(4))
    counts = [orders.count(order) for order in every]
    assert len(counts) == 24 and sum(counts) == 4800
    assert stats.chisquare(counts).pvalue > 1e-3


def test_half_of_the_strong_views_are_mirrored(monkeypatch):
    seen = []
    monkeypatch.setattr(
        image_ops, "flip", lambda images, is_flipped: seen.append(is_flipped.numpy()) or images
    )
    strong_view(np.zeros([4000, 4, 4, 3], np.float32), [1, 2])
    _assert_share(seen[0], 0.5)


@needs_addons
def test_half_of_the_views_are_blurred_and_the_others_untouched():
    images = random_images(200, size=20)
    sharp, got = strong_view(images, [4, 4]), _blurred_view(images, [4, 4])
    _assert_share(np.any(sharp != got, axis=(1, 2, 3)), 0.5)


def test_blur_sigmas_span_the_interval_evenly():
    sigmas = np.array(views.BLUR_SIGMAS)
    np.testing.assert_allclose(np.diff(sigmas), 1.9 / 8)
    np.testing.assert_allclose(sigmas.mean(), 1.05)


@pytest.mark.parametrize("view", [weak_view, strong_view])
def test_wrong_shapes_dtypes_and_seeds_are_named(view):
    with pytest.raises(ValueError, match=r"`images` must have shape \[B, H, W, 3\].*\(8, 8, 3\)"):
        view(tf.zeros([8, 8, 3]), [0, 0])
    with pytest.raises(ValueError, match=r"`images` must have shape.*\(2, 8, 8, 1\)"):
        view(tf.zeros([2, 8, 8, 1]), [0, 0])
    with pytest.raises(ValueError, match=r"`images` must be float in \[0, 1\].*uint8"):
        view(tf.zeros([2, 8, 8, 3], tf.uint8), [0, 0])
    with pytest.raises(ValueError, match=r"`seed` must have shape.*\(3, 2\) for 2 images"):
        view(tf.zeros([2, 8, 8, 3]), tf.zeros([3, 2], tf.int32))
    with pytest.raises(ValueError, match=r"`seed` must have shape \[2\] or \[B, 2\].*\(2, 3\)"):
        view(tf.zeros([2, 8, 8, 3]), tf.zeros([2, 3], tf.int32))
