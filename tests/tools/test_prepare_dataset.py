"""Archives in the official layouts, written small by the tests themselves."""

import gzip
import importlib.util
import io
import pathlib
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ascl_tf.data import archives, load_dataset
from ascl_tf.errors import RunError

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "prepare_dataset.py"
CIFAR10 = archives.cifar10_layout(images_per_file=3)
CIFAR100 = archives.cifar100_layout(num_train=4, num_test=2)
STL10 = archives.stl10_layout(num_train=3, num_test=2, num_unlabeled=4)
NAMES_10 = "".join(f"name{i}\n" for i in range(10)).encode()


def _images(num_images, size=32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, [num_images, size, size, 3], np.uint8)


def _cifar_record(image, *labels):
    """Label bytes, then all red bytes row by row, all green, all blue."""
    planes = [bytes(image[row, :, c]) for c in range(3) for row in range(32)]
    return bytes(labels) + b"".join(planes)


def _stl_record(image):
    """All red bytes column by column, all green, all blue."""
    return b"".join(bytes(image[:, column, c]) for c in range(3) for column in range(96))


def _cifar10_members():
    images = _images(18)
    records = [_cifar_record(image, i % 10) for i, image in enumerate(images)]
    files = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    members = {name: b"".join(records[3 * i : 3 * i + 3]) for i, name in enumerate(files)}
    # The official file ends with an empty line.
    return images, {**members, "batches.meta.txt": NAMES_10 + b"\n", "readme.html": b"<html>"}


def _cifar100_members():
    images = _images(6)
    records = [_cifar_record(image, i + 3, 90 + i) for i, image in enumerate(images)]
    return images, {
        "train.bin": b"".join(records[:4]),
        "test.bin": b"".join(records[4:]),
        "coarse_label_names.txt": "".join(f"coarse{i}\n" for i in range(20)).encode(),
        "fine_label_names.txt": "".join(f"fine{i}\n" for i in range(100)).encode(),
    }


def _stl10_members():
    images = _images(9, size=96)
    records = [_stl_record(image) for image in images]
    return images, {
        "class_names.txt": NAMES_10,
        "fold_indices.txt": b"0 1\n",
        "test_X.bin": b"".join(records[3:5]),
        "test_y.bin": bytes([10, 1]),
        "train_X.bin": b"".join(records[:3]),
        "train_y.bin": bytes([1, 2, 3]),
        "unlabeled_X.bin": b"".join(records[5:]),
    }


