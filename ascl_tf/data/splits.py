"""Cutting, masking and joining data sets, by seed.

All draws are stratified: every class gives its share, rounded by largest remainder,
so that class-balanced sets stay class-balanced and others keep their proportions; a
rare class gives at least one.
Images keep their order. NumPy generators are seeded with (seed, purpose), so one seed
gives unrelated draws for unrelated purposes, whatever the order of the calls.
"""

import dataclasses
import math

import numpy as np

from ascl_tf.data.image_dataset import UNLABELED, ImageDataset
from ascl_tf.data.mapped_images import joined
from ascl_tf.errors import RunError

_VALIDATION, _LABELS, _SUBSET, _TEST = 1, 2, 3, 4


def validation_split(dataset, fraction, seed):
    """Cuts a stratified part off a training set.

    Each class that has two images gives at least one, also where that makes the part larger
    than `fraction`; the only image of a class stays in training, as do unlabeled images (-1):
    accuracy is not defined on them.

    Args:
        dataset: `ImageDataset`.
        fraction: float in (0, 1), the validation set's share of the labeled images.
        seed: Python int >= 0.

    Returns:
        Pair (train, validation) of disjoint `ImageDataset`s, each in the old order.

    Raises:
        ValueError: if `fraction` does not lie in (0, 1).
        RunError: if no class has two images, or if a class would be missing in training.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`fraction` must lie in (0, 1); received {fraction}.")
    labeled = np.flatnonzero(dataset.labels != UNLABELED)
    num_validation = round(fraction * len(labeled))
    chosen = _stratified(
        dataset.labels, labeled, num_validation, seed, _VALIDATION, keeps_singles=True
    )
    if not len(chosen):
        raise RunError(
            field="dataset",
            value=dataset.name,
            expected="at least one validation image of every class",
            found="none with two images; `fraction=0` validates on none",
        )
    train = dataset.take(np.setdiff1d(np.arange(len(dataset)), chosen))
    missing = _missing_class(dataset, train)
    if missing is not None:
        share = _validation_share(dataset.labels[labeled], fraction, seed)
        raise RunError(
            field="dataset",
            value=dataset.name,
            expected="at least one training image of every class",
            found=f"none of class {missing!r} with a validation share of {fraction}; "
            f"`fraction={share}` leaves one",
        )
    return train, dataset.take(chosen)


def choose_test_part(labels, fraction, seed):
    """Returns which images of a set without a test split are tested on, int [M], ascending.

    As in `validation_split`, each class that has two images gives at least one, and the only
    image of a class stays in training.

    Args:
        labels: NumPy int [N], class ids.
        fraction: float in (0, 1), the part's share of the images.
        seed: Python int >= 0.
    """
    everything = np.arange(len(labels))
    count = round(fraction * len(labels))
    return _stratified(labels, everything, count, seed, _TEST, keeps_singles=True)


def mask_labels(dataset, labeled_fraction, seed):
    """Returns the data set with the labels of a stratified part kept, the rest -1.

    Each class keeps at least one where the share gives as many labels as there are classes.

    Args:
        dataset: `ImageDataset`.
        labeled_fraction: float in (0, 1], share of the labeled images that stay so.
        seed: Python int >= 0.

    Raises:
        ValueError: if `labeled_fraction` does not lie in (0, 1].
        RunError: if a class would keep no label.
    """
    if not 0 < labeled_fraction <= 1:
        raise ValueError(f"`labeled_fraction` must lie in (0, 1]; received {labeled_fraction}.")
    labeled = np.flatnonzero(dataset.labels != UNLABELED)
    num_kept = round(labeled_fraction * len(labeled))
    kept = _stratified(dataset.labels, labeled, num_kept, seed, _LABELS)
    labels = np.full_like(dataset.labels, UNLABELED)
    labels[kept] = dataset.labels[kept]
    masked = dataclasses.replace(dataset, labels=labels)
    missing = _missing_class(dataset, masked)
    if missing is not None:
        share = _rounded_up(len(np.unique(dataset.labels[labeled])), len(labeled))
        raise RunError(
            field="dataset",
            value=dataset.name,
            expected="at least one labeled image of every class",
            found=f"none of class {missing!r} with `labeled_fraction={labeled_fraction}`; "
            f"`labeled_fraction={share}` leaves one",
        )
    return masked


def repeat_labeled(dataset):
    """Returns as many images as `dataset` has, all with a label.

    The labeled ones in their order, again and again; a data set without any other is returned
    as it is.

    Raises:
        RunError: if no image has a label.
    """
    labeled = np.flatnonzero(dataset.labels != UNLABELED)
    if len(labeled) == len(dataset):
        return dataset
    if not len(labeled):
        raise RunError(
            field="dataset",
            value=dataset.name,
            expected="labels, which this training needs",
            found="none",
        )
    return dataset.take(np.resize(labeled, len(dataset)))


def class_balanced_subset(dataset, num_images, seed):
    """Returns `num_images` images, stratified by class, in the old order.

    Each class gives at least one if there are no more classes than images asked for.

    Args:
        dataset: `ImageDataset`; unlabeled images count as one more class.
        num_images: int in 1..N.
        seed: Python int >= 0.

    Raises:
        RunError: if the data set does not hold that many images, or none is asked for.
    """
    if not 1 <= num_images <= len(dataset):
        raise RunError(
            field="num_images",
            expected=f"1 to {len(dataset)}, the images of {dataset.name}",
            found=num_images,
        )
    everything = np.arange(len(dataset))
    return dataset.take(_stratified(dataset.labels, everything, num_images, seed, _SUBSET))


def with_unlabeled(dataset: ImageDataset, unlabeled: ImageDataset) -> ImageDataset:
    """Returns `dataset` followed by the images of `unlabeled`, whose labels become -1.

    Args:
        dataset, unlabeled: `ImageDataset`s; images in files are not read.

    Raises:
        RunError: if the images of the two sets differ in size.

    Example:
        >>> images = np.zeros([2, 8, 8, 3], np.uint8)
        >>> dataset = ImageDataset.from_arrays(images, [0, 1])
        >>> with_unlabeled(dataset, ImageDataset.from_arrays(images)).labels.tolist()
        [0, 1, -1, -1]
    """
    if dataset.image_shape != unlabeled.image_shape:
        raise RunError(
            field="unlabeled",
            value=unlabeled.name,
            expected=f"images of shape {dataset.image_shape} as in {dataset.name}",
            found=f"{unlabeled.image_shape}; pass `image_size` to resize both",
        )
    hidden = np.full([len(unlabeled)], UNLABELED, np.int32)
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}+{unlabeled.name}",
        images=joined(dataset.images, unlabeled.images),
        labels=np.concatenate([dataset.labels, hidden]),
    )


def _stratified(labels, candidates, num_chosen, seed, purpose, *, keeps_singles=False):
    """Returns `num_chosen` of the indices `candidates`, ascending, by class share."""
    rng = np.random.default_rng([seed, purpose])
    classes, counts = np.unique(labels[candidates], return_counts=True)
    quotas = _quotas(counts, num_chosen, rng, keeps_singles=keeps_singles)
    chosen = [
        rng.permutation(candidates[labels[candidates] == label])[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen)) if chosen else candidates


def _quotas(counts, total, rng, *, keeps_singles):
    """Divides `total` in proportion to `counts`; ties of the remainders go by lot.

    No class goes without if `total` is enough for all. With `keeps_singles` classes of one
    give nothing and all others something, whatever `total` is.
    """
    # Whole numbers throughout: a rounding error must not move an image.
    quotas, remainders = np.divmod(counts.astype(np.int64) * total, max(counts.sum(), 1))
    order = np.lexsort([rng.permutation(len(counts)), -remainders])
    quotas[order[: total - quotas.sum()]] += 1
    least = (counts > 1) if keeps_singles else np.full(len(counts), total >= len(counts))
    quotas = np.maximum(quotas, least)
    if keeps_singles:
        quotas[counts == 1] = 0
    # What rare classes were given is taken from the largest parts.
    while quotas.sum() > total and np.any(quotas > least):
        quotas[np.argmax(quotas - least)] -= 1
    return quotas


def _validation_share(labels, fraction, seed):
    """Returns the share nearest to `fraction` that leaves each class a training image."""
    _, counts = np.unique(labels, return_counts=True)

    def works(share):
        rng = np.random.default_rng([seed, _VALIDATION])
        total = round(share * len(labels))
        return np.all(_quotas(counts, total, rng, keeps_singles=True) < counts)

    shares = [percent / 100 for percent in range(1, 91)]
    return min(filter(works, shares), key=lambda share: abs(share - fraction))


def _rounded_up(part, whole):
    """Returns part / whole, rounded up to whole percent."""
    return math.ceil(100 * part / whole) / 100


def _missing_class(whole, part):
    """Returns the name of the first class of `whole` of which `part` has no image, or None."""
    missing = np.setdiff1d(whole.labels, np.append(part.labels, UNLABELED))
    return whole.class_names[missing[0]] if len(missing) else None
