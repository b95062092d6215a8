"""The images of a run: training and validation part, and the test set."""

from ascl_tf.config import SELF_SUPERVISED_METHODS
from ascl_tf.data import datasets, splits
from ascl_tf.data.pipeline import steps_per_epoch
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation.overlap import explain_overlap

# An encoder halves the image three times; below this nothing is left to pool over.
MIN_IMAGE_SIZE = 8


def resolve_dataset_name(config):
    """Returns the config with `auto` replaced by what is at hand."""
    name = datasets.name_at_hand(
        config.dataset, data_dir=config.data_dir or None, download=config.download
    )
    if config.dataset == datasets.AUTO and name == datasets.BUNDLED:
        print(
            "notice: CIFAR-10 is not at hand; using the bundled 4,000 training images. "
            "For all 50,000 pass --download, or --data_dir with a folder in TFDS layout."
        )
    return config.replace(dataset=name)


def load_training_data(config, *, needs_labels=False):
    """Returns (train, validation) as the config cuts them; both by seed, class-balanced.

    Where training `needs_labels` the labeled images stand for those without a label, so that an
    epoch has as many steps.
    """
    dataset = _load(config, config.dataset, "train")
    if config.num_train_images:
        dataset = splits.class_balanced_subset(dataset, config.num_train_images, config.seed)
    validation = None
    if config.validation_fraction > 0:
        dataset, validation = splits.validation_split(
            dataset, config.validation_fraction, config.seed
        )
        if config.num_validation_images:
            count = min(config.num_validation_images, len(validation))
            validation = splits.class_balanced_subset(validation, count, config.seed)
    _check_labels(config, dataset)
    if config.labeled_fraction < 1:
        dataset = splits.mask_labels(dataset, config.labeled_fraction, config.seed)
    return splits.repeat_labeled(dataset) if needs_labels else dataset, validation


def with_unlabeled_images(config, dataset):
    """Returns `dataset` with the images of `--unlabeled_dataset`, labelled -1."""
    if not config.unlabeled_dataset:
        return dataset
    unlabeled = _load(config, config.unlabeled_dataset, _unlabeled_split(config))
    return splits.with_unlabeled(dataset, unlabeled)


def load_test_data(config):
    """Returns the test images that the config asks for, the first so many of them."""
    dataset = _load(config, config.dataset, "test")
    if config.num_images > len(dataset):
        raise RunError(
            f"--num_images: expected at most the {len(dataset)} test images of {dataset.name}; "
            f"found {config.num_images}"
        )
    return dataset.take(slice(config.num_images or None))


def explain_seen(config, test):
    """Returns what is suspicious about test images: they are in the training split, too.

    One line, empty if all is well; None where the training split is not at hand.
    """
    try:
        train = with_unlabeled_images(config, _load(config, config.dataset, "train"))
    except (ConfigError, RunError):
        # It may be gone since the run has trained; what is measured needs none.
        return None
    return explain_overlap(test, train)


def num_steps_per_epoch(dataset, global_batch_size):
    """Returns the number of whole batches in the training images."""
    return steps_per_epoch(len(dataset), global_batch_size)


def _load(config, name, split):
    dataset = datasets.load_dataset(
        name,
        split,
        data_dir=config.data_dir or None,
        download=config.download,
        image_size=config.image_size or None,
    )
    height, width, _ = dataset.image_shape
    if min(height, width) < MIN_IMAGE_SIZE:
        raise RunError(
            f"--dataset={name}: expected images of at least {MIN_IMAGE_SIZE} x {MIN_IMAGE_SIZE} "
            f"pixels; found {height} x {width} (--image_size resizes)"
        )
    return dataset


def _unlabeled_split(config):
    base_name = config.unlabeled_dataset.partition(":")[0]  # without a version
    return "unlabelled" if base_name == "stl10" else "train"


def _check_labels(config, dataset):
    if config.method in SELF_SUPERVISED_METHODS and dataset.num_classes:
        return
    if dataset.num_classes < 2 or not (dataset.labels >= 0).any():
        raise RunError(
            f"--dataset={config.dataset}: expected labels, which --method={config.method} needs; "
            "found none"
        )
