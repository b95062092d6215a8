"""From a tensorflow-datasets builder to images and labels, batch by batch."""

import contextlib
import importlib.resources
import logging
import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from ascl_tf.data.image_dataset import UNLABELED
from ascl_tf.data.resizing import CROP, resize
from ascl_tf.data.split_reader import SplitReader, batch_size_for
from ascl_tf.data.tf_messages import plain_message
from ascl_tf.errors import MissingSplitError, RunError

# TFDS takes the names of CIFAR-10's classes from the archive that it downloads.
_CIFAR10 = ("cifar10", "cifar10_corrupted")
_CIFAR10_NAMES = "bundled/cifar10_mini/1.0.0/label.labels.txt"


class TfdsReader(SplitReader):
    """Reads one split of a prepared data set.

    Where examples carry an `id`, as CIFAR's do, they are sorted by it: CIFAR then has
    its official order, and one hash, however its files were prepared. Else the order is
    that of the files. A split named `unlabelled` or `unlabeled`, and a data set without
    class labels, get label -1 throughout.

    Args:
        builder: `tfds.core.DatasetBuilder` whose files exist.
        split: name of a split, or a slice of one such as `train[:1000]`.
        name: what records and error messages call the data set.
        image_size: int, height and width to which images are resized; None leaves them as they
            are.
        how: "stretch", "crop" or "pad", see `resizing.resize`.

    Raises:
        MissingSplitError: if there is no such split.
        RunError: here or while reading, on images that are not 8-bit RGB, images of unequal
            size without `image_size`, and unreadable or incomplete files.
    """

    def __init__(self, builder, split, *, name, image_size=None, how=CROP):
        self.name, self.split, self.image_size = name, split, image_size
        self.how = how
        self._builder = builder
        self._image_key, self._label_key = _feature_keys(builder.info, name)
        self.num_images = _num_images(builder.info, split, name)
        self.class_names = _class_names(builder.info.features, self._label_key, name)
        self._labels = self._ids = None

    def find_image_shape(self):
        spec = self._builder.info.features[self._image_key].shape
        if None in spec[:2] and self.image_size is not None:
            spec = (self.image_size, self.image_size, spec[2])
        if None in spec:
            with self._errors_as_one_line():
                spec = _next(iter(self._examples()), self.name, self.split)[0].shape
        _check_channels(spec, self.name)
        size = self.image_size
        return tuple(spec) if size is None else (size, size, 3)

    def batches(self):
        self._labels, self._ids = np.empty([self.num_images], np.int64), []
        shape, num_read = self.image_shape, 0
        batch_size = batch_size_for(shape)
        iterator = None
        # Counted, not run to exhaustion: TensorFlow logs the end of a data set as an error.
        while num_read < self.num_images:
            with self._errors_as_one_line():
                iterator = iterator or iter(self._batched(batch_size))
                images, labels, ids = _next(iterator, self.name, self.split)
            if images.shape[1:] != shape:
                raise _unequal_sizes(self.name)
            if len(images) != min(batch_size, self.num_images - num_read):
                raise _incomplete(self.name, self.split)
            self._labels[num_read : num_read + len(labels)] = labels
            self._ids.extend(ids)
            num_read += len(images)
            yield images

    def labels_and_order(self):
        order = np.argsort(self._ids, kind="stable")
        _check_labels(self._labels, len(self.class_names), self.name, self.split)
        if self._label_key is None or "unlabel" in self.split:
            return np.full([self.num_images], UNLABELED, np.int32), order
        return self._labels.astype(np.int32), order

    def sources(self):
        folder = os.fspath(self._builder.data_path)
        yield f"{self._builder.info.full_name}, split {self.split}"
        for name in sorted(tf.io.gfile.listdir(folder)):
            # Not Python's: the folder may be in a bucket.
            status = tf.io.gfile.stat(os.path.join(folder, name))
            yield f"{name} {status.length} {status.mtime_nsec}"

    @contextlib.contextmanager
    def _errors_as_one_line(self):
        try:
            with quiet():
                yield
        except tf.errors.OpError as error:
            raise _reading_problem(error, self.name, self.split) from error

    def _examples(self):
        """Returns the triples of image, label and identity, as they are stored."""
        # One file after the other: the order is then the order on disk.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        examples = self._builder.as_dataset(
            split=self.split, shuffle_files=False, read_config=config
        )
        has_ids = examples.element_spec.get("id") == tf.TensorSpec([], tf.string)
        image_key, label_key = self._image_key, self._label_key

        def image_label_id(example):
            label = tf.constant(UNLABELED, tf.int64) if label_key is None else example[label_key]
            identity = example["id"] if has_ids else tf.constant("")
            return example[image_key], tf.cast(label, tf.int64), identity

        return examples.map(image_label_id)

    def _batched(self, batch_size):
        def resized(image, label, identity):
            return resize(image, self.image_size, self.how), label, identity

        triples = self._examples()
        if self.image_size is None:
            return triples.batch(batch_size)
        if triples.element_spec[0].shape.is_fully_defined():
            return triples.batch(batch_size).map(resized)
        return triples.map(resized).batch(batch_size)


