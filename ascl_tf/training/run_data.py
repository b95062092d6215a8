"""The images of a run: training and validation part, and the test set."""

import dataclasses
from typing import NamedTuple

from ascl_tf.config.sections import (
    DataSettings,
    EvaluationSettings,
    RunSettings,
    read_memory_limit,
)
from ascl_tf.data import datasets, splits
from ascl_tf.data.datasets import TEST, TEST_SPLITS
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.errors import ConfigError, MissingSplitError, RunError, renamed
from ascl_tf.evaluation.checks import explain_overlap

# An encoder halves the image three times; below this nothing is left to pool over.
MIN_IMAGE_SIZE = 8

AUTO = "auto"


class GivenImages(NamedTuple):
    """Images of a caller, in place of those that the settings name.

    Attributes:
        train: what is trained on, before any cut that the settings ask for.
        validation: None: cut from `train`, as the settings say.
        unlabeled: further images for training; their labels are not looked at.
    """

    train: ImageDataset
    validation: ImageDataset | None = None
    unlabeled: ImageDataset | None = None


def resolve_dataset_name(data: DataSettings):
    """Returns the name of the data set, with `auto` replaced by what is at hand."""
    with renamed(name="dataset"):
        name = datasets.name_at_hand(
            data.dataset, data_dir=data.data_dir or None, download=data.download
        )
    if data.dataset == datasets.AUTO and name == datasets.BUNDLED:
        print(
            "notice: CIFAR-10 is not available; using the bundled 4,000 training images. "
            "For all 50,000, pass --download, or --data_dir with a folder in TFDS layout."
        )
    return name


def load_training_data(
    data: DataSettings,
    run: RunSettings,
    evaluation: EvaluationSettings,
    *,
    given: GivenImages | None = None,
    labels_for="",
    labeled_only=False,
):
    """Returns (train, validation): of splits of their own, or cut by seed, class-balanced.

    Args:
        data, run, evaluation: sections of the settings.
        given: images in place of those that `data` names.
        labels_for: what needs labels, in words for messages; empty: nothing looks at them.
            Without any there is no validation.
        labeled_only: whether labeled images stand for those without a label, so that an epoch
            has as many steps.

    Raises:
        RunError: if labels are needed and there are none, or if a cut would leave a class out.
    """
    if given is None:
        data = with_validation_of_folder(data)
        dataset = _load(data, data.dataset, data.train_split, setting="train_split")
    else:
        dataset = given.train
    if labels_for:
        _check_labels(data.dataset, dataset, labels_for)
    own = None if given is None else given.validation
    train, validation = _cut(
        data, run, dataset, own, needs_labels=bool(labels_for), labeled_only=labeled_only
    )
    if validation is not None and evaluation.num_validation_images:
        count = min(evaluation.num_validation_images, len(validation))
        validation = splits.class_balanced_subset(validation, count, run.seed)
    return train, validation


def _say(line):
    print(line, flush=True)


def with_validation_of_folder(data: DataSettings, say=_say):
    """Returns `data`, validated on the split that a folder has for that beside its `test`."""
    if data.validation_split or not data.validation_fraction:
        return data
    with renamed(name="dataset"):
        splits = datasets.splits_of_folder(data.dataset)
    test = TEST if data.test_split == AUTO else data.test_split
    found = [
        name for name in TEST_SPLITS if name in splits and name not in (test, data.train_split)
    ]
    if test not in splits or not found:
        return data
    say(f"notice: validating on the split {found[0]} (--validation_split selects another)")
    return dataclasses.replace(data, validation_split=found[0])


def _cut(
    data: DataSettings,
    run: RunSettings,
    dataset,
    validation=None,
    *,
    needs_labels,
    labeled_only,
    say=_say,
):
    """Cuts the training split; `say` takes a line on what may surprise."""
    if data.num_train_images:
        count = _num_train_images(data, run, dataset, say)
        with renamed(num_images="num_train_images"):
            dataset = splits.class_balanced_subset(dataset, count, run.seed)
    if validation is None:
        dataset, validation = _with_validation(data, run, dataset, needs_labels, say)
    elif needs_labels:
        _check_same_images(dataset, validation)
    if data.labeled_fraction < 1 and dataset.num_labeled:
        dataset = splits.mask_labels(dataset, data.labeled_fraction, run.seed)
    return splits.repeat_labeled(dataset) if labeled_only else dataset, validation


