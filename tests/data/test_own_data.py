"""Arrays and `tf.data` of a caller become data sets, or are refused in one line."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data import ImageDataset, with_unlabeled
from ascl_tf.data.mapped_images import MappedImages

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "data.md"
IMAGES = np.random.default_rng(0).integers(0, 256, [6, 4, 5, 3], np.uint8)
LABELS = np.array([0, 2, 1, -1, 2, 0])
from_arrays, from_tf_dataset = ImageDataset.from_arrays, ImageDataset.from_tf_dataset


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_labels_of_any_integer_type_are_the_same_set(dtype):
    dataset = from_arrays(IMAGES, LABELS.astype(dtype))
    assert dataset.labels.dtype == np.int32 and dataset.labels.tolist() == LABELS.tolist()
    assert (dataset.name, dataset.num_classes, dataset.num_labeled) == ("arrays", 3, 5)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.sha256 == ImageDataset("x", IMAGES, np.int32(LABELS), 3, ("a",) * 3).sha256


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_gray_level_survives_as_a_float(dtype):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    found = from_arrays((levels / 255).astype(dtype)).images
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, levels)


def test_floats_between_two_levels_go_to_the_nearest(monkeypatch):
    monkeypatch.setattr("ascl_tf.data.mapped_images.CHUNK_BYTES", 70)
    images = np.random.default_rng(1).random([5, 3, 4, 3])
    found = from_arrays(images).images
    assert np.abs(found / 255 - images).max() <= 1 / 510


def test_without_labels_all_are_unlabeled():
    dataset = from_arrays(IMAGES, name="mine")
    assert dataset.labels.tolist() == [-1] * 6
    assert (dataset.name, dataset.num_classes, dataset.class_names) == ("mine", 0, ())


def test_names_and_number_of_classes_follow_from_each_other():
    assert from_arrays(IMAGES, LABELS, class_names=list("abcd")).num_classes == 4
    assert from_arrays(IMAGES, LABELS, num_classes=5).class_names == tuple("01234")


def test_file_stays_a_file(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    dataset = from_arrays(np.load(tmp_path / "images.npy", mmap_mode="r"), LABELS)
    assert isinstance(dataset.images, MappedImages)
    assert isinstance(dataset.take([1, 2]).images, MappedImages)
    assert dataset.sha256 == from_arrays(IMAGES, LABELS).sha256


def test_second_set_brings_unlabeled_images():
    joined = with_unlabeled(from_arrays(IMAGES, LABELS), from_arrays(IMAGES[:2], [0, 0]))
    assert joined.labels.tolist() == [*LABELS, -1, -1]
    np.testing.assert_array_equal(joined.images[6:], IMAGES[:2])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"`images` must be uint8 or.*\[N, H, W, 3\]; received shape \(4, 5, 3\)"),
        (IMAGES[..., :1], r"received shape \(6, 4, 5, 1\)"),
        (IMAGES[:0], r"received shape \(0, 4, 5, 3\)"),
        (IMAGES.astype(int), "received dtype int64"),
        (IMAGES > 9, "received dtype bool"),
        (IMAGES.astype(np.float32), r"\[0, 1\].*; received float32 from 0 to 255"),
        (IMAGES / -255, "received float64 from -1 to -0"),
        (np.full([1, 2, 2, 3], np.nan), "received float64 from nan to nan"),
        ([[1], [1, 2]], "`images` must be an array: "),
        ("images", r"received shape \(\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(images)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": LABELS[:5]}, r"`labels` must be integers with shape \(6,\).*\(5,\)"),
        ({"labels": LABELS[:, None]}, r"shape \(6,\), one per image; .*\(6, 1\)"),
        ({"labels": LABELS / 2}, "`labels` must be integers.*received float64"),
        ({"labels": LABELS > 0}, "`labels` must be integers.*received bool"),
        ({"labels": LABELS - 1}, r"-1 for unlabeled; received -2\.\.1"),
        ({"labels": LABELS + 2**31}, r"`labels` must be class ids.*\.\.2147483650"),
        ({"labels": LABELS, "num_classes": 2}, r"`labels` must lie in -1\.\.1; received -1\.\.2"),
        ({"labels": LABELS, "num_classes": 2.5}, "`num_classes` must be an integer >= 0.*2.5"),
        ({"num_classes": -1}, "`num_classes` must be an integer >= 0; received -1"),
        ({"labels": LABELS, "class_names": "abc"}, "`class_names` must be a tuple of names"),
        (
            {"labels": LABELS, "class_names": ["a", "b", "c"], "num_classes": 4},
            "`class_names` must hold 4 names, one per class; received 3",
        ),
    ],
)
def test_labels_and_classes_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(IMAGES, **settings)


PAIRS = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))


@pytest.mark.parametrize(
    "dataset",
    [
        PAIRS,
        PAIRS.batch(4),
        PAIRS.map(lambda image, label: {"id": "x", "image": image, "label": label}),
        PAIRS.map(lambda image, label: (tf.cast(image, tf.float32) / 255, label)).batch(5),
        PAIRS.filter(lambda image, label: True),
    ],
    ids=["pairs", "batches", "dictionaries", "floats", "unknown length"],
)
def test_elements_of_every_form_are_the_same_set(dataset):
    found = from_tf_dataset(dataset, name="mine", class_names=["a", "b", "c"])
    expected = from_arrays(IMAGES, LABELS, name="mine", class_names=["a", "b", "c"])
    assert found.sha256 == expected.sha256
    assert (found.name, found.class_names) == (expected.name, expected.class_names)


@pytest.mark.parametrize(
    "dataset",
    [PAIRS.map(lambda image, _: image), PAIRS.map(lambda image, _: {"image": image}).batch(6)],
    ids=["images", "dictionaries"],
)
def test_elements_without_label_are_unlabeled(dataset):
    assert from_tf_dataset(dataset).sha256 == from_arrays(IMAGES).sha256


def _of_sizes(*sizes, is_batched=False):
    spec = tf.TensorSpec([None] * (3 + is_batched), tf.uint8)
    images = (np.zeros([1] * is_batched + [size, size, 3], np.uint8) for size in sizes)
    return tf.data.Dataset.from_generator(lambda: iter(list(images)), output_signature=spec)


def _failing_batch():
    def images():
        raise ZeroDivisionError("no batch")
        yield

    return tf.data.Dataset.from_generator(images, output_signature=tf.TensorSpec([4, 4, 3]))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([IMAGES], "`dataset` must be a tf.data.Dataset; received list"),
        (PAIRS.repeat(), "`dataset` must have an end"),
        (PAIRS.take(0), "`dataset` must hold images of one size; received no image"),
        (PAIRS.map(lambda image, label: (image, label, 1.0)), "received 3 parts"),
        (PAIRS.map(lambda image, label: {"img": image}), r"received the keys \['img'\]"),
        (PAIRS.map(lambda image, label: (image[0], label)), r"dense images \[H, W, 3\]"),
        (PAIRS.map(lambda image, label: (image, tf.one_hot(label, 3))), "must be integers"),
        (PAIRS.map(lambda image, label: (image[..., :1], label)), r"shape \(6, 4, 5, 1\)"),
        (_of_sizes(4, 5), "`dataset` must hold images of one size; received: Cannot batch"),
        (_failing_batch(), "`dataset` must be readable; received: ZeroDivisionError: no batch"),
        (PAIRS.map(lambda *_: tf.io.decode_png("no picture")), "readable; received: Unknown image"),
        (_of_sizes(4, 5, is_batched=True), r"of one size; received \[\(4, 4\), \(5, 5\)\]"),
    ],
)
def test_tf_dataset_that_does_not_fit_is_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        from_tf_dataset(dataset)


def test_example_of_the_document_runs():
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    assert names["same"].sha256 == names["dataset"].sha256
    assert (len(names["both"]), names["both"].num_labeled) == (69, 60)
    assert names["batches"].element_spec["images"].shape == (32, 32, 32, 3)
