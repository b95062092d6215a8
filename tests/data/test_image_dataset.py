import dataclasses
import hashlib

import numpy as np
import pytest

from ascl_tf.data import ImageDataset


def _dataset(num_images=4):
    images = np.arange(num_images * 2 * 2 * 3, dtype=np.uint8).reshape(num_images, 2, 2, 3)
    labels = np.arange(num_images, dtype=np.int32) % 2
    return ImageDataset("toy", images, labels, 2, ("a", "b"))


def test_hash_is_that_of_shape_images_and_little_endian_labels():
    dataset = _dataset()
    data = b"(4, 2, 2, 3)" + bytes(range(48)) + bytes([0, 0, 0, 0, 1, 0, 0, 0] * 2)
    assert dataset.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("field", ["images", "labels"])
def test_hash_changes_with_any_image_or_label(field):
    dataset = _dataset()
    changed = getattr(dataset, field).copy()
    changed.flat[1] ^= 1
    assert dataclasses.replace(dataset, **{field: changed}).sha256 != dataset.sha256


def test_hash_does_not_depend_on_the_memory_layout():
    dataset = _dataset()
    strided = np.asfortranarray(dataset.images)
    assert dataclasses.replace(dataset, images=strided).sha256 == dataset.sha256


def test_take_keeps_images_beside_their_labels_in_the_given_order():
    dataset = _dataset()
    taken = dataset.take([3, 0])
    np.testing.assert_array_equal(taken.images, dataset.images[[3, 0]])
    assert taken.labels.tolist() == [1, 0]
    assert (len(taken), taken.num_images, taken.image_shape) == (2, 2, (2, 2, 3))


def _with_pseudo_labels(dataset):
    rows = np.arange(len(dataset), dtype=np.int32)
    return dataclasses.replace(dataset, pseudo_labels=np.stack([rows, 10 + rows], axis=1))


def test_pseudo_labels_go_with_their_images_and_are_no_part_of_the_hash():
    dataset = _with_pseudo_labels(_dataset())
    assert dataset.take([3, 0]).pseudo_labels.tolist() == [[3, 13], [0, 10]]
    assert dataset.sha256 == _dataset().sha256
    assert list(dataset.columns) == ["images", "labels", "pseudo_labels"]
    assert list(_dataset().columns) == ["images", "labels"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros([4, 2, 2, 3], np.float32)}, r"`images` must be uint8.*float32"),
        ({"images": np.zeros([4, 2, 2, 1], np.uint8)}, r"`images` must.*\(4, 2, 2, 1\)"),
        ({"images": [[1]]}, r"`images` must be a NumPy array; received list"),
        ({"images": None}, r"`images` must be a NumPy array; received NoneType"),
        ({"labels": [0, 1, 0, 1]}, r"`labels` must be a NumPy array; received list"),
        ({"num_classes": 2.0}, r"`num_classes` must be an integer; received float"),
        ({"class_names": None}, r"`class_names` must be a tuple of names; received NoneType"),
        ({"class_names": "ab"}, r"`class_names` must be a tuple of names; received str"),
        ({"pseudo_labels": [[0]] * 4}, r"`pseudo_labels` must be a NumPy array; received list"),
        ({"features": [[0.0]] * 4}, r"`features` must be a NumPy array; received list"),
        ({"labels": np.zeros([4], np.int64)}, r"`labels` must be int32.*int64"),
        ({"labels": np.zeros([3], np.int32)}, r"`labels` must.*\(4,\).*\(3,\)"),
        ({"labels": np.full([4], 2, np.int32)}, r"`labels` must lie in -1..1; received 2..2"),
        ({"labels": np.full([4], -2, np.int32)}, r"`labels` must lie in -1..1; received -2..-2"),
        ({"class_names": ("a",)}, r"`class_names` must hold 2 names"),
        ({"pseudo_labels": np.zeros([4, 1], np.int64)}, r"`pseudo_labels` must be int32.*int64"),
        ({"pseudo_labels": np.zeros([4], np.int32)}, r"`pseudo_labels` must.*\[4, M\].*\(4,\)"),
        ({"pseudo_labels": np.zeros([3, 1], np.int32)}, r"`pseudo_labels` must.*\(3, 1\)"),
        ({"pseudo_labels": np.full([4, 1], -1, np.int32)}, r"`pseudo_labels` must be >= 0.*-1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(_dataset(), **change)
