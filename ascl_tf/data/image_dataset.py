"""The data set class of the whole package: arrays, mostly in memory."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ascl_tf.data import own_data
from ascl_tf.data.mapped_images import ImageArray, MappedImages, chunks, pick

UNLABELED = -1


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images and labels of one split.

    Args:
        name: name of the data set in records; never a path on this machine.
        images: NumPy uint8 [N, H, W, 3] in 0..255; or `MappedImages`, which stay in files.
        labels: NumPy int32 [N]; class ids in 0..num_classes - 1, or -1 for "unlabeled".
        num_classes: number of classes; 0 if the data set has no labels at all.
        class_names: one name per class, in the order of the ids.
        pseudo_labels: NumPy int32 [N, M], the cluster of each image in each of M clusterings, or
            None.
        features: NumPy float32 [N, F], the features from a frozen encoder, or None.

    Raises:
        ValueError: if an array, a label or the number of names does not fit the above.

    Example:
        >>> images, labels = np.zeros([3, 8, 8, 3], np.uint8), np.array([0, 1, -1], np.int32)
        >>> dataset = ImageDataset("mine", images, labels, 2, ("cat", "dog"))
        >>> dataset.num_images, dataset.num_labeled, dataset.take([1]).labels.tolist()
        (3, 2, [1])
    """

    name: str
    images: ImageArray
    labels: np.ndarray
    num_classes: int
    class_names: tuple[str, ...]
    pseudo_labels: np.ndarray | None = None
    features: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check_images(self.images)
        _check_labels(self.labels, len(self.images), self.num_classes)
        _check_class_names(self.class_names, self.num_classes)
        if self.pseudo_labels is not None:
            _check_pseudo_labels(self.pseudo_labels, len(self.images))
        if self.features is not None:
            _check_features(self.features, len(self.images))

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any = None,
        *,
        name: str = "arrays",
        class_names: Sequence[str] | None = None,
        num_classes: int | None = None,
    ) -> "ImageDataset":
        """Returns a data set made from your own arrays.

        Args:
            images: [N, H, W, 3], uint8, or floating point in [0, 1]. Floating-point images are
                rounded to the nearest of the 256 gray levels: k / 255 becomes k, other values move
                by at most 1/510. A uint8 array from `np.load(..., mmap_mode="r")` stays in its
                file.
            labels: [N], integers of any type; -1 marks an unlabeled image. None: all unlabeled.
            name: name of the data set in records.
            class_names: one name per class; None: the class numbers.
            num_classes: number of classes; None: taken from `class_names` or the largest label.

        Raises:
            ValueError: if an argument does not fit the above, or they do not fit each other.

        Example:
            >>> images = np.full([2, 8, 8, 3], 0.5)
            >>> dataset = ImageDataset.from_arrays(images, [1, -1], class_names=["cat", "dog"])
            >>> dataset.images[0, 0, 0].tolist(), dataset.num_labeled, dataset.num_classes
            ([128, 128, 128], 1, 2)
        """
        images = own_data.as_uint8_images(images)
        labels = own_data.as_int32_labels(labels, len(images))
        num_classes, class_names = own_data.named_classes(labels, class_names, num_classes)
        return cls(name, images, labels, num_classes, class_names)  # type: ignore[arg-type]

    @classmethod
    def from_tf_dataset(
        cls,
        dataset: Any,
        *,
        name: str = "tf_dataset",
        class_names: Sequence[str] | None = None,
        num_classes: int | None = None,
    ) -> "ImageDataset":
        """Returns a data set that holds a `tf.data.Dataset` in memory, in its order.

        A `tf.data.Dataset` that shuffles gives a different order, and a different hash, each time.

        Args:
            dataset: finite `tf.data.Dataset`, batched or not. Its elements are (image, label),
                dictionaries with "image" and optionally "label", or images alone. Images and labels
                as in `from_arrays`.
            name, class_names, num_classes: as in `from_arrays`.

        Raises:
            ValueError: if `dataset` does not fit the above, or its images differ in size.
        """
        images, labels = own_data.read_tf_dataset(dataset)
        return cls.from_arrays(
            images, labels, name=name, class_names=class_names, num_classes=num_classes
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_images(self) -> int:
        """Number of images, N."""
        return len(self.images)

    @property
    def num_labeled(self) -> int:
        """Number of images with a label."""
        return int(np.count_nonzero(self.labels != UNLABELED))

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, (H, W, 3)."""
        return self.images.shape[1:]

    @property
    def columns(self) -> dict[str, ImageArray]:
        """Arrays of N rows that training batches are made of, by name."""
        columns: dict[str, ImageArray] = {"images": self.images, "labels": self.labels}
        if self.pseudo_labels is not None:
            columns["pseudo_labels"] = self.pseudo_labels
        if self.features is not None:
            columns["features"] = self.features
        return columns

    @functools.cached_property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of shape, images and labels, in this order.

        It leaves out pseudo-labels and features, which are derived from the images.
        """
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for chunk in chunks(self.images):
            digest.update(chunk.data)
        # Little-endian, so that the number is the same on every machine.
        digest.update(np.ascontiguousarray(self.labels, dtype="<i4").data)
        return digest.hexdigest()

    def take(self, indices: np.ndarray | Sequence[int] | slice) -> "ImageDataset":
        """Returns a data set with the images at `indices` (int [M]), in that order.

        It does not read images that are in files.
        """
        taken: dict[str, Any] = {n: pick(column, indices) for n, column in self.columns.items()}
        return dataclasses.replace(self, **taken)


def _check_images(images: ImageArray) -> None:
    if not isinstance(images, MappedImages):
        _check_array("images", images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "`images` must be uint8 with shape [N, H, W, 3]; "
            f"received {images.dtype} with shape {images.shape}."
        )


def _check_array(name: str, value: object) -> None:
    if not isinstance(value, np.ndarray):
        raise ValueError(f"`{name}` must be a NumPy array; received {type(value).__name__}.")


def _check_labels(labels: np.ndarray, num_images: int, num_classes: int) -> None:
    _check_array("labels", labels)
    if not isinstance(num_classes, (int, np.integer)):
        raise ValueError(
            f"`num_classes` must be an integer; received {type(num_classes).__name__}."
        )
    if labels.dtype != np.int32 or labels.shape != (num_images,):
        raise ValueError(
            f"`labels` must be int32 with shape ({num_images},); "
            f"received {labels.dtype} with shape {labels.shape}."
        )
    if num_images and not UNLABELED <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"`labels` must lie in -1..{num_classes - 1}; received {labels.min()}..{labels.max()}."
        )


