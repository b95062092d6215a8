import dataclasses
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data import ImageDataset
from ascl_tf.data.pipeline import evaluation_batches, steps_per_epoch, training_batches
from ascl_tf.errors import RunError
from tests.common import two_replicas


def _dataset(num_images=20):
    """Every byte of image i, and its label, is i."""
    images = np.empty([num_images, 2, 2, 3], np.uint8)
    images[:] = np.arange(num_images).reshape(-1, 1, 1, 1)
    names = tuple(str(c) for c in range(num_images))
    return ImageDataset("toy", images, np.arange(num_images, dtype=np.int32), num_images, names)


def _rows(batches, num_steps):
    """Returns the labels of the first batches, [num_steps, B]; checks them by the images."""
    first = next(iter(batches.batch(num_steps)))
    np.testing.assert_array_equal(first["images"][:, :, 1, 1, 2], first["labels"])
    return first["labels"].numpy()


@functools.cache
def _undisturbed():
    """Returns the labels of 305 batches of six images, seed 11."""
    return _rows(training_batches(_dataset(), global_batch_size=6, seed=11), 305)


def test_pseudo_labels_travel_with_their_images_through_splits_and_batches():
    dataset = _dataset()
    rows = np.arange(20, dtype=np.int32)
    clustered = dataclasses.replace(dataset, pseudo_labels=np.stack([rows, 30 + rows], axis=1))
    clustered = clustered.take(np.flatnonzero(rows % 3))
    batches = training_batches(clustered, global_batch_size=6, seed=0)
    for batch in itertools.islice(batches, 4):
        assert batch["pseudo_labels"].shape == (6, 2) and batch["pseudo_labels"].dtype == tf.int32
        want = np.stack([batch["labels"], 30 + batch["labels"]], axis=1)
        np.testing.assert_array_equal(batch["pseudo_labels"], want)
    (batch,) = training_batches(dataset, global_batch_size=20, seed=0).take(1)
    assert set(batch) == {"images", "labels"}


def test_every_epoch_is_another_permutation_of_all_images():
    rows = _rows(training_batches(_dataset(), global_batch_size=5, seed=0), 12)
    epochs = rows.reshape(3, 20)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(20))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_remainder_is_dropped_within_its_epoch():
    rows = _rows(training_batches(_dataset(), global_batch_size=6, seed=0), 6)
    for epoch in rows.reshape(2, 18):
        assert len(set(epoch)) == 18


def test_images_left_out_change_from_epoch_to_epoch():
    rows = _rows(training_batches(_dataset(), global_batch_size=6, seed=0), 30)
    left_out = {frozenset(range(20)) - set(epoch) for epoch in rows.reshape(10, 18)}
    assert len(left_out) > 1


@pytest.mark.parametrize("start_step", [1, 3, 7, 300])
def test_any_start_gives_the_rest_of_the_undisturbed_sequence(start_step):
    resumed = training_batches(_dataset(), global_batch_size=6, seed=11, start_step=start_step)
    np.testing.assert_array_equal(_rows(resumed, 5), _undisturbed()[start_step:][:5])


def test_order_depends_on_the_seed_alone():
    def rows(seed):
        return _rows(training_batches(_dataset(), global_batch_size=5, seed=seed), 4)

    np.testing.assert_array_equal(rows(1), rows(1))
    assert not np.array_equal(rows(1), rows(2))


def test_order_ignores_the_global_random_state():
    def rows():
        return _rows(training_batches(_dataset(), global_batch_size=5, seed=0), 4)

    tf.random.set_seed(1)
    first = rows()
    tf.random.set_seed(2)
    np.testing.assert_array_equal(rows(), first)


def test_each_image_comes_first_equally_often():
    first = _rows(training_batches(_dataset(8), global_batch_size=8, seed=0), 800)[:, 0]
    # Binomial(800, 1/8): mean 100, standard deviation 9.4.
    assert np.all(np.abs(np.bincount(first, minlength=8) - 100) < 5 * 9.4)


