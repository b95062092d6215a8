"""Argument checks that every attack on a classifier makes before it starts."""

import math
import numbers
import textwrap

import numpy as np
import tensorflow as tf


def as_batch(logits_fn, images, labels):
    """Returns (images float32, labels int32, number of classes), checked.

    Values are checked if they are known, which they are outside a graph.

    Raises:
        ValueError: if shapes, types, ranges or the shape of the logits do not fit.
    """
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    check_shapes(images, labels)
    images = tf.cast(images, tf.float32)
    num_classes = check_logits(logits_fn(images), images)
    known_images, known_labels = known_value(images), known_value(labels)
    if known_images is not None and known_labels is not None:
        # Before the cast, which would turn 2**32 into class 0.
        check_values(known_images, known_labels, num_classes)
    return images, tf.cast(labels, tf.int32), num_classes


def as_tensor(name, value):
    """Returns an argument as a tensor; raises ValueError if it cannot be converted."""
    return _converted(name, value, tf.convert_to_tensor)


def as_array(name, value):
    """Returns an argument as an array; raises ValueError if it cannot be converted."""
    return _converted(name, value, np.asarray)


def _converted(name, value, convert):
    try:
        return convert(value)
    except (TypeError, ValueError) as error:  # Such as lists of unequal lengths.
        raise ValueError(f"`{name}` must be an array; received {_shown(value)}.") from error


def _shown(value):
    """Returns any value as one line."""
    return textwrap.shorten(repr(value), 100, placeholder=" ...")


def check_shapes(images, labels):
    """Raises ValueError unless images are [B, H, W, C] float and labels int [B].

    Both are arrays or tensors.
    """
    image_shape, label_shape = tf.TensorShape(images.shape), tf.TensorShape(labels.shape)
    if image_shape.rank != 4:
        raise ValueError(
            f"`images` must have shape [batch, height, width, channels]; received {image_shape}."
        )
    if not tf.as_dtype(images.dtype).is_floating:
        raise ValueError(
            "`images` must be floating point in [0, 1]; "
            f"received dtype {tf.as_dtype(images.dtype).name}."
        )
    if label_shape.rank != 1 or not label_shape.is_compatible_with(image_shape[:1]):
        raise ValueError(
            f"`labels` must have shape [batch], one per image; received {label_shape} "
            f"for images {image_shape}."
        )
    if not tf.as_dtype(labels.dtype).is_integer:
        raise ValueError(
            f"`labels` must be integers; received dtype {tf.as_dtype(labels.dtype).name}."
        )


def check_values(images, labels, num_classes):
    """Raises ValueError unless images (array) are in [0, 1] and labels (array) are classes."""
    check_pixels(images)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"`labels` must be from 0 to {num_classes - 1} for these {num_classes} classes; "
            f"received values from {labels.min()} to {labels.max()}."
        )


def check_pixels(images):
    """Raises ValueError unless images (array) are in [0, 1], and there is at least one."""
    if not images.size:
        raise ValueError(f"`images` must hold at least one image; received shape {images.shape}.")
    if not np.all(np.isfinite(images)):
        raise ValueError("`images` must be finite; received NaN or infinity.")
    if images.min() < 0 or images.max() > 1:
        raise ValueError(
            f"`images` must be in [0, 1]; received values from {images.min():g} to "
            f"{images.max():g}."
        )


def check_int32(labels):
    """Raises ValueError unless the integers `labels` (array) fit into int32."""
    if not _fits_int32(labels):
        raise ValueError(
            f"`labels` must be class ids below 2**31; received values from {labels.min()} to "
            f"{labels.max()}."
        )


def _fits_int32(integers):
    bounds = np.iinfo(np.int32)
    return not integers.size or bounds.min <= integers.min() <= integers.max() <= bounds.max


def check_logits(logits, images):
    """Returns the number of classes; raises ValueError unless logits are [B, K] float."""
    shape = getattr(logits, "shape", None)
    fits = shape is not None and len(shape) == 2 and shape[1] is not None
    if not fits or not tf.TensorShape(shape[:1]).is_compatible_with(images.shape[:1]):
        raise ValueError(
            "`logits_fn` must return logits of shape [batch, num_classes]; "
            f"received {type(logits).__name__ if shape is None else shape} "
            f"for images {images.shape}."
        )
    return int(shape[1])


