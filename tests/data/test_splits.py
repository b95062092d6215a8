import dataclasses
import re

import numpy as np
import pytest

from ascl_tf.data import ImageDataset
from ascl_tf.data.splits import (
    class_balanced_subset,
    mask_labels,
    validation_split,
    with_unlabeled,
)
from ascl_tf.errors import RunError


def _dataset(counts=(40, 40, 40), num_unlabeled=0, size=2):
    """Images whose first pixels spell their place in the set, classes interleaved."""
    labels = np.repeat([*range(len(counts)), -1], [*counts, num_unlabeled])
    labels = np.random.default_rng(5).permutation(labels).astype(np.int32)
    images = np.zeros([len(labels), size, size, 3], np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels)) % 256
    images[:, 0, 0, 1] = np.arange(len(labels)) // 256
    names = tuple(str(c) for c in range(len(counts)))
    return ImageDataset("toy", images, labels, len(counts), names)


def _places(dataset):
    return dataset.images[:, 0, 0, 0].astype(int) + 256 * dataset.images[:, 0, 0, 1].astype(int)


def _counts(dataset):
    return {int(c): int(np.sum(dataset.labels == c)) for c in np.unique(dataset.labels)}


def test_validation_is_a_balanced_tenth_disjoint_from_training():
    dataset = _dataset()
    train, validation = validation_split(dataset, 0.1, seed=0)
    assert _counts(validation) == {0: 4, 1: 4, 2: 4}
    assert _counts(train) == {0: 36, 1: 36, 2: 36}
    both = np.concatenate([_places(train), _places(validation)])
    np.testing.assert_array_equal(np.sort(both), np.arange(120))


def test_both_parts_keep_the_order_and_their_labels():
    dataset = _dataset()
    for part in validation_split(dataset, 0.25, seed=1):
        assert np.all(np.diff(_places(part)) > 0)
        np.testing.assert_array_equal(part.labels, dataset.labels[_places(part)])


def test_the_seed_alone_decides_the_split():
    dataset = _dataset()
    first, again, other = (validation_split(dataset, 0.2, seed=s)[1] for s in (3, 3, 4))
    np.testing.assert_array_equal(_places(first), _places(again))
    assert not np.array_equal(_places(first), _places(other))


def test_unlabeled_images_stay_in_training():
    train, validation = validation_split(_dataset(num_unlabeled=30), 0.1, seed=0)
    assert _counts(validation) == {0: 4, 1: 4, 2: 4}
    assert _counts(train)[-1] == 30


def test_unbalanced_classes_keep_their_shares_by_largest_remainder():
    # Shares of 25 from 100, 40, 10 are 16.67, 6.67, 1.67: two of the three gain one.
    _, validation = validation_split(_dataset((100, 40, 10)), 25 / 150, seed=0)
    counts = _counts(validation)
    assert len(validation) == 25
    assert all(
        n in (floor, floor + 1) for n, floor in zip(counts.values(), (16, 6, 1), strict=True)
    )


def test_each_image_is_equally_likely_to_be_chosen():
    dataset = _dataset((10, 10))
    hits = np.zeros(20)
    for seed in range(400):
        hits[_places(validation_split(dataset, 0.2, seed=seed)[1])] += 1
    # Binomial(400, 0.2): mean 80, standard deviation 8.
    assert np.all(np.abs(hits - 80) < 5 * 8)


def test_masking_keeps_a_balanced_part_of_the_labels_and_all_images():
    dataset = _dataset()
    masked = mask_labels(dataset, 0.25, seed=2)
    assert _counts(masked) == {-1: 90, 0: 10, 1: 10, 2: 10}
    kept = masked.labels != -1
    np.testing.assert_array_equal(masked.labels[kept], dataset.labels[kept])
    np.testing.assert_array_equal(masked.images, dataset.images)


def test_masking_nothing_changes_nothing():
    dataset = _dataset()
    np.testing.assert_array_equal(mask_labels(dataset, 1.0, seed=0).labels, dataset.labels)


def test_masking_leaves_the_original_untouched():
    dataset = _dataset()
    mask_labels(dataset, 0.5, seed=0)
    assert -1 not in dataset.labels


def test_subset_is_balanced_and_ordered():
    subset = class_balanced_subset(_dataset(), 30, seed=0)
    assert _counts(subset) == {0: 10, 1: 10, 2: 10}
    assert np.all(np.diff(_places(subset)) > 0)


def test_subset_of_everything_is_everything():
    dataset = _dataset((7, 5, 3))
    np.testing.assert_array_equal(_places(class_balanced_subset(dataset, 15, 0)), np.arange(15))


def test_subset_that_does_not_divide_differs_by_one_at_most():
    counts = _counts(class_balanced_subset(_dataset(), 31, seed=0)).values()
    assert sorted(counts) == [10, 10, 11]


def test_draws_for_different_purposes_differ():
    dataset = _dataset()
    validation = validation_split(dataset, 0.25, seed=0)[1]
    subset = class_balanced_subset(dataset, 30, seed=0)
    assert not np.array_equal(_places(validation), _places(subset))


def test_unlabeled_images_are_appended_without_labels():
    dataset, other = _dataset(), _dataset((5, 6))
    joined = with_unlabeled(dataset, other)
    np.testing.assert_array_equal(joined.labels[:120], dataset.labels)
    assert joined.labels[120:].tolist() == [-1] * 11
    np.testing.assert_array_equal(joined.images[120:], other.images)
    assert (joined.num_classes, joined.name) == (3, "toy+toy")