def _write(path, folder, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def _archive(tmp_path, layout, members):
    return _write(tmp_path / "archive.tar.gz", layout.folder, members)


def test_cifar10_is_read_back_as_tensorflow_datasets_names_it(tmp_path):
    images, members = _cifar10_members()
    data_dir = tmp_path / "data"
    counts = archives.convert_archive(_archive(tmp_path, CIFAR10, members), data_dir, CIFAR10)
    assert counts == {"train": 15, "test": 3}
    data, info = tfds.load("cifar10", data_dir=data_dir, download=False, with_info=True)
    assert info.splits["train"].num_examples == 15
    examples = list(tfds.as_numpy(data["train"]))
    np.testing.assert_array_equal([e["image"] for e in examples], images[:15])
    assert [int(e["label"]) for e in examples] == [i % 10 for i in range(15)]
    assert [e["id"].decode() for e in examples] == [f"train_{i:05d}" for i in range(15)]
    assert info.features["label"].names == [f"name{i}" for i in range(10)]


def test_cifar100_keeps_both_labels(tmp_path):
    images, members = _cifar100_members()
    data_dir = tmp_path / "data"
    archives.convert_archive(_archive(tmp_path, CIFAR100, members), data_dir, CIFAR100)
    examples = list(tfds.as_numpy(tfds.load("cifar100", data_dir=data_dir, download=False))["test"])
    np.testing.assert_array_equal([e["image"] for e in examples], images[4:])
    assert [int(e["label"]) for e in examples] == [94, 95]
    assert [int(e["coarse_label"]) for e in examples] == [7, 8]
    dataset = load_dataset("cifar100", "train", data_dir=data_dir)
    assert dataset.labels.tolist() == [90, 91, 92, 93]
    assert dataset.class_names[90] == "fine90"


def test_stl10_images_are_transposed_and_labels_start_at_zero(tmp_path):
    images, members = _stl10_members()
    data_dir = tmp_path / "data"
    archives.convert_archive(_archive(tmp_path, STL10, members), data_dir, STL10)
    train = load_dataset("stl10", "train", data_dir=data_dir)
    np.testing.assert_array_equal(train.images, images[:3])
    assert train.labels.tolist() == [0, 1, 2]
    assert load_dataset("stl10", "test", data_dir=data_dir).labels.tolist() == [9, 0]


def test_stl10_unlabeled_images_have_label_minus_one(tmp_path):
    images, members = _stl10_members()
    data_dir = tmp_path / "data"
    archives.convert_archive(_archive(tmp_path, STL10, members), data_dir, STL10)
    unlabelled = load_dataset("stl10", "unlabelled", data_dir=data_dir)
    np.testing.assert_array_equal(unlabelled.images, images[5:])
    assert unlabelled.labels.tolist() == [-1] * 4
    small = load_dataset("stl10", "unlabelled", data_dir=data_dir, image_size=32)
    assert small.images.shape == (4, 32, 32, 3)


@pytest.mark.parametrize("layout", [CIFAR10, CIFAR100, STL10], ids=lambda layout: layout.name)
def test_features_are_those_of_tensorflow_datasets(tmp_path, layout):
    members = {"cifar10": _cifar10_members, "cifar100": _cifar100_members, "stl10": _stl10_members}
    archive = _archive(tmp_path, layout, members[layout.name]()[1])
    archives.convert_archive(archive, tmp_path / "data", layout)
    own = tfds.builder_from_directory(tmp_path / "data" / layout.name / layout.version).info
    official = tfds.builder(layout.name, data_dir=tmp_path / "empty").info
    assert str(own.version) == str(official.version)
    assert own.supervised_keys == official.supervised_keys
    assert {k: (f.shape, f.dtype) for k, f in own.features.items()} == {
        k: (f.shape, f.dtype) for k, f in official.features.items()
    }


def test_official_sizes_are_those_of_the_distributed_files():
    sizes = archives.cifar10_layout().member_sizes()
    assert sizes["data_batch_1.bin"] == sizes["test_batch.bin"] == 30_730_000
    sizes = archives.cifar100_layout().member_sizes()
    assert (sizes["train.bin"], sizes["test.bin"]) == (153_700_000, 30_740_000)
    sizes = archives.stl10_layout().member_sizes()
    assert sizes["unlabeled_X.bin"] == 2_764_800_000
    assert (sizes["train_X.bin"], sizes["test_y.bin"]) == (138_240_000, 8_000)


def _refused(tmp_path, archive, message, layout=CIFAR10):
    data_dir = tmp_path / "data"
    with pytest.raises(RunError, match=message) as caught:
        archives.convert_archive(archive, data_dir, layout)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] in ([], ["archive.tar.gz"])


def test_member_of_another_size_is_named(tmp_path):
    members = _cifar10_members()[1]
    members["data_batch_2.bin"] = members["data_batch_2.bin"][:-1]
    archive = _archive(tmp_path, CIFAR10, members)
    message = r"expected 9219 bytes in cifar-10-batches-bin/data_batch_2.bin, found 9218"
    _refused(tmp_path, archive, message)


def test_missing_member_is_named(tmp_path):
    members = _cifar10_members()[1]
    del members["test_batch.bin"]
    archive = _archive(tmp_path, CIFAR10, members)
    _refused(tmp_path, archive, "with a file cifar-10-batches-bin/test_batch.bin, found none")


def test_archive_of_another_set_is_refused(tmp_path):
    archive = _archive(tmp_path, CIFAR100, _cifar100_members()[1])
    _refused(tmp_path, archive, "expected the cifar10 archive with a file cifar-10-batches-bin/")


