import functools
import hashlib
import importlib.resources
import json

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ascl_tf.data import is_available, load_dataset
from tests.common import SHARED

FOLDER = importlib.resources.files("ascl_tf.data") / "bundled" / "cifar10_mini" / "1.0.0"


@functools.cache
def _bundled(split):
    return load_dataset("bundled", split)


@pytest.mark.parametrize(("split", "per_class"), [("train", 400), ("test", 100)])
def test_classes_are_balanced(split, per_class):
    dataset = _bundled(split)
    assert dataset.images.shape == (10 * per_class, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(dataset.labels), [per_class] * 10)
    assert dataset.class_names[:3] == ("airplane", "automobile", "bird")


def test_both_names_give_the_same_set_without_any_data_dir(tmp_path):
    one = load_dataset("bundled", "test", data_dir=tmp_path)
    other = load_dataset("cifar10_mini", "test")
    assert one.sha256 == other.sha256
    assert one.name == other.name == "bundled"
    assert is_available("bundled") and is_available("cifar10_mini", tmp_path)


def test_no_image_occurs_twice():
    images = np.concatenate([_bundled(split).images for split in ("train", "test")])
    assert len({image.tobytes() for image in images}) == 5_000


def test_tensorflow_datasets_reads_the_folder_with_ids():
    data = tfds.builder_from_directory(str(FOLDER)).as_dataset(split="test[:3]")
    ids = [example["id"].decode() for example in tfds.as_numpy(data)]
    assert ids == sorted(ids)
    assert all(name.startswith("test_") and len(name) == 10 for name in ids)


def test_origin_and_citation_lie_beside_the_images():
    notice = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "cs.toronto.edu/~kriz/cifar.html" in notice
    assert "Learning Multiple Layers of Features from Tiny Images" in notice


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared with CIFAR-10")
@pytest.mark.slow
@pytest.mark.parametrize(("split", "per_class"), [("train", 400), ("test", 100)])
def test_images_are_the_ones_of_the_stated_rule(split, per_class):
    listed = json.loads((SHARED / "data" / "lossy_ids.json").read_text(encoding="utf-8"))
    whole = load_dataset("cifar10", split, data_dir=SHARED / "data" / "tfds")
    # Loading sorts by id, so an image's id is its place.
    ids = np.array([f"{split}_{i:05d}" for i in range(len(whole))])
    usable = ~np.isin(ids, listed[split])
    chosen = []
    for label in range(10):
        members = np.flatnonzero(usable & (whole.labels == label))
        members = sorted(members, key=lambda i: hashlib.sha256(f"0:{ids[i]}".encode()).digest())
        chosen += members[:per_class]
    assert whole.take(sorted(chosen)).sha256 == load_dataset("bundled", split).sha256
