"""The published CIFAR-10-C, as its `.npy` files or as tensorflow-datasets has it."""

import pathlib
from typing import NamedTuple

import numpy as np

from ascl_tf.data.corruptions import SEVERITIES
from ascl_tf.data.datasets import load_dataset, prepared_builder
from ascl_tf.errors import RunError, renamed

LABELS_FILE = "labels.npy"
_TFDS_NAME = "cifar10_corrupted"
# Where tensorflow-datasets calls a corruption otherwise.
_TFDS_NAMES = {"elastic_transform": "elastic", "glass_blur": "frosted_glass_blur"}


class CorruptionFolder:
    """The layout of CIFAR-10-C: a file per corruption, all images at severity 1, then 2 ... 5.

    Args:
        folder: holds `labels.npy`, integer [5 N] (the N labels five times), and for each
            corruption `<corruption>.npy`, uint8 [5 N, H, W, 3]. N is 10,000 in the published
            set.

    Attributes:
        labels: int32 [N].

    Raises:
        RunError: if the labels are missing or not like that.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder).expanduser()
        file = self._folder / LABELS_FILE
        labels = _load(file)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise RunError(f"{file}: expected integers of shape [5 N]; found {_described(labels)}.")
        highest = int(labels.max(initial=0))
        if labels.min(initial=0) < 0 or highest > np.iinfo(np.int32).max:
            found = min(int(labels.min(initial=0)), 0) or highest
            raise RunError(f"{file}: expected class ids from 0 to 2**31 - 1; found {found}.")
        self.labels = np.array(labels[: len(labels) // len(SEVERITIES)], np.int32)
        if not np.array_equal(labels, np.tile(self.labels, len(SEVERITIES))) or not len(labels):
            raise RunError(
                f"{file}: expected the labels of N images, {len(SEVERITIES)} times; "
                f"found {len(labels)} labels that are not."
            )

    def holds(self, corruption):
        """Returns whether there is a file of one corruption."""
        return (self._folder / f"{corruption}.npy").exists()

    def images(self, corruption, severity):
        """Returns the images of one corruption at one severity, uint8 [N, H, W, 3].

        They stay on the disk until they are read.

        Raises:
            RunError: if the file is missing or not as above.
        """
        file = self._folder / f"{corruption}.npy"
        images = _load(file)
        num_images = len(self.labels)
        expected = len(SEVERITIES) * num_images
        fits = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3
        if not fits or len(images) != expected:
            raise RunError(
                f"{file}: expected uint8 of shape ({expected}, H, W, 3), as many as "
                f"{LABELS_FILE} has; found {_described(images)}."
            )
        begin = num_images * SEVERITIES.index(severity)
        return images[begin : begin + num_images]


class TfdsCorruption(NamedTuple):
    """What is known of a prepared set before it is read."""

    name: str
    num_images: int
    image_shape: tuple[int, ...]


def describe_tfds_corruption(corruption, severity, *, data_dir=None):
    """Returns the `TfdsCorruption` of `cifar10_corrupted/<name>_<severity>`; None without files.

    Arguments as `load_tfds_corruption`.
    """
    name = _tfds_name(corruption, severity)
    builder = prepared_builder(name, data_dir)
    if builder is None:
        return None
    shape = tuple(builder.info.features["image"].shape)
    return TfdsCorruption(name, builder.info.splits["test"].num_examples, shape)


def load_tfds_corruption(corruption, severity, *, data_dir=None):
    """Returns `cifar10_corrupted/<name>_<severity>` as an `ImageDataset`, without a download.

    Its 10,000 images have an order of their own, so that only whole sets compare.

    Args:
        corruption: a name of `CORRUPTIONS`.
        severity: 1 to 5.
        data_dir: as `load_dataset` has it.

    Raises:
        RunError: if the set is not at hand.
    """
    with renamed(name="dataset"):
        return load_dataset(_tfds_name(corruption, severity), "test", data_dir=data_dir)


def _tfds_name(corruption, severity):
    return f"{_TFDS_NAME}/{_TFDS_NAMES.get(corruption, corruption)}_{severity}"


def _load(file):
    try:
        loaded = np.load(file, mmap_mode="r", allow_pickle=False)
    # Of a damaged header NumPy raises whatever Python's parser does, TokenError for one.
    except Exception as error:
        lines = str(error).splitlines()
        reason = getattr(error, "strerror", None) or (lines or [type(error).__name__])[0]
        raise RunError(f"{file}: expected an array of CIFAR-10-C; found: {reason}.") from error
    if not isinstance(loaded, np.ndarray):
        raise RunError(f"{file}: expected one array; found an archive of several.")
    return loaded


def _described(array):
    return f"{array.dtype} of shape {array.shape}"
