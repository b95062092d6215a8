"""Arrays and `tf.data` of a caller, checked and brought into the form of an `ImageDataset`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ascl_tf.data.mapped_images import ImageArray, MappedImages, chunks
from ascl_tf.data.tf_messages import plain_message

_BATCH_SIZE = 256
_IMAGES_HINT = "uint8 or floating point in [0, 1], with shape [N, H, W, 3]"


def as_uint8_images(images: Any) -> ImageArray:
    """Returns images as uint8 [N, H, W, 3]; those of a memory-mapped uint8 file stay there.

    Args:
        images: uint8, or floating point in [0, 1], which is multiplied by 255 and rounded to the
            nearest: k / 255 becomes k in every precision.

    Raises:
        ValueError: if they are not like that.
    """
    if isinstance(images, MappedImages):
        return images
    array = images if isinstance(images, np.ndarray) else _as_array("images", images)
    if array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape:
        raise ValueError(f"`images` must be {_IMAGES_HINT}; received shape {array.shape}.")
    if array.dtype == np.uint8:
        return MappedImages([array]) if isinstance(array, np.memmap) else array
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"`images` must be {_IMAGES_HINT}; received dtype {array.dtype}.")
    rounded, begin = np.empty(array.shape, np.uint8), 0
    for chunk in chunks(array):
        # Written so that NaN fails too.
        if not (chunk.min() >= 0 and chunk.max() <= 1):
            found = f"{array.dtype} from {chunk.min():g} to {chunk.max():g}"
            raise ValueError(f"`images` must be {_IMAGES_HINT}; received {found}.")
        rounded[begin : begin + len(chunk)] = np.rint(chunk * chunk.dtype.type(255))
        begin += len(chunk)
    return rounded


def as_int32_labels(labels: Any, num_images: int) -> np.ndarray:
    """Returns labels as int32 [N]; -1 throughout where there are none (None).

    Raises:
        ValueError: if they are no integers from -1 to 2**31 - 2, one per image.
    """
    if labels is None:
        return np.full([num_images], -1, np.int32)
    array = _as_array("labels", labels)
    if array.shape != (num_images,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"`labels` must be integers with shape ({num_images},), one per image; "
            f"received {array.dtype} with shape {array.shape}."
        )
    if array.min() < -1 or array.max() >= np.iinfo(np.int32).max:
        raise ValueError(
            "`labels` must be class ids from 0, or -1 for unlabeled; "
            f"received {array.min()}..{array.max()}."
        )
    return array.astype(np.int32)


def named_classes(
    labels: np.ndarray, class_names: Sequence[str] | None, num_classes: int | None
) -> tuple[int, Sequence[str]]:
    """Returns the number of classes and their names, each from the other where it is None.

    Without both there are as many as the largest label asks for, called "0", "1", ...

    Raises:
        ValueError: if `num_classes` is no integer >= 0.
    """
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if class_names is None else len(class_names)
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 0:
        raise ValueError(f"`num_classes` must be an integer >= 0; received {num_classes!r}.")
    if class_names is None:
        class_names = tuple(str(number) for number in range(num_classes))
    is_text = isinstance(class_names, str)
    return int(num_classes), class_names if is_text else tuple(class_names)


def read_tf_dataset(dataset: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns images uint8 [N, H, W, 3] and labels [N] (None without) of a `tf.data.Dataset`.

    Raises:
        ValueError: if its elements are not as `ImageDataset.from_tf_dataset` says, if it has no
            end or no element, if its images differ in size, or if it cannot be read.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise ValueError(f"`dataset` must be a tf.data.Dataset; received {type(dataset).__name__}.")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must have an end, such as dataset.take(1000); received none.")
    batches = dataset if _is_batched(dataset) else dataset.batch(_BATCH_SIZE)
    images: list[np.ndarray] = []
    labels: list[Any] = []
    try:
        for image, label in map(_image_and_label, batches):
            images.append(np.asarray(as_uint8_images(image.numpy())))
            labels.append(None if label is None else label.numpy())
    except tf.errors.OpError as error:
        expected = "hold images of one size" if "Cannot batch" in error.message else "be readable"
        raise ValueError(f"`dataset` must {expected}; received: {plain_message(error)}") from error
    if len({part.shape[1:] for part in images}) != 1:
        found = sorted({part.shape[1:3] for part in images}) or "no image"
        raise ValueError(f"`dataset` must hold images of one size; received {found}.")
    has_labels = labels[0] is not None
    return np.concatenate(images), np.concatenate(labels) if has_labels else None


def _is_batched(dataset: Any) -> bool:
    image, label = _image_and_label(dataset.element_spec)
    rank = image.shape.rank if isinstance(image, tf.TensorSpec) else None
    is_dense = label is None or isinstance(label, tf.TensorSpec)
    if rank not in (3, 4) or not is_dense:
        raise ValueError(
            "`dataset` must hold dense images [H, W, 3], or batches of them [B, H, W, 3], with "
            f"a dense label each; received {dataset.element_spec}."
        )
    return bool(rank == 4)


def _image_and_label(element: Any) -> tuple[Any, Any]:
    """Returns image and label (None without) of an element, or of its specification."""
    if isinstance(element, dict):
        if "image" in element:
            return element["image"], element.get("label")
    elif not isinstance(element, tuple):
        return element, None
    elif len(element) == 2:
        return element
    found = f"the keys {sorted(element)}" if isinstance(element, dict) else f"{len(element)} parts"
    raise ValueError(
        "`dataset` must have elements (image, label), an image alone, or a dictionary with "
        f"`image` and maybe `label`; received {found}."
    )


def _as_array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # Rows of different lengths.
        raise ValueError(f"`{name}` must be an array: {error}") from None
