"""Whatever data are made of: images and labels, or an error that names an argument."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ascl_tf.data import corrupt, strong_view, weak_view
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.splits import class_balanced_subset, mask_labels, validation_split
from ascl_tf.errors import RunError
from ascl_tf.evaluation.checks import count_seen
from ascl_tf.evaluation.evaluation_data import as_evaluation_data
from tests.properties.values import CHECK, DTYPES

_SHAPE = st.lists(st.sampled_from([1, 2, 3, 8]), max_size=5) | st.sampled_from(
    [[2, 8, 8, 3], [1, 9, 9, 3], [2, 8, 9, 3]]
)
_DTYPE = st.sampled_from([np.uint8, np.int32, np.float32, np.float64])
_SEED = st.sampled_from([[1, 2], [1], [[1, 2]], [[1, 2], [3, 4]], 3, [1.0, 2.0]])
_NUMBER = st.sampled_from([0.2, 1.0, 0.0, -1.0, 2.0, float("nan"), float("inf")])


def _images(shape, dtype):
    return (np.random.default_rng(0).uniform(size=shape) * 255).astype(np.uint8).astype(dtype)


@settings(CHECK, max_examples=50)
@given(shape=_SHAPE, dtype=_DTYPE, seed=_SEED, min_area=_NUMBER, strength=_NUMBER)
def test_views_are_in_the_box_or_name_what_is_wrong(shape, dtype, seed, min_area, strength):
    images = _images(shape, dtype) / np.array(255, dtype if dtype == np.float64 else np.float32)
    images = images.astype(dtype)
    for view in (
        lambda: weak_view(images, seed),
        lambda: strong_view(images, seed, min_area=min_area, strength=strength),
    ):
        try:
            seen = np.asarray(view())
        except ValueError as error:
            names = ("images", "seed", "min_area", "strength")
            assert str(error).split("`")[1] in names, error
        else:
            assert seen.shape == images.shape and 0 <= seen.min() <= seen.max() <= 1


@settings(CHECK, max_examples=50)
@given(
    shape=_SHAPE,
    dtype=_DTYPE,
    corruption=st.sampled_from(["contrast", "gaussian_noise", "jpeg_compression", "contrsat", ""]),
    severity=st.integers(-1, 7) | st.sampled_from([1.0, 2.5, None, True]),
    seed=st.integers(-1, 3) | st.sampled_from([2**64, 2**64 - 1, 1.5]),
)
def test_corruptions_are_bytes_or_name_what_is_wrong(shape, dtype, corruption, severity, seed):
    images = _images(shape, dtype)
    try:
        corrupted = corrupt(images, corruption, severity, seed)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "corruption", "severity", "seed"), error
    else:
        assert corrupted.shape == images.shape and corrupted.dtype == np.uint8


@CHECK
@given(
    shape=st.lists(st.integers(0, 3), max_size=5),
    dtype=DTYPES,
    value=st.sampled_from([0, 1, 0.5, -1, 2, 255, math.nan, math.inf]),
    label_shape=st.lists(st.integers(0, 3), max_size=2),
    label_dtype=DTYPES,
    label=st.sampled_from([0, 1, -1]),
    num_images=st.none() | st.integers(-1, 4),
)
def test_evaluation_takes_arrays_or_names_what_is_wrong(
    shape, dtype, value, label_shape, label_dtype, label, num_images
):
    with np.errstate(all="ignore"):
        images = np.full(shape, value).astype(dtype)
        labels = np.full(label_shape, label).astype(label_dtype)
    try:
        data = as_evaluation_data((images, labels), num_images=num_images)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "labels", "num_images")
    else:
        floats, chosen = data.rows(slice(None))
        assert floats.dtype == np.float32 and 0 <= floats.min() <= floats.max() <= 1
        assert len(floats) == len(chosen) > 0 and chosen.dtype == np.int32 and chosen.min() >= 0


@CHECK
@given(
    dtype=DTYPES,
    shape=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    labels=st.lists(st.integers(-3, 3), max_size=3),
    num_classes=st.integers(0, 3),
)
def test_data_set_is_whole_or_refused_by_name(dtype, shape, labels, num_classes):
    images, ids = np.zeros(shape, dtype), np.array(labels, np.int32)
    names = tuple("abc"[:num_classes])
    try:
        dataset = ImageDataset("d", images, ids, num_classes, names)
    except ValueError as error:
        assert str(error).split("`")[1] in ("images", "labels", "class_names")
    else:
        assert len(dataset) == len(labels) and len(dataset.sha256) == 64
        assert count_seen(dataset.images, dataset.images) == len(dataset)


_DATA = ImageDataset(
    "d", np.zeros((12, 2, 2, 3), np.uint8), np.arange(12, dtype=np.int32) % 3, 3, ("a", "b", "c")
)


@CHECK
@given(share=st.floats(), count=st.integers(-2, 20), seed=st.integers(0, 9))
def test_cuts_keep_every_class_or_say_that_they_cannot(share, count, seed):
    for cut in (
        lambda: validation_split(_DATA, share, seed)[0],
        lambda: mask_labels(_DATA, share, seed),
        lambda: class_balanced_subset(_DATA, count, seed),
    ):
        try:
            taken = cut()
        except (ValueError, RunError) as error:
            assert "\n" not in str(error)
        else:
            assert 0 < len(taken) <= len(_DATA)
