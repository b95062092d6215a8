"""The published layout of CIFAR-10-C: what is read, and what is refused in one line."""

import numpy as np
import pytest

from ascl_tf.errors import RunError
from ascl_tf.evaluation.corruption_sources import CorruptionFolder, load_tfds_corruption
from tests.data.corrupted_sets import write_tfds_corruption

LABELS = np.array([3, 1, 2], np.uint8)


def images():
    """Returns uint8 [15, 4, 4, 3]: image i of severity s is full of 10 s + i."""
    levels = np.array([10 * severity + index for severity in range(1, 6) for index in range(3)])
    return np.broadcast_to(levels[:, None, None, None], (15, 4, 4, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "labels.npy", np.tile(LABELS, 5))
    np.save(tmp_path / "fog.npy", images())
    return tmp_path


def test_severities_follow_each_other(folder):
    files = CorruptionFolder(folder)
    np.testing.assert_array_equal(files.labels, LABELS)
    assert files.labels.dtype == np.int32
    for severity in range(1, 6):
        read = files.images("fog", severity)
        assert isinstance(read, np.memmap) and read.shape == (3, 4, 4, 3)
        np.testing.assert_array_equal(read[:, 0, 0, 0], 10 * severity + np.arange(3))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((15, 1), int), r"labels\.npy: expected integers of shape \[5 N\]; .*\(15, 1\)"),
        (np.zeros(15), r"labels\.npy: expected integers .*float64"),
        (np.arange(15), r"labels\.npy: expected the labels of N images, 5 times; found 15 labels"),
        (np.zeros(14, int), r"expected the labels of N images, 5 times; found 14"),
        (np.zeros(0, int), r"5 times; found 0"),
        (
            np.full(15, 2**32 + 1),
            r"labels\.npy: expected class ids from 0 to 2\*\*31 - 1; found 429",
        ),
        (np.full(15, 2**63 + 1, np.uint64), r"class ids from 0 to 2\*\*31 - 1; found 922337"),
        (np.full(15, -1), r"labels\.npy: expected class ids from 0 .*; found -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(folder, labels, message):
    np.save(folder / "labels.npy", labels)
    with pytest.raises(RunError, match=message):
        CorruptionFolder(folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (images()[:14], r"fog\.npy: expected uint8 of shape \(15, H, W, 3\).*\(14, 4, 4, 3\)"),
        (images()[..., 0], r"fog\.npy: expected uint8 .*\(15, 4, 4\)"),
        (images() / 255, r"fog\.npy: expected uint8 .*float64"),
        (np.array([{}, None]), r"fog\.npy: expected an array of CIFAR-10-C; found: "),
    ],
)
def test_images_that_do_not_fit_are_refused(folder, array, message):
    np.save(folder / "fog.npy", array)
    with pytest.raises(RunError, match=message) as caught:
        CorruptionFolder(folder).images("fog", 1)
    assert "\n" not in str(caught.value)


def test_absent_and_damaged_files_are_named(folder):
    with pytest.raises(RunError, match=r"snow\.npy: expected an array .*No such file"):
        CorruptionFolder(folder).images("snow", 1)
    (folder / "snow.npy").write_bytes(b"")
    with pytest.raises(RunError, match=r"snow\.npy: expected an array of CIFAR-10-C; found: "):
        CorruptionFolder(folder).images("snow", 1)
    np.savez(folder / "archive.npz", images())
    (folder / "archive.npz").rename(folder / "snow.npy")
    with pytest.raises(RunError, match=r"snow\.npy: expected one array; found an archive"):
        CorruptionFolder(folder).images("snow", 1)
    with pytest.raises(RunError, match=r"labels\.npy: expected an array .*No such file"):
        CorruptionFolder(folder / "nowhere")


def test_prepared_tfds_sets_are_found_under_their_own_names(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    write_tfds_corruption(tmp_path, "frosted_glass_blur_2", pixels, [0, 1, 2, 3])
    loaded = load_tfds_corruption("glass_blur", 2, data_dir=tmp_path)
    np.testing.assert_array_equal(loaded.images, pixels)
    np.testing.assert_array_equal(loaded.labels, [0, 1, 2, 3])


def test_absent_tfds_set_is_one_line(tmp_path):
    with pytest.raises(RunError, match=r"cifar10_corrupted/elastic_5`: expected a prepared data"):
        load_tfds_corruption("elastic_transform", 5, data_dir=tmp_path)
