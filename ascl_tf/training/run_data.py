"""The images of a run: training and validation part, and the test set."""

from ascl_tf.data import datasets, splits
from ascl_tf.data.pipeline import steps_per_epoch
from ascl_tf.errors import ConfigError, MissingSplitError, RunError, renamed
from ascl_tf.evaluation.checks import explain_overlap

# An encoder halves the image three times; below this nothing is left to pool over.
MIN_IMAGE_SIZE = 8

AUTO = "auto"
# In place of `test`, in this order: ImageNet has train and val alone.
TEST_SPLITS = ("val", "validation")


def resolve_dataset_name(config):
    """Returns the config with `auto` replaced by what is at hand."""
    with renamed(name="dataset"):
        name = datasets.name_at_hand(
            config.dataset, data_dir=config.data_dir or None, download=config.download
        )
    if config.dataset == datasets.AUTO and name == datasets.BUNDLED:
        print(
            "notice: CIFAR-10 is not at hand; using the bundled 4,000 training images. "
            "For all 50,000 pass --download, or --data_dir with a folder in TFDS layout."
        )
    return config.replace(dataset=name)


def load_training_data(config, *, needs_labels=True, labeled_only=False):
    """Returns (train, validation): of splits of their own, or cut by seed, class-balanced.

    Args:
        config: `Config`.
        needs_labels: False where nothing looks at them. Without any there is no validation.
        labeled_only: whether labeled images stand for those without a label, so that an epoch
            has as many steps.

    Raises:
        RunError: if labels are needed and there are none, or if a cut would leave a class out.
    """
    dataset = _load(config, config.dataset, config.train_split, setting="train_split")
    if needs_labels:
        _check_labels(config, dataset)
    return _cut(config, dataset, needs_labels=needs_labels, labeled_only=labeled_only)


def _say(line):
    print(line, flush=True)


def _cut(config, dataset, *, needs_labels=True, labeled_only=False, say=_say):
    """Cuts the training split; `say` takes a line on what may surprise."""
    if config.num_train_images:
        count = _num_train_images(config, dataset, say)
        dataset = splits.class_balanced_subset(dataset, count, config.seed)
    dataset, validation = _with_validation(config, dataset, needs_labels, say)
    if config.labeled_fraction < 1 and dataset.num_labeled:
        dataset = splits.mask_labels(dataset, config.labeled_fraction, config.seed)
    return splits.repeat_labeled(dataset) if labeled_only else dataset, validation


def with_unlabeled_images(config, dataset):
    """Returns `dataset` with the images of `unlabeled_dataset`, labeled -1."""
    if not config.unlabeled_dataset:
        return dataset
    with renamed(dataset="unlabeled_dataset", unlabeled="unlabeled_dataset"):
        return splits.with_unlabeled(dataset, _load_unlabeled(config))


def _load_unlabeled(config):
    name = config.unlabeled_dataset
    try:
        return _load(config, name, _unlabeled_split(config))
    except MissingSplitError as missing:
        named = [split for split in missing.splits if "unlabel" in split.lower()]
        if not named:
            raise RunError(
                field="unlabeled_dataset",
                value=name,
                expected="a split train or unlabeled",
                found=f"the splits {', '.join(missing.splits)}",
            ) from None
    return _load(config, name, named[0])


def load_test_data(config):
    """Returns the test images that the config asks for, the first so many of them.

    Raises:
        RunError: if there is no such split, or too few images, or one without labels.
    """
    dataset = _load_test_split(config)
    if (dataset.labels < 0).any():
        raise RunError(
            field="test_split",
            expected=f"labels in the split of {dataset.name} that is tested on",
            found="images without",
        )
    # --smoke asked for few images, not for more than there are.
    count = min(config.num_images, len(dataset)) if config.smoke else config.num_images
    if count > len(dataset):
        raise RunError(
            field="num_images",
            expected=f"at most the {len(dataset)} test images of {dataset.name}",
            found=config.num_images,
        )
    return dataset.take(slice(count or None))


def fit_smoke_batches(config, train, num_replicas):
    """Returns the config with the batches of `--smoke` cut to the training images there are."""
    largest = len(train) // num_replicas * num_replicas
    if not config.smoke or max(config.global_batch_size, config.finetune_batch_size) <= largest:
        return config
    print(f"notice: --smoke: batches of {largest}, as there are {len(train)} images", flush=True)
    return config.replace(
        global_batch_size=min(config.global_batch_size, largest),
        finetune_global_batch_size=min(config.finetune_global_batch_size, largest),
    )


def explain_seen(config, test, trained_on=None, *, is_finetuned=True):
    """Returns what is suspicious about test images: they are in the training split, too.

    One line, empty if all is well; None where the training split is not at hand.

    Args:
        config: `Config`.
        test: `ImageDataset`.
        trained_on: SHA-256 of the images that the classifier was trained on, as
            `load_training_data` gives them; None where that is not known.
        is_finetuned: whether fine-tuning has trained it, or else its one stage.
    """
    try:
        split = _load(config, config.dataset, config.train_split)
        found = _training_part(config, split, is_finetuned).sha256 if trained_on else None
        if found != trained_on:
            return (
                f"the training images at hand (SHA-256 {found}) are not those that the classifier "
                f"was trained on ({trained_on}): whether it has seen test images cannot be told"
            )
        train = with_unlabeled_images(config, split)
    except (ConfigError, RunError):
        # It may be gone since the run has trained; what is measured needs none.
        return None
    return explain_overlap(test, train)