def test_label_out_of_range_is_refused(tmp_path):
    members = _cifar10_members()[1]
    members["test_batch.bin"] = b"\x0a" + members["test_batch.bin"][1:]
    archive = _archive(tmp_path, CIFAR10, members)
    _refused(tmp_path, archive, r"expected labels 0..9 for .*test_batch.bin, found 10")


@pytest.mark.parametrize("label", [0, 11])
def test_stl10_label_out_of_range_is_refused(tmp_path, label):
    members = _stl10_members()[1]
    members["test_y.bin"] = bytes([1, label])
    archive = _archive(tmp_path, STL10, members)
    message = rf"expected labels 1..10 for .*test_X.bin, found {label}"
    _refused(tmp_path, archive, message, STL10)


def test_wrong_number_of_class_names_is_refused(tmp_path):
    members = _cifar10_members()[1]
    members["batches.meta.txt"] = b"cat\ndog\n"
    archive = _archive(tmp_path, CIFAR10, members)
    _refused(tmp_path, archive, "expected 10 class names in .*batches.meta.txt, found 2")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_archive_is_refused(tmp_path, kept):
    archive = _archive(tmp_path, CIFAR10, _cifar10_members()[1])
    data = archive.read_bytes()
    archive.write_bytes(data[: int(kept * len(data))])
    _refused(tmp_path, archive, "expected a complete .tar.gz archive, found a truncated or damaged")


def test_changed_byte_is_refused(tmp_path):
    archive = _archive(tmp_path, CIFAR10, _cifar10_members()[1])
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    _refused(tmp_path, archive, "expected a complete .tar.gz archive, found a truncated or damaged")


@pytest.mark.parametrize(
    "data",
    [b"", b"not an archive", gzip.compress(b"not a tar", mtime=0)],
    ids=["empty", "text", "gzip"],
)
def test_other_file_is_refused(tmp_path, data):
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(data)
    _refused(tmp_path, archive, "expected a complete .tar.gz archive")


def test_missing_archive_is_refused(tmp_path):
    _refused(tmp_path, tmp_path / "none.tar.gz", "expected a readable file, found: No such file")


def test_prepared_set_is_not_overwritten(tmp_path):
    archive = _archive(tmp_path, CIFAR10, _cifar10_members()[1])
    archives.convert_archive(archive, tmp_path / "data", CIFAR10)
    files = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()}
    with pytest.raises(RunError, match="cifar10/3.0.2: expected a folder that does not exist yet"):
        archives.convert_archive(archive, tmp_path / "data", CIFAR10)
    assert {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()} == files


def test_nothing_is_extracted_by_its_path(tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outside = dict.fromkeys(("../../escaped", "../escaped", "/escaped"), b"x")
    archive = _archive(inner, CIFAR10, _cifar10_members()[1] | outside)
    archives.convert_archive(archive, inner / "data", CIFAR10)
    assert {path.name for path in inner.iterdir()} == {archive.name, "data"}
    assert not list(tmp_path.rglob("*escaped*"))


def _tool():
    spec = importlib.util.spec_from_file_location("prepare_dataset", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_program_writes_the_set_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(archives.LAYOUTS, "cifar10", lambda: CIFAR10)
    archive = _archive(tmp_path, CIFAR10, _cifar10_members()[1])
    flags = ["--dataset=cifar10", f"--archive={archive}", f"--output={tmp_path / 'data'}"]
    assert _tool().main(flags) == 0
    assert "Wrote cifar10 3.0.2 (15 train, 3 test)" in capsys.readouterr().out
    assert len(load_dataset("cifar10", "test", data_dir=tmp_path / "data")) == 3


def test_small_archive_is_one_line_and_status_1(tmp_path, capsys):
    archive = _archive(tmp_path, CIFAR10, _cifar10_members()[1])
    flags = ["--dataset=cifar10", f"--archive={archive}", f"--output={tmp_path / 'data'}"]
    assert _tool().main(flags) == 1
    error = capsys.readouterr().err
    assert error.startswith("prepare_dataset: ") and error.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("flags", [[], ["--dataset=svhn", "--archive=a", "--output=b"]])
def test_wrong_flags_are_status_2(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        _tool().main(flags)
    assert caught.value.code == 2
    assert "--dataset" in capsys.readouterr().err
