"""Where corrupted images come from: made here, the published files, tensorflow-datasets."""

import functools
import pathlib
from typing import NamedTuple

import numpy as np

from ascl_tf.data.corruptions import (
    BENCHMARK_CORRUPTIONS,
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SEVERITIES,
    check_images,
    corrupt,
    load_frost_textures,
)
from ascl_tf.data.datasets import load_dataset, prepared_builder
from ascl_tf.errors import RunError, renamed

LABELS_FILE = "labels.npy"
_TFDS_SET = "cifar10_corrupted"
# Where tensorflow-datasets calls a corruption otherwise.
_TFDS_NAMES = {"elastic_transform": "elastic", "glass_blur": "frosted_glass_blur"}

GENERATED, TFDS = "generated", "tfds"
# What records call a folder; they never name its place.
FILES = "files"


def open_source(source, data, seed, frost_textures, data_dir):
    """Returns a source of corrupted images for the clean ones of `data`.

    It has a `name` for records, `textures_name` (of its frost, or None), and these methods:

        offered(severities): the corruptions to measure where none are named: the 15 of the
            benchmark, and those of the other 4 that it holds.
        check(corruption, severities): raises RunError, or ValueError for the images of `data`,
            if its images are missing or do not fit.
        batches(corruption, severity, batch_size): yields triples (corrupted images, clean
            images or None where they are in another order, labels) with at most that many rows.

    Args:
        source: "generated", "tfds" or a folder.
        data: `EvaluationData`, uint8.
        seed, frost_textures, data_dir: as `evaluate_corruptions` has them.

    Raises:
        RunError: if the labels of a folder are not those of `data`.
    """
    if source == GENERATED:
        return _Generated(data, seed, frost_textures)
    if source == TFDS:
        return _Tfds(data, data_dir)
    return _Folder(data, source)


class _Generated:
    """Corrupted images made batch by batch."""

    name = GENERATED

    def __init__(self, data, seed, frost_textures):
        self._data, self._seed, self._given_textures = data, seed, frost_textures

    @functools.cached_property
    def _textures(self):
        return self._given_textures or load_frost_textures()

    def offered(self, severities):
        return CORRUPTIONS

    def check(self, corruption, severities):
        check_images(self._data.images[:1])

    @property
    def textures_name(self):
        return self._textures.name

    def batches(self, corruption, severity, batch_size):
        for start in range(0, len(self._data.labels), batch_size):
            rows = slice(start, start + batch_size)
            clean = np.asarray(self._data.images[rows])
            corrupted = corrupt(
                clean,
                corruption,
                severity,
                self._seed,
                frost_textures=self._textures if corruption == "frost" else None,
                first_position=start,
            )
            yield corrupted, clean, self._data.labels[rows]


class _Folder:
    """The published files, whose images are those of the data set in the same order."""

    name, textures_name = FILES, None

    def __init__(self, data, folder):
        self._data = data
        self._files = CorruptionFolder(folder)
        count = len(data.labels)
        if not np.array_equal(self._files.labels[:count], data.labels):
            raise RunError(
                f"{folder}: expected labels.npy to begin with the {count} labels of "
                f"{data.name}; found others."
            )

    def offered(self, severities):
        extra = [name for name in EXTRA_CORRUPTIONS if self._files.holds(name)]
        return (*BENCHMARK_CORRUPTIONS, *extra)

    def check(self, corruption, severities):
        images = self._files.images(corruption, severities[0])
        if images.shape[1:] != self._data.images.shape[1:]:
            raise RunError(
                f"{corruption}.npy: expected images of shape {self._data.images.shape[1:]}; "
                f"found {images.shape[1:]}."
            )

    def batches(self, corruption, severity, batch_size):
        images = self._files.images(corruption, severity)
        for start in range(0, len(self._data.labels), batch_size):
            rows = slice(start, min(start + batch_size, len(self._data.labels)))
            clean = np.asarray(self._data.images[rows])
            yield np.array(images[rows]), clean, self._data.labels[rows]


class _TfdsSet(NamedTuple):
    name: str
    num_images: int
    image_shape: tuple[int, ...]


class _Tfds:
    """`cifar10_corrupted` of tensorflow-datasets, with labels of its own."""

    name, textures_name = TFDS, None

    def __init__(self, data, data_dir):
        self._count, self._data_dir = len(data.labels), data_dir
        self._image_shape = data.images.shape[1:]

    def offered(self, severities):
        extra = [
            name
            for name in EXTRA_CORRUPTIONS
            if all(self._describe(name, severity) for severity in severities)
        ]
        return (*BENCHMARK_CORRUPTIONS, *extra)

    def check(self, corruption, severities):
        for severity in severities:
            found = self._describe(corruption, severity)
            if found is None:
                # Says what is missing, and where.
                load_tfds_corruption(corruption, severity, data_dir=self._data_dir)
            if found.num_images < self._count or found.image_shape != self._image_shape:
                raise RunError(
                    f"{found.name}: expected at least {self._count} images of shape "
                    f"{self._image_shape}; found {found.num_images} of {found.image_shape}."
                )

    def _describe(self, corruption, severity):
        """Returns what is known of a prepared set before it is read; None without files."""
        name = _tfds_name(corruption, severity)
        builder = prepared_builder(name, self._data_dir)
        if builder is None:
            return None
        shape = tuple(builder.info.features["image"].shape)
        return _TfdsSet(name, builder.info.splits["test"].num_examples, shape)

    def batches(self, corruption, severity, batch_size):
        loaded = load_tfds_corruption(corruption, severity, data_dir=self._data_dir)
        for start in range(0, self._count, batch_size):
            rows = slice(start, min(start + batch_size, self._count))
            yield np.asarray(loaded.images[rows]), None, loaded.labels[rows]


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
    return f"{_TFDS_SET}/{_TFDS_NAMES.get(corruption, corruption)}_{severity}"


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