def test_batch_shape_is_static():
    spec = training_batches(_dataset(), global_batch_size=6, seed=0).element_spec
    assert spec == {
        "images": tf.TensorSpec([6, 2, 2, 3], tf.uint8),
        "labels": tf.TensorSpec([6], tf.int32),
    }


def test_each_replica_gets_its_contiguous_rows_of_the_global_batch():
    batches = training_batches(_dataset(), global_batch_size=6, seed=0)
    want = _rows(batches, 7)
    strategy = two_replicas()
    distributed = iter(strategy.experimental_distribute_dataset(batches))
    for step in range(7):
        parts = strategy.experimental_local_results(next(distributed)["labels"])
        for replica, part in enumerate(parts):
            np.testing.assert_array_equal(part, want[step, 3 * replica : 3 * replica + 3])


def test_distribution_over_replicas_resumes_at_any_step():
    batches = training_batches(_dataset(), global_batch_size=6, seed=0, start_step=4)
    strategy = two_replicas()
    batch = next(iter(strategy.experimental_distribute_dataset(batches)))
    parts = strategy.experimental_local_results(batch["labels"])
    whole = _rows(training_batches(_dataset(), global_batch_size=6, seed=0), 5)
    np.testing.assert_array_equal(np.concatenate(parts), whole[4])


def test_evaluation_counts_every_image_once_in_order():
    batches = list(evaluation_batches(_dataset(), 8))
    assert len(batches) == 3
    masks = np.concatenate([batch["mask"] for batch in batches])
    positions = np.concatenate([batch["positions"] for batch in batches])
    np.testing.assert_array_equal(positions[masks], np.arange(20))
    labels = np.concatenate([batch["labels"] for batch in batches])
    np.testing.assert_array_equal(labels[masks], np.arange(20))


def test_last_evaluation_batch_is_filled_with_masked_copies_of_image_0():
    last = list(evaluation_batches(_dataset(), 8))[-1]
    assert last["mask"].numpy().tolist() == [True] * 4 + [False] * 4
    np.testing.assert_array_equal(last["positions"][4:], np.zeros(4))
    np.testing.assert_array_equal(last["images"][4:], np.zeros([4, 2, 2, 3]))


@pytest.mark.parametrize("batch_size", [1, 20, 30])
def test_evaluation_batches_have_one_shape(batch_size):
    batches = evaluation_batches(_dataset(), batch_size)
    assert batches.element_spec["images"].shape == [batch_size, 2, 2, 3]
    total = sum(int(tf.reduce_sum(tf.cast(batch["mask"], tf.int32))) for batch in batches)
    assert total == 20


def test_evaluation_batches_split_into_contiguous_rows():
    strategy = two_replicas()
    distributed = strategy.experimental_distribute_dataset(evaluation_batches(_dataset(), 8))
    rows = [
        np.concatenate(strategy.experimental_local_results(batch["positions"]))
        for batch in distributed
    ]
    np.testing.assert_array_equal(np.concatenate(rows)[:20], np.arange(20))


def test_steps_per_epoch_drops_the_remainder():
    assert [steps_per_epoch(20, b) for b in (1, 6, 20)] == [20, 3, 1]


@pytest.mark.parametrize("global_batch_size", [0, 21])
def test_batch_that_the_data_cannot_fill_is_refused(global_batch_size):
    message = rf"`global_batch_size`: expected.*20 training images; found {global_batch_size}"
    with pytest.raises(RunError, match=message):
        training_batches(_dataset(), global_batch_size=global_batch_size, seed=0)


def test_negative_start_is_refused():
    with pytest.raises(ValueError, match="`start_step` must be >= 0; received -1"):
        training_batches(_dataset(), global_batch_size=5, seed=0, start_step=-1)


def test_evaluation_batch_size_below_one_is_refused():
    with pytest.raises(ValueError, match="`batch_size` must be at least 1; received 0"):
        evaluation_batches(_dataset(), 0)