@contextlib.contextmanager
def quiet():
    """Keeps the progress notes of tensorflow-datasets out of the program's log."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _class_names(features, label_key, name):
    """Returns a name for each class; CIFAR-10's also where its files were prepared without."""
    names = tuple(features[label_key].names) if label_key else ()
    is_numbered = names == tuple(map(str, range(len(names))))
    if is_numbered and len(names) == 10 and name.partition("/")[0] in _CIFAR10:
        file = importlib.resources.files("ascl_tf.data") / _CIFAR10_NAMES
        return tuple(file.read_text(encoding="utf-8").split())
    return names


def _check_labels(labels, num_classes, name, split):
    if labels.min() < UNLABELED or labels.max() >= num_classes:
        expected = f"labels from 0 to {num_classes - 1} in split {split!r}, or {UNLABELED} for none"
        raise _unfit(name, expected, f"{labels.min()} to {labels.max()}")


def _feature_keys(info, name):
    """Returns the keys of the image and of the class label (None where there is none)."""
    features = info.features
    keys = info.supervised_keys or ("image", "label")
    image_key = keys[0] if keys[0] in features else "image"
    if image_key not in features or not isinstance(features[image_key], tfds.features.Image):
        raise _unfit(name, "a data set with an image feature", f"features {sorted(features)}")
    image = features[image_key]
    if image.shape[-1] not in (3, None):
        raise _unfit(name, "images with 3 channels", image.shape[-1])
    if image.np_dtype != np.uint8:
        raise _unfit(name, "uint8 images", image.np_dtype)
    label_key = keys[1] if keys[1] in features else None
    # Other targets, such as an age, are no classes: such a set has no labels for us.
    if label_key and not isinstance(features[label_key], tfds.features.ClassLabel):
        label_key = None
    return image_key, label_key


def _num_images(info, split, name):
    base = split.split("[")[0]
    if base not in info.splits:
        raise MissingSplitError(
            field="name",
            value=name,
            expected=f"one of the splits {sorted(info.splits)}",
            found=repr(split),
            splits=info.splits,
        )
    try:
        num_images = info.splits[split].num_examples
    except (ValueError, KeyError) as error:
        raise _broken(name, f"{split!r} is no slice of a split") from error
    if not num_images:
        raise _broken(name, f"split {split!r} holds no image")
    return num_images


def _next(iterator, name, split):
    try:
        return tuple(tensor.numpy() for tensor in next(iterator))
    except StopIteration as error:
        raise _incomplete(name, split) from error


def _check_channels(shape, name):
    if shape[-1] != 3:
        raise _unfit(name, "images with 3 channels", shape[-1])


def _reading_problem(error, name, split):
    if "to the batch" in error.message:
        return _unequal_sizes(name)
    if "was expected to contain" in error.message:
        return _incomplete(name, split)
    return _broken(name, f"split {split!r} cannot be read: {plain_message(error)}")


def _unequal_sizes(name):
    return _unfit(name, "images of one size", "several; pass `image_size` to resize them")


def _incomplete(name, split):
    return _broken(name, f"split {split!r} holds fewer images than its metadata says")


def _broken(name, text):
    return RunError(text, field="name", value=name)


def _unfit(name, expected, found):
    return RunError(field="name", value=name, expected=expected, found=found)
