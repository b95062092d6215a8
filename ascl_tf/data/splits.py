"""Cutting, masking and joining data sets, by seed.

All draws are stratified: every class gives its share, rounded by largest remainder,
so that class-balanced sets stay class-balanced and others keep their proportions.
Images keep their order. NumPy generators are seeded with (seed, purpose), so one seed
gives unrelated draws for unrelated purposes, whatever the order of the calls.
"""

import dataclasses

import numpy as np

from ascl_tf.data.image_dataset import UNLABELLED
from ascl_tf.errors import RunError

_VALIDATION, _LABELS, _SUBSET = 1, 2, 3


def validation_split(dataset, fraction, seed):
    """Cuts a stratified part off a training set.

    Unlabelled images (-1) stay in training: accuracy is not defined on them.

    Args:
        dataset: `ImageDataset`.
        fraction: float in (0, 1), the validation set's share of the labelled images.
        seed: Python int >= 0.

    Returns:
        Pair (train, validation) of disjoint `ImageDataset`s, each in the old order.

    Raises:
        ValueError: if `fraction` does not lie in (0, 1).
        RunError: if a class would be missing on either side.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie in (0, 1); received {fraction}.")
    labelled = np.flatnonzero(dataset.labels != UNLABELLED)
    num_validation = round(fraction * len(labelled))
    chosen = _stratified(dataset.labels, labelled, num_validation, seed, _VALIDATION)
    validation = dataset.take(chosen)
    train = dataset.take(np.setdiff1d(np.arange(len(dataset)), chosen))
    for part, what in ((validation, "validation"), (train, "training")):
        _check_all_classes(dataset, part, f"a validation share of {fraction}", what)
    return train, validation


def mask_labels(dataset, labeled_fraction, seed):
    """Returns the data set with the labels of a stratified part kept, the rest -1.

    Args:
        dataset: `ImageDataset`.
        labeled_fraction: float in (0, 1], share of the labelled images that stay so.
        seed: Python int >= 0.

    Raises:
        ValueError: if `labeled_fraction` does not lie in (0, 1].
        RunError: if a class would keep no label.
    """
    if not 0 < labeled_fraction <= 1:
        raise ValueError(f"`labeled_fraction` must lie in (0, 1]; received {labeled_fraction}.")
    labelled = np.flatnonzero(dataset.labels != UNLABELLED)
    num_kept = round(labeled_fraction * len(labelled))
    kept = _stratified(dataset.labels, labelled, num_kept, seed, _LABELS)
    labels = np.full_like(dataset.labels, UNLABELLED)
    labels[kept] = dataset.labels[kept]
    masked = dataclasses.replace(dataset, labels=labels)
    _check_all_classes(dataset, masked, f"--labeled_fraction={labeled_fraction}", "labelled")
    return masked


def repeat_labeled(dataset):
    """Returns as many images as `dataset` has, all with a label.

    The labeled ones in their order, again and again; a data set without any other is returned
    as it is.

    Raises:
        RunError: if no image has a label.
    """
    labeled = np.flatnonzero(dataset.labels != UNLABELLED)
    if len(labeled) == len(dataset):
        return dataset
    if not len(labeled):
        raise RunError(
            f"--dataset={dataset.name}: expected labels, which this training needs; found none."
        )
    return dataset.take(np.resize(labeled, len(dataset)))


def class_balanced_subset(dataset, num_images, seed):
    """Returns `num_images` images, stratified by class, in the old order.

    Args:
        dataset: `ImageDataset`; unlabelled images count as one more class.
        num_images: int in 1..N.
        seed: Python int >= 0.

    Raises:
        RunError: if the data set does not hold that many images, or none is asked for.
    """
    if not 1 <= num_images <= len(dataset):
        raise RunError(
            f"--dataset={dataset.name}: expected to take 1 to {len(dataset)} images, "
            f"found a request for {num_images}."
        )
    everything = np.arange(len(dataset))
    return dataset.take(_stratified(dataset.labels, everything, num_images, seed, _SUBSET))


def with_unlabeled(dataset, unlabeled):
    """Returns `dataset` followed by the images of `unlabeled`, whose labels become -1.

    Raises:
        RunError: if the images of the two sets differ in size.
    """
    if dataset.image_shape != unlabeled.image_shape:
        raise RunError(
            f"--unlabeled_dataset={unlabeled.name}: expected images of shape "
            f"{dataset.image_shape} as in {dataset.name}, found {unlabeled.image_shape}; "
            "pass --image_size to resize both."
        )
    hidden = np.full([len(unlabeled)], UNLABELLED, np.int32)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}+{unlabeled.name}",
        images=np.concatenate([dataset.images, unlabeled.images]),
        labels=np.concatenate([dataset.labels, hidden]),
    )


def _stratified(labels, candidates, num_chosen, seed, purpose):
    """Returns `num_chosen` of the indices `candidates`, ascending, by class share."""
    rng = np.random.default_rng([seed, purpose])
    classes, counts = np.unique(labels[candidates], return_counts=True)
    chosen = [
        rng.permutation(candidates[labels[candidates] == label])[:quota]
        for label, quota in zip(classes, _quotas(counts, num_chosen, rng), strict=True)
    ]
    return np.sort(np.concatenate(chosen)) if chosen else candidates


def _quotas(counts, total, rng):
    """Divides `total` in proportion to `counts`; ties of the remainders go by lot."""
    # Whole numbers throughout: a rounding error must not move an image.
    quotas, remainders = np.divmod(counts.astype(np.int64) * total, max(counts.sum(), 1))
    order = np.lexsort([rng.permutation(len(counts)), -remainders])
    quotas[order[: total - quotas.sum()]] += 1
    return quotas


def _check_all_classes(whole, part, request, what):
    missing = np.setdiff1d(whole.labels, np.append(part.labels, UNLABELLED))
    if len(missing) or not np.any(part.labels != UNLABELLED):
        found = f"none of class {missing[0]}" if len(missing) else "none"
        raise RunError(
            f"--dataset={whole.name}: expected at least one {what} image of every class, "
            f"found {found} with {request}."
        )
