"""What a program that measures loads first, with messages that name its flags."""

import tensorflow as tf

from ascl_tf.data.datasets import load_dataset, name_at_hand
from ascl_tf.errors import RunError
from ascl_tf.evaluation.inputs import as_unit_float
from ascl_tf.evaluation.logits import make_logits_function
from ascl_tf.evaluation.overlap import explain_overlap


def load_images(config):
    """Returns the data set that a program's flags name.

    Args:
        config: has `dataset`, `split`, `data_dir`, `download`, `image_size`, `num_images`.

    Raises:
        RunError: if it is not there, or has fewer than `num_images` images.
    """
    dataset = _load(config, config.split)
    if config.num_images > len(dataset.labels):
        raise RunError(
            f"--num_images: expected at most the {len(dataset.labels)} images of "
            f"{dataset.name}; found {config.num_images}"
        )
    return dataset


def explain_seen(config, dataset):
    """Returns what is suspicious about the images that count: some were seen in training.

    Args:
        config: as above, with `training_split`.
        dataset: what `load_images` has returned.

    Returns:
        One line, empty if all is well; None where there is no training split to look at.
    """
    if not config.training_split:
        return None
    try:
        training = _load(config, config.training_split)
    except RunError:
        # Many data sets have none; what is measured needs none.
        return None
    return explain_overlap(dataset.take(slice(config.num_images or None)), training)


def _load(config, split):
    data_dir = config.data_dir or None
    return load_dataset(
        name_at_hand(config.dataset, data_dir=data_dir, download=config.download),
        split,
        data_dir=data_dir,
        download=config.download,
        image_size=config.image_size or None,
    )


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
