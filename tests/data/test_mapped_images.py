"""Images in files are what the same images in memory are, and are read batch by batch alone."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data import ImageDataset, mapped_images, splits
from ascl_tf.data.mapped_images import MappedImages
from ascl_tf.data.pipeline import evaluation_batches, training_batches
from ascl_tf.evaluation.checks import explain_overlap
from ascl_tf.evaluation.evaluation_data import as_evaluation_data
from ascl_tf.training.cluster.fit import part_of_worker
from tests.common import two_replicas

NUM_IMAGES = 24


def make_pair(folder, seed=0):
    """Returns a data set in memory, and the same in a file in another order."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, [NUM_IMAGES, 4, 4, 3], np.uint8)
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % 3
    order = rng.permutation(NUM_IMAGES)
    stored = np.empty_like(images)
    stored[order] = images
    np.save(folder / f"{seed}.npy", stored)
    mapped = MappedImages([np.load(folder / f"{seed}.npy", mmap_mode="r")], order)
    whole = ImageDataset("toy", images, labels, 3, ("a", "b", "c"))
    return whole, dataclasses.replace(whole, images=mapped)


@pytest.fixture
def pair(tmp_path):
    return make_pair(tmp_path)


INDICES = [3, -1, [5, 2, 2], np.array([7]), np.arange(NUM_IMAGES) % 2 == 0, [], np.int32(4)]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_places_give_the_images_in_memory_as_of_an_array(pair, index):
    whole, mapped = (dataset.images for dataset in pair)
    found = mapped[index]
    assert type(found) is np.ndarray and found.dtype == np.uint8
    np.testing.assert_array_equal(found, whole[index])


def test_slices_and_picks_of_each_other_are_not_read_until_asked_for(pair, monkeypatch):
    whole, mapped = (dataset.images for dataset in pair)
    with monkeypatch.context() as patched:
        patched.setattr(MappedImages, "_read", None)
        part = mapped[20:2:-3].pick([4, 0, 1])[:2]
    assert (part.shape, part.ndim, len(part)) == ((2, 4, 4, 3), 4, 2)
    np.testing.assert_array_equal(np.asarray(part), whole[20:2:-3][[4, 0]])


def test_place_beyond_the_end_is_refused(pair):
    with pytest.raises(IndexError):
        pair[1].images[NUM_IMAGES]


def test_array_without_a_copy_is_refused(pair):
    with pytest.raises(ValueError, match="without a copy"):
        np.array(pair[1].images, copy=False)


def test_iteration_gives_every_image(pair, monkeypatch):
    monkeypatch.setattr(mapped_images, "CHUNK_BYTES", 200)
    for found, expected in zip(pair[1].images, pair[0].images, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("chunk_bytes", [1, 48 * 5, 1 << 20])
def test_hash_in_chunks_is_that_of_the_whole(pair, monkeypatch, chunk_bytes):
    expected = pair[0].sha256
    monkeypatch.setattr(mapped_images, "CHUNK_BYTES", chunk_bytes)
    assert pair[1].sha256 == expected
    assert dataclasses.replace(pair[0]).sha256 == expected


def _cuts(dataset, unlabeled):
    train, validation = splits.validation_split(dataset, 0.3, seed=1)
    masked = splits.mask_labels(train, 0.5, seed=1)
    return [
        train,
        validation,
        splits.class_balanced_subset(dataset, 7, seed=1),
        splits.repeat_labeled(masked),
        splits.with_unlabeled(masked, unlabeled),
        splits.with_unlabeled(masked, unlabeled).take([20, 0, 30]),
    ]


def test_cuts_and_unions_are_made_without_reading_and_are_the_same(tmp_path, monkeypatch):
    (whole, mapped), (more, more_mapped) = (make_pair(tmp_path, seed) for seed in (0, 1))
    with monkeypatch.context() as patched:
        patched.setattr(MappedImages, "_read", None)
        cuts = [_cuts(mapped, more_mapped), _cuts(mapped, more), _cuts(whole, more_mapped)]
    for found in cuts:
        for part, expected in zip(found, _cuts(whole, more), strict=True):
            assert part.sha256 == expected.sha256
            np.testing.assert_array_equal(np.asarray(part.images), expected.images)


def _first(batches, count):
    return [
        {name: np.asarray(column) for name, column in batch.items()}
        for batch in itertools.islice(batches, count)
    ]


def _check_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("start_step", [pytest.param(0, marks=pytest.mark.slow), 7])
def test_training_batches_are_the_same(pair, start_step):
    settings = {"global_batch_size": 5, "seed": 3, "start_step": start_step}
    specs = [training_batches(dataset, **settings).element_spec for dataset in pair]
    assert specs[0] == specs[1]
    whole, mapped = (_first(training_batches(dataset, **settings), 9) for dataset in pair)
    _check_equal(mapped, whole)


def test_evaluation_batches_are_the_same(pair):
    whole, mapped = (_first(evaluation_batches(dataset, 7), 9) for dataset in pair)
    _check_equal(mapped, whole)


def test_two_replicas_get_the_same_parts_of_each_batch(pair):
    strategy = two_replicas()
    parts = []
    for dataset in pair:
        batches = training_batches(dataset, global_batch_size=6, seed=0).take(5)
        distributed = strategy.experimental_distribute_dataset(batches)
        parts.append(
            [
                [part.numpy() for part in strategy.experimental_local_results(batch["images"])]
                for batch in distributed
            ]
        )
    np.testing.assert_array_equal(*parts)


def test_workers_get_the_same_parts_of_each_batch(pair):
    context = tf.distribute.InputContext(2, 1, 4)
    parts = []
    for dataset in pair:
        batches = training_batches(dataset, global_batch_size=8, seed=0).take(2)
        parts.append(_first(part_of_worker(batches)(context), 9))
    assert len(parts[0]) == 4 and parts[0][0]["images"].shape == (2, 4, 4, 3)
    _check_equal(*parts)


def test_evaluation_takes_them_as_they_are(pair):
    whole, mapped = (as_evaluation_data(dataset, num_images=9) for dataset in pair)
    assert isinstance(mapped.images, MappedImages) and mapped.sha256 == whole.sha256
    for rows in ([3, 1], slice(2)):
        for found, expected in zip(mapped.rows(rows), whole.rows(rows), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert explain_overlap(pair[1].take([0, 1]), pair[1]) == explain_overlap(
        pair[0].take([0, 1]), pair[0]
    )