def check_gradient(gradient):
    """Raises ValueError if `gradient` is None: the classifier has no gradient."""
    if gradient is None:
        raise ValueError(
            "`logits_fn` must be differentiable with respect to its images; "
            "received a function whose gradient is None."
        )


def check_positive(**settings):
    """Raises ValueError unless each setting is a finite number > 0."""
    for name, value in settings.items():
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not value > 0:
            raise ValueError(f"`{name}` must be > 0; received {_shown(value)}.")
        if value == math.inf:
            raise ValueError(f"`{name}` must be finite; received {value}.")


def check_not_negative(**settings):
    """Raises ValueError unless each setting is a finite number >= 0, if its value is known.

    It also takes tensors, whose values a graph may know only later.
    """
    for name, value in settings.items():
        known = known_value(value)
        if known is None:
            continue
        if not np.all(np.asarray(known) >= 0):
            raise ValueError(f"`{name}` must be >= 0; received {_shown(value)}.")
        if not np.all(np.isfinite(known)):
            raise ValueError(f"`{name}` must be finite; received {_shown(value)}.")


def check_numbers(shape, dtype, **settings):
    """Raises ValueError unless each setting holds real numbers that broadcast to `shape`.

    A setting is a Python number, an array, or a tensor of dtype `dtype`.
    """
    for name, value in settings.items():
        given = value if tf.is_tensor(value) else as_array(name, value)
        is_right = given.dtype == dtype if tf.is_tensor(value) else given.dtype.kind in "iuf"
        if not is_right:
            raise ValueError(
                f"`{name}` must be a number, or a tensor of type {dtype.name}; "
                f"received {_shown(value)}."
            )
        if not _broadcasts(given.shape, shape):
            raise ValueError(
                f"`{name}` must be a number, or broadcast to shape {shape}; "
                f"received shape {given.shape}."
            )


def _broadcasts(shape, target):
    try:
        together = tf.broadcast_static_shape(tf.TensorShape(shape), target)
    except ValueError:
        return False
    return together.is_compatible_with(target)


def known_value(value):
    """Returns the NumPy value of a number, array or tensor; None if the graph must run first."""
    if isinstance(value, tf.Variable):
        value = value.read_value()
    return tf.get_static_value(value) if tf.is_tensor(value) else value


def check_integer(name, value, least, most=None):
    """Raises ValueError unless `value` is an integer in that range."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or value < least or (most is not None and value > most):
        wanted = f">= {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be an integer {wanted}; received {value!r}.")


def check_counts(**settings):
    """Raises ValueError unless each setting is an integer >= 1 that an int32 can hold."""
    for name, value in settings.items():
        check_integer(name, value, 1, 2**31 - 1)


def check_seed(seed, images):
    """Raises ValueError unless `seed` is int32 [2], or [B, 2] with one pair per image.

    Too few pairs would broadcast and give several images the same noise.
    """
    has_tensors = any(map(tf.is_tensor, tf.nest.flatten(seed)))
    given = as_tensor("seed", seed) if has_tensors else as_array("seed", seed)
    is_int32 = given.dtype == tf.int32
    if not has_tensors:
        is_int32 = given.dtype.kind in "iu" and _fits_int32(given)
    shape, num_images = tf.TensorShape(given.shape), images.shape[0]
    if not is_int32 or not any(shape.is_compatible_with(s) for s in ([2], [num_images, 2])):
        raise ValueError(
            f"`seed` must be int32 [2], or [{num_images}, 2] with a pair for each image; "
            f"received {_shown(seed)}."
        )


def check_choice(name, value, choices):
    """Raises ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}; received {value!r}.")


def check_one_label_each(labels: np.ndarray, num_images: int) -> None:
    """Raises ValueError unless `labels` are integers [num_images]."""
    if labels.shape != (num_images,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"`labels` must be {num_images} integers, one per image; "
            f"received shape {labels.shape}, dtype {labels.dtype}."
        )
