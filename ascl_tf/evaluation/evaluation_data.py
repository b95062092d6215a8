"""Test images and labels as evaluation wants them, checked before anything runs."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ascl_tf.attacks.arguments import check_int32, check_one_label_each
from ascl_tf.data.mapped_images import ImageArray, MappedImages


class EvaluationData(NamedTuple):
    """`images` [N, H, W, C], uint8 or float32 in [0, 1]; `labels` int32 [N].

    `num_classes`, `class_names`: how many classes the data set declares, and what it calls them;
    None where it does not.
    """

    images: ImageArray
    labels: np.ndarray
    name: str
    sha256: str
    num_classes: int | None = None
    class_names: Sequence[str] | None = None

    def rows(self, indices):
        """Returns (images, labels) of those rows, images float32 in [0, 1]."""
        return as_unit_float(self.images[indices]), self.labels[indices]


def as_unit_float(images):
    """Returns uint8 images as float32 / 255, float images as float32."""
    images = np.asarray(images)  # A slice of images in files is not read yet.
    scale = np.float32(255 if images.dtype == np.uint8 else 1)
    return images.astype(np.float32) / scale


def as_evaluation_data(dataset, *, num_images=None, allow_unlabeled=False):
    """Returns the first `num_images` images and labels of `dataset`, checked.

    Args:
        dataset: an object with `images`, `labels`, `name` and `sha256`, as
            `ascl_tf.data.load_dataset` gives it, or a pair (images, labels): images
            [N, H, W, C] uint8 or float in [0, 1], labels int [N]. Such an object may also
            declare its `num_classes` and `class_names`, whatever classes its images happen to
            be of.
        num_images: Python int, or None for all.
        allow_unlabeled: whether labels may be negative.

    Raises:
        ValueError: if `dataset`, its images or labels, or `num_images` are not like that.
    """
    if isinstance(dataset, (tuple, list)) and len(dataset) == 2:
        images, labels = (_as_array(part) for part in dataset)
        name, sha256, num_classes, class_names = "arrays", None, None, None
    elif all(hasattr(dataset, field) for field in ("images", "labels", "name", "sha256")):
        images, labels = dataset.images, np.asarray(dataset.labels)
        images = images if isinstance(images, MappedImages) else np.asarray(images)
        name, sha256 = dataset.name, dataset.sha256
        num_classes = getattr(dataset, "num_classes", None)
        class_names = getattr(dataset, "class_names", None)
    else:
        raise ValueError(
            "`dataset` must be what `ascl_tf.data.load_dataset` returns, or a pair of arrays "
            f"(images, labels); received {type(dataset).__name__}."
        )
    _validate(images, labels, allow_unlabeled)
    # The hash names the whole set; how much of it was used is the record's `num_images`.
    sha256 = sha256 or _array_sha256(images, labels)
    count = _checked_count(num_images, len(images))
    labels = labels[:count].astype(np.int32)
    return EvaluationData(images[:count], labels, name, sha256, num_classes, class_names)


def _as_array(values):
    try:
        return np.asarray(values)
    except ValueError as error:  # Rows of different shapes.
        raise ValueError(f"`dataset` must be a pair of arrays (images, labels): {error}") from None


def padded_batches(indices, batch_size):
    """Yields (batch_size indices, how many of them are real); the tail repeats its first."""
    for begin in range(0, len(indices), batch_size):
        rows = indices[begin : begin + batch_size]
        num_real = len(rows)
        # One shape for every batch, so that one trace serves them all.
        yield np.pad(rows, (0, batch_size - num_real), constant_values=rows[0]), num_real


def check_labels_fit(labels, num_logits):
    """Raises ValueError if one of the labels (array) has no logit."""
    if labels.max() >= num_logits:
        raise ValueError(
            f"`labels` must be below the {num_logits} classes of the model; "
            f"received {labels.max()}."
        )


def _validate(images, labels, allow_unlabeled):
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "`images` must have shape [num_images, height, width, channels] without a zero; "
            f"received shape {images.shape}."
        )
    check_one_label_each(labels, len(images))
    if labels.min() < 0 and not allow_unlabeled:
        raise ValueError(f"`labels` must be class ids >= 0; received {labels.min()}.")
    check_int32(labels)
    if images.dtype != np.uint8:
        _validate_float_images(images)


def _validate_float_images(images):
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            f"`images` must be uint8 or floating point in [0, 1]; received dtype {images.dtype}."
        )
    if not np.all(np.isfinite(images)):
        raise ValueError("`images` must be finite; received NaN or infinity.")
    if images.min() < 0 or images.max() > 1:
        raise ValueError(
            "`images` must be in [0, 1] (uint8 images are scaled by 255 here); "
            f"received values from {images.min():g} to {images.max():g}."
        )


def _checked_count(num_images, available):
    if num_images is None:
        return available
    is_integer = isinstance(num_images, (int, np.integer)) and not isinstance(num_images, bool)
    if not is_integer or not 1 <= num_images <= available:
        raise ValueError(
            f"`num_images` must be from 1 to the {available} images of the data set; "
            f"received {num_images}."
        )
    return num_images


def _array_sha256(images, labels):
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
