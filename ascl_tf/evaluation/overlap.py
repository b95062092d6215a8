"""Whether test images were seen in training: a robust accuracy on those proves nothing.

Images count as the same if all their pixels are equal; near duplicates are not found.
"""

import hashlib

import numpy as np

CHECK = "seen_in_training"

# Exact copies that a published test set shares with its own training set.
_KNOWN_COPIES = {"cifar100": 10}


def count_seen(images, training_images):
    """Returns how many of `images` are also in `training_images`, pixel by pixel.

    Args:
        images, training_images: uint8 [N, H, W, C] and [M, H, W, C].

    Raises:
        ValueError: if one of them is not like that.
    """
    for name, array in (("images", images), ("training_images", training_images)):
        if array.dtype != np.uint8 or array.ndim != 4:
            raise ValueError(
                f"`{name}` must be uint8 with shape [num_images, height, width, channels]; "
                f"received {array.dtype} with shape {array.shape}."
            )
    if images.shape[1:] != training_images.shape[1:]:
        return 0
    seen = _hashes(training_images)
    return sum(_hash(image) in seen for image in images)


def explain_overlap(test, training):
    """Returns why an evaluation on `test` says little after training on `training`.

    Args:
        test, training: `ascl_tf.data.image_dataset.ImageDataset`s.

    Returns:
        One line, or an empty text if they share no image.
    """
    num_seen = count_seen(test.images, training.images)
    if not num_seen:
        return ""
    known = _KNOWN_COPIES.get(test.name.partition(":")[0].partition("/")[0], 0)
    line = (
        f"{num_seen} of {len(test.images)} test images are also among the {len(training.images)} "
        f"training images of {training.name}"
    )
    if 0 < num_seen <= known:
        return (
            f"{line}: {test.name} itself holds {known} such copies, which all numbers on it share "
            "(of near copies, which nothing here finds, it holds 10 %: arXiv:1902.00423)"
        )
    return f"{line}: a model that was trained on them may know them by heart"


def _hashes(images):
    return {_hash(image) for image in images}


def _hash(image):
    return hashlib.sha256(np.ascontiguousarray(image)).digest()