def test_unlabeled_images_of_another_size_are_refused():
    with pytest.raises(RunError, match=r"`unlabeled=toy`.*\(2, 2, 3\).*\(4, 4, 3\)"):
        with_unlabeled(_dataset(), _dataset(size=4))


def test_pseudo_labels_follow_every_cut_and_cannot_be_joined():
    dataset = _dataset()
    dataset = dataclasses.replace(dataset, pseudo_labels=_places(dataset)[:, None].astype(np.int32))
    train, validation = validation_split(dataset, 0.1, seed=0)
    masked = mask_labels(train, 0.5, seed=0)
    for part in (train, validation, masked, class_balanced_subset(train, 12, seed=0)):
        np.testing.assert_array_equal(part.pseudo_labels[:, 0], _places(part))
    with pytest.raises(ValueError, match=r"`pseudo_labels` must be int32 with shape \[131, M\]"):
        with_unlabeled(dataset, _dataset((11,)))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"`fraction` must lie in \(0, 1\)"):
        validation_split(_dataset(), fraction, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 1.1])
def test_labeled_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"`labeled_fraction` must lie in \(0, 1\]"):
        mask_labels(_dataset(), fraction, seed=0)


@pytest.mark.parametrize(
    "counts, fraction, held_out",
    [
        ((40, 40, 3), 0.1, (3, 4, 1)),
        ((1000, 1000, 5), 0.1, (99, 100, 1)),
        ((9,) * 10, 0.1, (1,) * 10),
        ((2, 2), 0.01, (1, 1)),
        ((20, 1), 0.1, (2, 0)),
        ((2, 1, 1), 0.3, (1, 0, 0)),
    ],
)
def test_rare_class_with_two_images_validates_on_one(counts, fraction, held_out):
    dataset = _dataset(counts)
    train, validation = validation_split(dataset, fraction, seed=0)
    found = [_counts(validation).get(label, 0) for label in range(len(counts))]
    assert found[2:] == list(held_out[2:])
    assert sorted(found) == sorted(held_out)
    assert all(_counts(train)[label] == n - found[label] for label, n in enumerate(counts))
    again = validation_split(dataset, fraction, seed=0)[1]
    np.testing.assert_array_equal(_places(again), _places(validation))


def test_cut_that_needs_no_help_is_where_it_always_was():
    # Written down before rare classes were served: other images would be other runs.
    _, validation = validation_split(_dataset((100, 40, 10)), 0.1, seed=3)
    assert _places(validation).tolist() == [
        6,
        14,
        31,
        47,
        66,
        72,
        77,
        85,
        91,
        108,
        119,
        125,
        129,
        134,
        138,
    ]
    masked = mask_labels(_dataset((100, 40, 10)), 0.1, seed=3)
    assert np.flatnonzero(masked.labels != -1).tolist() == [
        19,
        28,
        34,
        37,
        42,
        43,
        47,
        64,
        95,
        98,
        100,
        108,
        114,
        117,
        149,
    ]
    subset = class_balanced_subset(_dataset((100, 40, 10)), 15, seed=3)
    assert _places(subset).tolist() == [0, 6, 16, 26, 27, 28, 29, 36, 43, 44, 61, 68, 82, 88, 145]


def test_classes_of_one_image_cannot_validate():
    message = "found none with two images; `fraction=0` validates on none"
    with pytest.raises(RunError, match=message):
        validation_split(_dataset((1, 1, 1)), 0.5, seed=0)


def _share_in(error):
    return float(re.search(r"fraction=([\d.]+)` leaves one", str(error))[1])


def test_class_without_training_image_is_named():
    dataset = dataclasses.replace(_dataset((3, 3)), class_names=("cat", "dog"))
    message = r"one training image of every class; found none of class '(cat|dog)' with .* of 0.8"
    with pytest.raises(RunError, match=message) as caught:
        validation_split(dataset, 0.8, seed=0)
    share = _share_in(caught.value)
    assert 0.5 < share < 0.8
    assert set(_counts(validation_split(dataset, share, seed=0)[0])) == {0, 1}


def test_class_without_a_label_left_is_named():
    message = r"one labeled image.* none of class '[012]' with `labeled_fraction=0.01`"
    with pytest.raises(RunError, match=message) as caught:
        mask_labels(_dataset(), 0.01, seed=0)
    share = _share_in(caught.value)
    assert share == 0.03
    assert set(_counts(mask_labels(_dataset(), share, seed=0))) == {-1, 0, 1, 2}


def test_rare_class_keeps_a_label_and_stays_in_a_subset():
    dataset = _dataset((40, 40, 3))
    assert _counts(mask_labels(dataset, 0.1, seed=0))[2] == 1
    subset = class_balanced_subset(dataset, 8, seed=0)
    assert len(subset) == 8 and _counts(subset)[2] == 1
    # Fewer images than classes cannot hold all of them.
    assert len(class_balanced_subset(dataset, 2, seed=0)) == 2


def test_validation_split_of_a_set_without_labels_is_refused():
    with pytest.raises(RunError, match="one validation image of every class; found none with"):
        validation_split(_dataset((), num_unlabeled=9), 0.5, seed=0)


@pytest.mark.parametrize("num_images", [0, 121])
def test_subset_size_out_of_range_is_refused(num_images):
    with pytest.raises(RunError, match=rf"`num_images`: expected 1 to 120, .*; found {num_images}"):
        class_balanced_subset(_dataset(), num_images, seed=0)