def with_unlabeled_images(data: DataSettings, dataset, given: GivenImages | None = None):
    """Returns `dataset` with the images of `unlabeled_dataset`, or given ones, labeled -1."""
    more = None if given is None else given.unlabeled
    if more is None and not data.unlabeled_dataset:
        return dataset
    with renamed(dataset="unlabeled_dataset", unlabeled="unlabeled_dataset"):
        return splits.with_unlabeled(dataset, _load_unlabeled(data) if more is None else more)


def _load_unlabeled(data: DataSettings):
    name = data.unlabeled_dataset
    is_stl10 = name.partition(":")[0] == "stl10"  # without a version
    try:
        return _load(data, name, "unlabelled" if is_stl10 else "train", is_cut=False)
    except MissingSplitError as missing:
        named = [split for split in missing.splits if "unlabel" in split.lower()]
        if not named:
            raise RunError(
                field="unlabeled_dataset",
                value=name,
                expected="a split train or unlabeled",
                found=f"the splits {', '.join(missing.splits)}",
            ) from None
    return _load(data, name, named[0], is_cut=False)


def load_training_split(data: DataSettings):
    """Returns the whole split that the settings train on."""
    return _load(data, data.dataset, data.train_split, setting="train_split")


def load_test_data(data: DataSettings, *, num_images=0, smoke=False):
    """Returns the first `num_images` test images that the settings name; 0: all.

    Raises:
        RunError: if there is no such split, or too few images (`smoke` takes fewer), or one
            without labels.
    """
    dataset = _load_test_split(data)
    if (dataset.labels < 0).any():
        raise RunError(
            field="test_split",
            expected=f"labels in the split of {dataset.name} that is tested on",
            found="images without",
        )
    # --smoke asked for few images, not for more than there are.
    count = min(num_images, len(dataset)) if smoke else num_images
    if count > len(dataset):
        raise RunError(
            field="num_images",
            expected=f"at most the {len(dataset)} test images of {dataset.name}",
            found=num_images,
        )
    return dataset.take(slice(count or None))


def check_test_images(train, test):
    """Raises RunError unless test images have the shape of those of training."""
    if test.image_shape != train.image_shape:
        raise RunError(
            field="test_split",
            expected=f"images of shape {train.image_shape}, as in training",
            found=f"{test.image_shape}; `image_size` resizes both",
        )


def check_as_in_training(data: DataSettings, test):
    """As `check_test_images`, where the training split that the settings name is at hand."""
    try:
        train = _load(data, data.dataset, data.train_split)
    except (ConfigError, RunError):
        return  # It may be gone since the run has trained.
    check_test_images(train, test)


def explain_seen(data: DataSettings, run: RunSettings, test, trained_on=None, *, labeled_only=True):
    """Returns what is suspicious about test images: they are in the training split, too.

    One line, empty if all is well; None where the training split is not at hand.

    Raises:
        RunError: if the images of the two differ in shape.

    Args:
        data, run: sections of the settings.
        test: `ImageDataset`.
        trained_on: SHA-256 of the images that the classifier was trained on, as
            `load_training_data` gives them; None where that is not known.
        labeled_only: whether its stage was trained on labeled images alone.
    """
    try:
        split = _load(data, data.dataset, data.train_split)
        found = _training_part(data, run, split, labeled_only).sha256 if trained_on else None
        if found != trained_on:
            return (
                f"the training images available now (SHA-256 {found}) are not those that the "
                f"classifier was trained on ({trained_on}): cannot tell whether it saw test images"
            )
        train = with_unlabeled_images(data, split)
    except (ConfigError, RunError):
        # It may be gone since the run has trained; what is measured needs none.
        return None
    check_test_images(split, test)
    return explain_overlap(test, train)


def _training_part(data: DataSettings, run: RunSettings, split, labeled_only):
    """Returns what a classifier's own stage trains on, of the whole training split."""
    # What may surprise has been said before the stage.
    quiet = {"say": lambda line: None}
    data = with_validation_of_folder(data, **quiet)
    train, _ = _cut(data, run, split, needs_labels=True, labeled_only=labeled_only, **quiet)
    return train if labeled_only else with_unlabeled_images(data, train)


def _num_train_images(data: DataSettings, run: RunSettings, dataset, say):
    if not run.smoke:
        return data.num_train_images
    # Two of a class, so that one of them can validate.
    count = min(max(data.num_train_images, 2 * dataset.num_classes), len(dataset))
    if count != data.num_train_images:
        reason = "all there are" if count == len(dataset) else "two of each class"
        say(f"notice: --smoke: {count} training images, not {data.num_train_images}: {reason}")
    return count


