"""What a program that measures loads first, with messages that name its flags."""

import tensorflow as tf

from ascl_tf.data.datasets import load_dataset, name_at_hand
from ascl_tf.errors import RunError
from ascl_tf.evaluation.inputs import as_unit_float
from ascl_tf.evaluation.logits import make_logits_function


def load_images(config):
    """Returns the data set that a program's flags name.

    Args:
        config: has `dataset`, `split`, `data_dir`, `download`, `image_size`, `num_images`.

    Raises:
        RunError: if it is not there, or has fewer than `num_images` images.
    """
    data_dir = config.data_dir or None
    dataset = load_dataset(
        name_at_hand(config.dataset, data_dir=data_dir, download=config.download),
        config.split,
        data_dir=data_dir,
        download=config.download,
        image_size=config.image_size or None,
    )
    if config.num_images > len(dataset.labels):
        raise RunError(
            f"--num_images: expected at most the {len(dataset.labels)} images of "
            f"{dataset.name}; found {config.num_images}"
        )
    return dataset


def check_fit(classifier, dataset, named):
    """Tries a model on one image, so that a misfit is one line and not a traceback.

    Raises:
        RunError: that begins with `named`, if the model returns no logits.
    """
    images = tf.constant(as_unit_float(dataset.images[:1]))
    try:
        make_logits_function(classifier)(images)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise RunError(
            f"{named}: expected logits for float32 images of shape "
            f"{tuple(images.shape[1:])}; found {type(error).__name__}: {reason}"
        ) from error
