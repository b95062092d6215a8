"""From a tensorflow-datasets builder to arrays in memory."""

import contextlib
import logging
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from ascl_tf.data.image_dataset import UNLABELED, ImageDataset
from ascl_tf.errors import MissingSplitError, RunError

_BATCH_SIZE = 256


def read_split(
    builder: tfds.core.DatasetBuilder, split: str, *, name: str, image_size: int | None = None
) -> ImageDataset:
    """Returns one split of a prepared data set as an `ImageDataset`.

    Where examples carry an `id`, as CIFAR's do, they are sorted by it: CIFAR then has
    its official order, and one hash, however its files were prepared. Else the order is
    that of the files. A split named `unlabelled` or `unlabeled`, and a data set without
    class labels, get label -1 throughout.

    Args:
        builder: `tfds.core.DatasetBuilder` whose files exist.
        split: name of a split, or a slice of one such as `train[:1000]`.
        name: what records and error messages call the data set.
        image_size: int, height and width to which images are resized (bilinear,
            antialiased, rounded to uint8); None leaves them as they are.

    Raises:
        MissingSplitError: if there is no such split.
        RunError: on images that are not 8-bit RGB, images of unequal
            size without `image_size`, and unreadable or incomplete files.
    """
    image_key, label_key = _feature_keys(builder.info, name)
    num_images = _num_images(builder.info, split, name)
    is_labeled = label_key is not None and "unlabel" not in split
    try:
        with quiet():
            batches = _batches(builder, split, image_key, label_key, image_size)
            images, labels, ids = _collect(batches, num_images, name=name, split=split)
    except tf.errors.OpError as error:
        raise _reading_problem(error, name, split) from error
    order = np.argsort(ids, kind="stable")
    if np.any(np.diff(order) != 1):
        images, labels = images[order], labels[order]
    if not is_labeled:
        labels = np.full_like(labels, UNLABELED)
    class_names = tuple(builder.info.features[label_key].names) if label_key else ()
    _check_labels(labels, len(class_names), name, split)
    return ImageDataset(name, images, labels.astype(np.int32), len(class_names), class_names)


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


def _batches(builder, split, image_key, label_key, image_size):
    # One file after the other: the order is then the order on disk.
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    examples = builder.as_dataset(split=split, shuffle_files=False, read_config=config)

    has_ids = examples.element_spec.get("id") == tf.TensorSpec([], tf.string)

    def image_label_id(example):
        label = tf.constant(UNLABELED, tf.int64) if label_key is None else example[label_key]
        identity = example["id"] if has_ids else tf.constant("")
        return example[image_key], tf.cast(label, tf.int64), identity

    def resized(image, label, identity):
        return resize(image, image_size), label, identity

    triples = examples.map(image_label_id)
    if image_size is None:
        return triples.batch(_BATCH_SIZE)
    if triples.element_spec[0].shape.is_fully_defined():
        return triples.batch(_BATCH_SIZE).map(resized)
    return triples.map(resized).batch(_BATCH_SIZE)


def resize(images, image_size):
    """Returns uint8 images of the new size; a convex sum of bytes needs no clipping
    but for rounding errors of the filter, which `saturate_cast` takes care of."""
    resized = tf.image.resize(images, [image_size, image_size], method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def _collect(batches, num_images, *, name, split):
    """Copies the batches into arrays; no more than these and one batch is held."""
    iterator = iter(batches)
    images, labels, ids = None, np.empty([num_images], np.int64), []
    # Counted, not run to exhaustion: TensorFlow logs the end of a data set as an error.
    for start in range(0, num_images, _BATCH_SIZE):
        rows = slice(start, min(start + _BATCH_SIZE, num_images))
        batch_images, batch_labels, batch_ids = _next(iterator, name, split)
        if images is None:
            _check_channels(batch_images, name)
            images = np.empty([num_images, *batch_images.shape[1:]], np.uint8)
        if batch_images.shape[1:] != images.shape[1:]:
            raise _unequal_sizes(name)
        if len(batch_labels) != rows.stop - rows.start:
            raise _incomplete(name, split)
        images[rows], labels[rows] = batch_images, batch_labels
        ids.extend(batch_ids)
    return images, labels, ids


def _next(iterator, name, split):
    try:
        return tuple(tensor.numpy() for tensor in next(iterator))
    except StopIteration as error:
        raise _incomplete(name, split) from error


def _check_channels(images, name):
    if images.shape[-1] != 3:
        raise _unfit(name, "images with 3 channels", images.shape[-1])


def _reading_problem(error, name, split):
    if "to the batch" in error.message:
        return _unequal_sizes(name)
    if "was expected to contain" in error.message:
        return _incomplete(name, split)
    first_line = error.message.strip().splitlines()[0]
    # TensorFlow wraps its message into names of graph nodes and operations.
    text = re.sub(r"^\{\{.*?\}\} ?|\s*\[Op:.*$", "", first_line)
    return _broken(name, f"split {split!r} cannot be read: {text}")


def _unequal_sizes(name):
    return _unfit(name, "images of one size", "several; pass `image_size` to resize them")


def _incomplete(name, split):
    return _broken(name, f"split {split!r} holds fewer images than its metadata says")


def _broken(name, text):
    return RunError(text, field="name", value=name)


def _unfit(name, expected, found):
    return RunError(field="name", value=name, expected=expected, found=found)