def _training_part(config, split, is_finetuned):
    """Returns what a classifier's own stage trains on, of the whole training split."""
    labeled_only = is_finetuned or not config.uses_unlabeled_images
    # What may surprise has been said before the stage.
    train, _ = _cut(config, split, labeled_only=labeled_only, say=lambda line: None)
    return train if is_finetuned else with_unlabeled_images(config, train)


def num_steps_per_epoch(dataset, global_batch_size):
    """Returns the number of whole batches in the training images."""
    return steps_per_epoch(len(dataset), global_batch_size)


def _num_train_images(config, dataset, say):
    if not config.smoke:
        return config.num_train_images
    # Two of a class, so that one of them can validate.
    count = min(max(config.num_train_images, 2 * dataset.num_classes), len(dataset))
    if count != config.num_train_images:
        reason = "all there are" if count == len(dataset) else "two of each class"
        say(f"notice: --smoke: {count} training images, not {config.num_train_images}: {reason}")
    return count


def _with_validation(config, dataset, needs_labels, say):
    """Returns (train, validation), the latter None where there is nothing to validate on."""
    if config.validation_split:
        name = config.validation_split
        if name == config.train_split:
            raise ConfigError(
                field="validation_split", expected="another split than `train_split`", found=name
            )
        validation = _load(config, config.dataset, name, setting="validation_split")
        if needs_labels:
            _check_same_images(dataset, validation)
    elif config.validation_fraction > 0 and dataset.num_labeled:
        with renamed(fraction="validation_fraction"):
            dataset, validation = splits.validation_split(
                dataset, config.validation_fraction, config.seed
            )
        _tell_of_raised_share(config, dataset, validation, say)
    else:
        return dataset, None
    if config.num_validation_images:
        count = min(config.num_validation_images, len(validation))
        validation = splits.class_balanced_subset(validation, count, config.seed)
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


def _tell_of_raised_share(config, train, validation, say):
    num_labeled = len(validation) + train.num_labeled
    asked = round(config.validation_fraction * num_labeled)
    if len(validation) != asked:
        say(
            f"notice: {len(validation)} validation images, at least one of each class that has "
            f"two; --validation_fraction={config.validation_fraction} of {num_labeled} are {asked}"
        )


def _load_test_split(config):
    if config.test_split != AUTO:
        if config.test_split == config.validation_split:
            print("notice: --test_split is the split that chose the best checkpoint", flush=True)
        return _load(config, config.dataset, config.test_split, setting="test_split")
    try:
        return _load(config, config.dataset, "test")
    except MissingSplitError as missing:
        taken = (config.train_split, config.validation_split)
        names = [n for n in TEST_SPLITS if n in missing.splits and n not in taken]
        if not names:
            raise RunError(
                field="test_split",
                expected=f"a split of {config.dataset} to test on, other than those of training "
                "and validation",
                found=f"the splits {', '.join(missing.splits)}",
            ) from None
    print(f"notice: no split test; tested on {names[0]} (--test_split names another)", flush=True)
    return _load(config, config.dataset, names[0])


def _load(config, name, split, *, setting=None):
    """Returns a split; where there is none, `setting` is named as what chooses another."""
    try:
        with renamed(name="dataset"):
            dataset = datasets.load_dataset(
                name,
                split,
                data_dir=config.data_dir or None,
                download=config.download,
                image_size=config.image_size or None,
            )
    except MissingSplitError as missing:
        if setting is None:
            raise
        raise RunError(
            field=setting,
            expected=f"one of the splits of {name}: {', '.join(missing.splits)}",
            found=split,
        ) from None
    height, width, _ = dataset.image_shape
    if min(height, width) < MIN_IMAGE_SIZE:
        raise RunError(
            field="dataset",
            value=name,
            expected=f"images of at least {MIN_IMAGE_SIZE} x {MIN_IMAGE_SIZE} pixels",
            found=f"{height} x {width} (`image_size` resizes)",
        )
    return dataset


def _unlabeled_split(config):
    base_name = config.unlabeled_dataset.partition(":")[0]  # without a version
    return "unlabelled" if base_name == "stl10" else "train"


def _check_labels(config, dataset):
    if dataset.num_labeled and dataset.num_classes > 1:
        return
    found = "none"
    if dataset.num_labeled:
        found = f"those of one class, {dataset.class_names[0]}"
    raise RunError(
        field="dataset",
        value=config.dataset,
        expected=f"labels, which {_use_of_labels(config)} needs",
        found=found,
    )


def _use_of_labels(config):
    """Returns what needs labels: the method, or else fine-tuning."""
    return ("fine-tuning after " if config.is_label_free else "") + f"`method={config.method}`"