def _check_class_names(class_names: Sequence[str], num_classes: int) -> None:
    if not isinstance(class_names, (tuple, list)):
        raise ValueError(
            f"`class_names` must be a tuple of names; received {type(class_names).__name__}."
        )
    if len(class_names) != num_classes:
        raise ValueError(
            f"`class_names` must hold {num_classes} names, one per class; "
            f"received {len(class_names)}."
        )


def _check_pseudo_labels(pseudo_labels: np.ndarray, num_images: int) -> None:
    _check_array("pseudo_labels", pseudo_labels)
    shape = pseudo_labels.shape
    if pseudo_labels.dtype != np.int32 or len(shape) != 2 or shape[0] != num_images:
        raise ValueError(
            f"`pseudo_labels` must be int32 with shape [{num_images}, M]; "
            f"received {pseudo_labels.dtype} with shape {shape}."
        )
    if pseudo_labels.size and pseudo_labels.min() < 0:
        raise ValueError(f"`pseudo_labels` must be >= 0; received {pseudo_labels.min()}.")


def _check_features(features: np.ndarray, num_images: int) -> None:
    _check_array("features", features)
    if features.dtype.kind != "f" or features.ndim != 2 or len(features) != num_images:
        raise ValueError(
            f"`features` must be float with shape [{num_images}, F]; "
            f"received {features.dtype} with shape {list(features.shape)}."
        )
