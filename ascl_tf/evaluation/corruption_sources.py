"""Where corrupted images come from: made here, the published files, tensorflow-datasets."""

import functools

import numpy as np

from ascl_tf.data.corruption_files import (
    CorruptionFolder,
    describe_tfds_corruption,
    load_tfds_corruption,
)
from ascl_tf.data.corruptions import (
    BENCHMARK_CORRUPTIONS,
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    check_images,
    corrupt,
    load_frost_textures,
)
from ascl_tf.errors import RunError

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
            clean = self._data.images[rows]
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
            yield np.array(images[rows]), self._data.images[rows], self._data.labels[rows]


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
        return describe_tfds_corruption(corruption, severity, data_dir=self._data_dir)

    def batches(self, corruption, severity, batch_size):
        loaded = load_tfds_corruption(corruption, severity, data_dir=self._data_dir)
        for start in range(0, self._count, batch_size):
            rows = slice(start, min(start + batch_size, self._count))
            yield loaded.images[rows], None, loaded.labels[rows]
