import logging

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from ascl_tf.data import is_available, load_dataset, reading
from ascl_tf.data.tfds_layout import complete_or_absent, encode_png, write_tfds_dataset
from ascl_tf.errors import ConfigError, RunError
from tests.common import SHARED


def _images(num_images=5, size=6, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, [num_images, size, size, channels], np.uint8)


NO_OR_YES = tfds.features.ClassLabel(names=["no", "yes"])


def _prepare(
    data_dir,
    images,
    *,
    name="toy",
    shape=None,
    split="train",
    label=NO_OR_YES,
    ids=None,
    order=None,
):
    """Writes a TFDS set of one split under `data_dir`; image i has label i % 2."""
    features = {"image": tfds.features.Image(shape=shape or images[0].shape)}
    examples = [{"image": encode_png(image)} for image in images]
    if label:
        features["label"] = label
        for i, example in enumerate(examples):
            example["label"] = i % 2
    if ids is not None:
        features["id"] = tfds.features.Text()
        for i, example in zip(ids, examples, strict=True):
            example["id"] = f"{split}_{i:05d}"
    directory = data_dir / name / "1.0.0"
    directory.mkdir(parents=True)
    write_tfds_dataset(
        directory,
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        splits={split: examples if order is None else [examples[i] for i in order]},
    )
    return directory


def test_reads_a_prepared_set_in_the_order_of_its_files(tmp_path):
    images = _images(600)
    _prepare(tmp_path, images)
    dataset = load_dataset("toy", "train", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.labels, np.arange(600) % 2)
    assert (dataset.name, dataset.class_names) == ("toy", ("no", "yes"))


@pytest.mark.parametrize(("name", "expected"), [("cifar10", "cat"), ("toy", "3")])
def test_classes_without_names_are_numbered_but_those_of_cifar_10(tmp_path, name, expected):
    _prepare(tmp_path, _images(2), name=name, label=tfds.features.ClassLabel(num_classes=10))
    dataset = load_dataset(name, "train", data_dir=tmp_path)
    assert dataset.class_names[3] == expected and len(dataset.class_names) == 10


def test_examples_with_an_id_are_sorted_by_it(tmp_path):
    images = _images(300)
    order = np.random.default_rng(1).permutation(300)
    _prepare(tmp_path / "a", images, ids=range(300))
    _prepare(tmp_path / "b", images, ids=range(300), order=order)
    straight, shuffled = (
        load_dataset("toy", "train", data_dir=tmp_path / place) for place in ("a", "b")
    )
    np.testing.assert_array_equal(straight.images, images)
    assert shuffled.sha256 == straight.sha256


def test_slice_of_a_split_is_read(tmp_path):
    images = _images(10)
    _prepare(tmp_path, images)
    dataset = load_dataset("toy", "train[2:5]", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.images, images[2:5])


def test_download_is_not_attempted_where_data_dir_holds_the_set(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("network touched")

    monkeypatch.setattr(tfds, "builder", refuse)
    _prepare(tmp_path, _images())
    assert len(load_dataset("toy", "train", data_dir=tmp_path, download=True)) == 5


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("host unreachable\nand much more")

    monkeypatch.setattr(tfds, "builder", fail)
    with pytest.raises(RunError, match="`download` into.*ConnectionError: host unreachable$"):
        load_dataset("cifar10", "train", data_dir=tmp_path, download=True)


def test_download_into_data_dir_is_read(tmp_path, monkeypatch):
    def build(name, data_dir):
        directory = _prepare(tmp_path, _images(), name=name)
        builder = tfds.builder_from_directory(directory)
        monkeypatch.setattr(builder, "download_and_prepare", lambda: None)
        return builder

    monkeypatch.setattr(tfds, "builder", build)
    assert len(load_dataset("cifar10", "train", data_dir=tmp_path, download=True)) == 5


def test_absent_set_names_the_flags_that_help(tmp_path):
    message = rf"`name=cifar10`: .*`data_dir={tmp_path}`; found none; .*`download`"
    with pytest.raises(RunError, match=message):
        load_dataset("cifar10", "train", data_dir=tmp_path)


def test_folder_without_its_prefix_is_told_how_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="`name=pets`: expected folder:pets for a folder"):
        load_dataset("pets", "train")


