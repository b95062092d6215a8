"""Pretext tasks: images taken apart, turned, and put together again, and the labels of that.

All random numbers come from seeds, one pair per image. Images are [B, H, W, C].
"""

import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.errors import RunError

GRID = 4  # Patches per side, in selfie and in the jigsaw.
NUM_PATCHES = GRID * GRID
NUM_TURNS = 4
# Class 0 of the jigsaw is the image as it is. 30 permutations and the share of images that
# are left alone whatever was drawn: Chen et al.'s code.
NUM_JIGSAW_CLASSES = 31
UNTOUCHED_SHARE = 0.1


def patch_shape(image_shape):
    """Returns the shape (None, h, w, C) of patches of images of that shape (B, H, W, C)."""
    _, height, width, channels = image_shape
    return (None, height // GRID, width // GRID, channels)


def split_patches(images):
    """Returns the 16 patches of each image, [B, 16, H / 4, W / 4, C], row by row."""
    height, width, channels = images.shape[1:]
    sides = (height // GRID, width // GRID)
    cells = tf.reshape(images, [-1, GRID, sides[0], GRID, sides[1], channels])
    cells = tf.transpose(cells, [0, 1, 3, 2, 4, 5])  # [B, row, column, h, w, C]
    return tf.reshape(cells, [-1, NUM_PATCHES, *sides, channels])


def join_patches(patches):
    """Returns the images [B, H, W, C] of 16 patches each; undoes `split_patches`."""
    height, width, channels = patches.shape[2:]
    cells = tf.reshape(patches, [-1, GRID, GRID, height, width, channels])
    cells = tf.transpose(cells, [0, 1, 3, 2, 4, 5])  # [B, row, h, column, w, C]
    return tf.reshape(cells, [-1, GRID * height, GRID * width, channels])


def reorder_patches(images, orders):
    """Returns images whose patch j is the original's patch `orders[:, j]`, int32 [B, 16]."""
    return join_patches(tf.gather(split_patches(images), orders, batch_dims=1))


def draw_patch_orders(seed):
    """Returns a random order of the 16 patches for each image, int32 [B, 16].

    Args:
        seed: int32 [B, 2], one pair per image.
    """
    return tf.argsort(randomness.uniform([tf.shape(seed)[0], NUM_PATCHES], seed), axis=1)


def all_turns(images):
    """Returns the images turned by 0, 1, 2 and 3 quarters, counter-clockwise: four [B, H, H, C]."""
    transposed = tf.transpose(images, [0, 2, 1, 3])
    return [
        images,
        tf.reverse(transposed, [1]),
        tf.reverse(images, [1, 2]),
        tf.reverse(transposed, [2]),
    ]


def turn(images, turns):
    """Returns each image turned by its own number of quarters, `turns` int32 [B] in 0..3."""
    return tf.gather(tf.stack(all_turns(images), axis=1), turns, batch_dims=1)


def draw_turns(seed):
    """Returns a number of quarter turns for each image, int32 [B], each equally likely."""
    numbers = randomness.uniform([tf.shape(seed)[0]], seed)
    return tf.cast(tf.floor(numbers * NUM_TURNS), tf.int32)


def make_jigsaw_table(seed):
    """Returns the orders of patches that the jigsaw's classes stand for, int32 [31, 16].

    Class 0 is the order as it is; the others are drawn once from `seed`, int32 [2].
    """
    numbers = randomness.uniform([NUM_JIGSAW_CLASSES - 1, NUM_PATCHES], seed)
    unchanged = tf.range(NUM_PATCHES)[None, :]
    return tf.concat([unchanged, tf.argsort(numbers, axis=1)], axis=0)


def draw_jigsaw_classes(seed):
    """Returns a class of the jigsaw for each image, int32 [B].

    A tenth of the images gets class 0, the rest one of the 31 classes, 0 among them.
    """
    numbers = randomness.uniform([tf.shape(seed)[0], 2], seed)
    classes = tf.cast(tf.floor(numbers[:, 0] * NUM_JIGSAW_CLASSES), tf.int32)
    return tf.where(numbers[:, 1] < UNTOUCHED_SHARE, 0, classes)


def check_image_shape(method, image_shape, *, is_square=False, has_patches=False):
    """Raises RunError where images of that shape (B, H, W, C) do not suit the task.

    Args:
        method: name of the method, for the message.
        is_square: whether the images are turned.
        has_patches: whether they are cut into 4 x 4 patches.
    """
    height, width = image_shape[1:3]
    if has_patches and (height % GRID or width % GRID):
        raise RunError(
            field="method",
            value=method,
            expected=f"images whose height and width are multiples of {GRID}",
            found=f"{height} x {width} (`image_size` resizes)",
        )
    if is_square and height != width:
        raise RunError(
            field="method",
            value=method,
            expected="square images",
            found=f"{height} x {width} (`image_size` resizes)",
        )