def _with_validation(data: DataSettings, run: RunSettings, dataset, needs_labels, say):
    """Returns (train, validation), the latter None where there is nothing to validate on."""
    if data.validation_split:
        name = data.validation_split
        if name == data.train_split:
            raise ConfigError(
                field="validation_split", expected="another split than `train_split`", found=name
            )
        validation = _load(data, data.dataset, name, setting="validation_split")
        if needs_labels:
            _check_same_images(dataset, validation)
    elif data.validation_fraction > 0 and dataset.num_labeled:
        with renamed(fraction="validation_fraction"):
            dataset, validation = splits.validation_split(
                dataset, data.validation_fraction, run.seed
            )
        _tell_of_raised_share(data.validation_fraction, dataset, validation, say)
    else:
        validation = None
    return dataset, validation


def _check_same_images(train, validation):
    is_labeled = (validation.labels >= 0).all()
    if validation.image_shape != train.image_shape or not is_labeled:
        found = f"{validation.image_shape}" if is_labeled else "images without labels"
        raise RunError(
            field="validation_split",
            expected=f"images of shape {train.image_shape} with labels, as in training",
            found=found,
        )
    if validation.labels.max() >= train.num_classes:
        raise RunError(
            field="validation_split",
            expected=f"labels of the {train.num_classes} classes of training",
            found=f"labels up to {validation.labels.max()}",
        )


def _tell_of_raised_share(fraction, train, validation, say):
    num_labeled = len(validation) + train.num_labeled
    asked = round(fraction * num_labeled)
    if len(validation) != asked:
        say(
            f"notice: {len(validation)} validation images, at least one of each class that has "
            f"two; --validation_fraction={fraction} of {num_labeled} would be {asked}"
        )


def _load_test_split(data: DataSettings):
    if data.test_split != AUTO:
        if data.test_split == data.validation_split:
            print("notice: --test_split is the split that selected the best checkpoint", flush=True)
        return _load(data, data.dataset, data.test_split, setting="test_split")
    try:
        return _load(data, data.dataset, TEST)
    except MissingSplitError as missing:
        taken = (data.train_split, data.validation_split)
        names = [n for n in TEST_SPLITS if n in missing.splits and n not in taken]
        if not names:
            raise RunError(
                field="test_split",
                expected=f"a split of {data.dataset} to test on, other than those of training "
                "and validation",
                found=f"the splits {', '.join(missing.splits)}",
            ) from None
    print(
        f"notice: no split test; testing on {names[0]} (--test_split selects another)", flush=True
    )
    return _load(data, data.dataset, names[0])


def _load(data: DataSettings, name, split, *, setting=None, is_cut=True):
    """Returns a split; where there is none, `setting` is named as what chooses another.

    `is_cut`: whether images to test on are taken out of a folder that tells no splits. Those
    without labels serve all, unless they are of the folder that is tested on.
    """
    try:
        with renamed(name="dataset"):
            dataset = datasets.load_dataset(
                name,
                split,
                data_dir=data.data_dir or None,
                download=data.download,
                image_size=data.image_size or None,
                resize=data.resize,
                test_fraction=data.test_fraction if is_cut or name == data.dataset else 0.0,
                split_seed=data.split_seed,
                memory_limit=read_memory_limit(data.memory_limit),
                cache_dir=data.cache_dir or None,
            )
    except MissingSplitError as missing:
        if setting is None:
            raise
        raise RunError(
            field=setting,
            expected=f"one of the splits of {name}: {', '.join(missing.splits)}",
            found=split,
        ) from None
    check_size(dataset, "dataset", name)
    return dataset


def check_size(dataset, field, name):
    """Raises RunError, naming a setting and its value, if images are too small for a network."""
    height, width, _ = dataset.image_shape
    if min(height, width) < MIN_IMAGE_SIZE:
        raise RunError(
            field=field,
            value=name,
            expected=f"images of at least {MIN_IMAGE_SIZE} x {MIN_IMAGE_SIZE} pixels",
            found=f"{height} x {width} (`image_size` resizes)",
        )


def _check_labels(name, dataset, labels_for):
    if dataset.num_labeled and dataset.num_classes > 1:
        return
    found = "none"
    if dataset.num_labeled:
        found = f"those of one class, {dataset.class_names[0]}"
    raise RunError(
        field="dataset",
        value=name,
        expected=f"labels, which {labels_for} needs",
        found=found,
    )