def test_unknown_name_lists_near_ones(tmp_path):
    message = r"`name=cifar11`: expected a name.*near it: .*cifar10"
    with pytest.raises(ConfigError, match=message):
        load_dataset("cifar11", "train", data_dir=tmp_path, download=True)


def test_availability_is_that_of_the_files(tmp_path):
    assert not is_available("toy", tmp_path)
    _prepare(tmp_path, _images())
    assert is_available("toy", tmp_path)
    assert not is_available("cifar10", tmp_path)


def test_missing_split_names_those_there(tmp_path):
    _prepare(tmp_path, _images())
    message = r"`name=toy`: expected one of the splits \['train'\]; found 'test'"
    with pytest.raises(RunError, match=message):
        load_dataset("toy", "test", data_dir=tmp_path)


def test_malformed_slice_is_one_line(tmp_path):
    _prepare(tmp_path, _images())
    with pytest.raises(RunError, match=r"'train\[oops\]' is no slice of a split"):
        load_dataset("toy", "train[oops]", data_dir=tmp_path)


def test_empty_slice_is_refused(tmp_path):
    _prepare(tmp_path, _images())
    with pytest.raises(RunError, match=r"split 'train\[:0\]' holds no image"):
        load_dataset("toy", "train[:0]", data_dir=tmp_path)


def test_unlabeled_split_has_label_minus_one_and_keeps_the_classes(tmp_path):
    _prepare(tmp_path, _images(), split="unlabelled")
    dataset = load_dataset("toy", "unlabelled", data_dir=tmp_path)
    assert dataset.labels.tolist() == [-1] * 5
    assert dataset.num_classes == 2


def test_set_without_labels_is_unlabeled_and_has_no_classes(tmp_path):
    _prepare(tmp_path, _images(), label=False)
    dataset = load_dataset("toy", "train", data_dir=tmp_path)
    assert dataset.labels.tolist() == [-1] * 5
    assert (dataset.num_classes, dataset.class_names) == (0, ())


def test_gray_images_are_refused_with_their_channel_count(tmp_path):
    _prepare(tmp_path, _images(channels=1))
    with pytest.raises(RunError, match="expected images with 3 channels; found 1"):
        load_dataset("toy", "train", data_dir=tmp_path)


def test_set_without_images_is_refused(tmp_path):
    directory = tmp_path / "toy" / "1.0.0"
    directory.mkdir(parents=True)
    write_tfds_dataset(
        directory,
        name="toy",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        splits={"train": [{"text": "a"}]},
    )
    with pytest.raises(RunError, match=r"expected a data set with an image feature.*\['text'\]"):
        load_dataset("toy", "train", data_dir=tmp_path)


def _triangle_resize(image, size):
    """Antialiased bilinear resize by its definition: a triangle filter as wide as a new pixel."""
    old = len(image)
    scale = old / size
    weights = np.zeros([size, old])
    for i in range(size):
        center = (i + 0.5) * scale
        for j in range(old):
            weights[i, j] = max(0.0, 1.0 - abs(j + 0.5 - center) / max(scale, 1.0))
        weights[i] /= weights[i].sum()
    return np.einsum("ij,jkc,lk->ilc", weights, image.astype(np.float64), weights)


@pytest.mark.parametrize("shape", [(12, 12, 3), (None, None, 3)])
@pytest.mark.parametrize("image_size", [4, 5, 20])
def test_resize_is_antialiased_and_rounded(tmp_path, shape, image_size):
    images = _images(size=12)
    _prepare(tmp_path, images, shape=shape)
    got = load_dataset("toy", "train", data_dir=tmp_path, image_size=image_size).images
    want = np.stack([_triangle_resize(image, image_size) for image in images])
    # Half a level by rounding, and float32 beside float64.
    assert np.max(np.abs(got - want)) < 0.501


