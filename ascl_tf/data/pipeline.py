"""Batches of a data set: an endless training order, one pass for evaluation.

The images are one tensor that the input pipeline captures and gathers from, batch
by batch: they are neither shuffled in a buffer nor written into a graph. Those in files
are read batch by batch.
"""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.data.mapped_images import MappedImages
from ascl_tf.errors import RunError

# Keeps the order's random numbers apart from all others that a run's seed gives.
_ORDER = 0x0D0E


def steps_per_epoch(num_images, global_batch_size):
    """Returns the number of whole batches in one epoch; the remainder is dropped.

    Raises:
        RunError: if the data set holds fewer images than one batch.
    """
    if global_batch_size < 1 or num_images < global_batch_size:
        raise RunError(
            field="global_batch_size",
            expected=f"a positive number of at most the {num_images} training images",
            found=global_batch_size,
        )
    return num_images // global_batch_size


def training_batches(dataset, *, global_batch_size, seed, start_step=0):
    """Returns the endless sequence of training batches, from `start_step` on.

    Epoch e (counted from 0) is a permutation of all images that depends on (seed, e)
    alone, cut into whole batches; what remains is dropped in that epoch. Starting at any
    step therefore gives exactly the rest of the undisturbed sequence. Distributed by
    `Strategy.experimental_distribute_dataset`, replica r of R gets rows
    r * B / R to (r + 1) * B / R - 1 of each global batch.

    Args:
        dataset: `ImageDataset`.
        global_batch_size: int B, over all replicas.
        seed: Python int, the run's seed.
        start_step: int >= 0, number of batches that were already used.

    Returns:
        `tf.data.Dataset` of {"images": uint8 [B, H, W, 3], "labels": int32 [B]}, and
        "pseudo_labels": int32 [B, M] where the data set has them.

    Raises:
        ValueError: if `start_step` is negative.
        RunError: if the data set holds fewer images than one batch.
    """
    if start_step < 0:
        raise ValueError(f"`start_step` must be >= 0; received {start_step}.")
    num_steps = steps_per_epoch(len(dataset), global_batch_size)
    start_epoch, skipped = divmod(start_step, num_steps)
    gather = _make_gather(dataset.columns)

    def one_epoch(epoch):
        order = _epoch_order(len(dataset), seed, epoch)[: num_steps * global_batch_size]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [num_steps, global_batch_size]))

    epochs = tf.data.Dataset.range(start_epoch, np.iinfo(np.int32).max)
    batches = epochs.flat_map(one_epoch).skip(skipped).map(gather)
    return batches.prefetch(2).with_options(_options())


def evaluation_batches(dataset, batch_size):
    """Returns one pass over a data set in its own order, in batches of one shape.

    The last batch is filled up with image 0 under a false mask: what counts only
    masked rows counts every image once.

    Args:
        dataset: `ImageDataset`.
        batch_size: int B.

    Returns:
        `tf.data.Dataset` of {"images": uint8 [B, H, W, 3], "labels": int32 [B],
        "positions": int32 [B] (index in `dataset`), "mask": bool [B]}.

    Raises:
        ValueError: if `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1; received {batch_size}.")
    num_images = len(dataset)
    gather = _make_gather({"images": dataset.images, "labels": dataset.labels})

    def batch_from(start):
        rows = tf.cast(start, tf.int32) + tf.range(batch_size, dtype=tf.int32)
        mask = rows < num_images
        positions = tf.where(mask, rows, 0)
        return {
            **gather(positions),
            "positions": positions,
            "mask": mask,
        }

    starts = tf.data.Dataset.range(0, num_images, batch_size)
    return starts.map(batch_from).prefetch(2).with_options(_options())


def _epoch_order(num_images, seed, epoch):
    key = randomness.fold_in(tf.constant([seed, _ORDER], tf.int32), tf.cast(epoch, tf.int32))
    rows = tf.range(num_images, dtype=tf.int32)
    return tf.random.experimental.stateless_shuffle(rows, key, alg=randomness.ALGORITHM)


def _make_gather(columns):
    """Returns a function rows (int32 [B]) -> a dictionary of those rows of every column."""
    functions = {name: _make_column_gather(column) for name, column in columns.items()}
    return lambda rows: {name: gather(rows) for name, gather in functions.items()}


def _make_column_gather(column):
    if isinstance(column, MappedImages):
        return lambda rows: _read_rows(column, rows)
    # On the host: on a GPU the whole data set would fill device memory.
    with tf.device("/cpu:0"):
        tensor = tf.convert_to_tensor(column)
    return lambda rows: tf.gather(tensor, rows)


def _read_rows(images, rows):
    batch = tf.numpy_function(images.__getitem__, [rows], tf.uint8, stateful=False)
    return tf.ensure_shape(batch, [*rows.shape, *images.shape[1:]])


def _options():
    options = tf.data.Options()
    options.deterministic = True
    # The optimizer would write the images into a graph: one more copy of them all.
    options.experimental_optimization.apply_default_optimizations = False
    # One worker: its replicas share the batches row by row. Several workers: each
    # takes its share of the rows, which sharding by file could not do here.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
