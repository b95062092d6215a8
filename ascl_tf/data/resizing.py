"""Images brought to one size: bilinear, antialiased, rounded to uint8. Three ways for others than
squares; of a square all three make the same."""

import numpy as np
import tensorflow as tf

STRETCH, CROP, PAD = "stretch", "crop", "pad"
# What pictures of several sizes become where nobody says: the largest of these that is not above
# the median of the shorter sides, so that half of the pictures at least have the pixels.
SIZES = (32, 64, 128, 224)


def resize(images, image_size, how=CROP):
    """Returns uint8 images of `image_size` x `image_size` pixels.

    Args:
        images: uint8 [H, W, 3] or [B, H, W, 3], a tensor or array.
        image_size: Python int >= 1.
        how: "stretch", each side by a factor of its own; "crop", the shorter side becomes
            `image_size` and the longer one is cut to its center; "pad", the longer side becomes
            `image_size` and black borders fill the square up.
    """
    images = tf.convert_to_tensor(images)
    if images.shape[-3] is not None and images.shape[-3] == images.shape[-2]:
        how = STRETCH
    sides = tf.shape(images)[-3:-1]
    resized = _resized(images, _target(sides, image_size, how))
    if how == CROP:
        begin = (tf.shape(resized)[-3:-1] - image_size) // 2
        rows, columns = begin[0], begin[1]
        resized = resized[..., rows : rows + image_size, columns : columns + image_size, :]
    elif how == PAD:
        missing = image_size - tf.shape(resized)[-3:-1]
        around = tf.stack([missing // 2, missing - missing // 2], axis=1)
        none = tf.zeros([images.shape.rank - 3, 2], tf.int32)
        resized = tf.pad(resized, tf.concat([none, around, [[0, 0]]], axis=0))
    return tf.ensure_shape(resized, [*images.shape[:-3], image_size, image_size, images.shape[-1]])


def check_way(how):
    """Raises ValueError unless `how` is one of the three ways of `resize`."""
    ways = (STRETCH, CROP, PAD)
    if how not in ways:
        raise ValueError(f"`resize` must be one of {', '.join(ways)}; received {how!r}.")


def choose_size(sides):
    """Returns the one of `SIZES` for pictures whose shorter sides are `sides` (int [N])."""
    median = np.median(sides)
    return max((size for size in SIZES if size <= median), default=SIZES[0])


def _target(sides, image_size, how):
    """Returns [height, width] to which images of `sides` are resized before any cut or border."""
    if how == STRETCH:
        return tf.constant([image_size, image_size])
    sides = tf.cast(sides, tf.float64)
    side = tf.reduce_min(sides) if how == CROP else tf.reduce_max(sides)
    scaled = tf.cast(tf.round(sides * (image_size / side)), tf.int32)
    return tf.maximum(scaled, image_size if how == CROP else 1)


def _resized(images, size):
    resized = tf.image.resize(images, size, method="bilinear", antialias=True)
    # A convex sum of bytes needs no clipping but for rounding errors of the filter.
    return tf.saturate_cast(tf.round(resized), tf.uint8)