def test_images_of_several_sizes_are_resized_on_request(tmp_path):
    images = [np.full([size, size, 3], 7, np.uint8) for size in (4, 9)]
    _prepare(tmp_path, images, shape=(None, None, 3))
    dataset = load_dataset("toy", "train", data_dir=tmp_path, image_size=6)
    np.testing.assert_array_equal(dataset.images, np.full([2, 6, 6, 3], 7))


@pytest.mark.parametrize("num_equal", [3, 256])
def test_images_of_several_sizes_are_refused_without_image_size(tmp_path, num_equal):
    images = [*_images(num_equal, size=4), *_images(3, size=5)]
    _prepare(tmp_path, images, shape=(None, None, 3))
    with pytest.raises(RunError, match="expected images of one size; found several; pass `image"):
        load_dataset("toy", "train", data_dir=tmp_path)


def test_damaged_file_is_one_line(tmp_path):
    directory = _prepare(tmp_path, _images())
    path = directory / "toy-train.tfrecord-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="`name=toy`: split 'train' cannot be read: .+"):
        load_dataset("toy", "train", data_dir=tmp_path)


def test_file_with_missing_records_is_refused(tmp_path):
    directory = _prepare(tmp_path, _images())
    path = directory / "toy-train.tfrecord-00000-of-00001"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path)).take(3)]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    with pytest.raises(RunError, match="holds fewer images than its metadata says"):
        load_dataset("toy", "train", data_dir=tmp_path)


def test_damaged_metadata_is_one_line(tmp_path):
    directory = _prepare(tmp_path, _images())
    (directory / "dataset_info.json").write_text("{")
    with pytest.raises(RunError, match="`name=toy`: expected a readable TFDS folder in `data"):
        load_dataset("toy", "train", data_dir=tmp_path)


def test_reading_is_quiet(tmp_path, caplog, capfd):
    _prepare(tmp_path, _images())
    capfd.readouterr()
    with caplog.at_level(logging.INFO):
        load_dataset("toy", "train", data_dir=tmp_path)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("image_size", [0, -3])
def test_image_size_below_one_is_refused(image_size):
    with pytest.raises(ValueError, match=rf"`image_size` must be.*received {image_size}"):
        load_dataset("bundled", "train", image_size=image_size)


def test_output_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), complete_or_absent(tmp_path / "a" / "b") as directory:
        (directory / "half").write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_output_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "kept").write_text("x")
    with pytest.raises(RunError, match="expected a folder that does not exist yet"):
        with complete_or_absent(tmp_path):
            pytest.fail("entered")
    assert (tmp_path / "kept").read_text() == "x"


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared with CIFAR-10")
@pytest.mark.slow
def test_whole_cifar_10_test_set_is_read():
    dataset = load_dataset("cifar10", "test", data_dir=SHARED / "data" / "tfds")
    assert dataset.images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(dataset.labels), [1000] * 10)
    # The first labels of the official test_batch.bin.
    assert dataset.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]


@pytest.mark.parametrize(("name", "split"), [(None, "train"), (3, "train"), ("bundled", None)])
def test_names_that_are_no_text_are_refused(name, split):
    with pytest.raises(ValueError, match="` must be text; received (NoneType|int)"):
        load_dataset(name, split)


def test_labels_that_are_no_class_are_refused_and_never_wrapped(monkeypatch):
    columns = np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 2**32 + 1]), ["a", "b"]
    batches = tf.data.Dataset.from_tensors(columns)
    monkeypatch.setattr(reading.TfdsReader, "_batched", lambda *_: batches)
    with pytest.raises(RunError, match="expected labels from 0 to 9 in split 'test.*4294967297"):
        load_dataset("bundled", "test[:2]")
