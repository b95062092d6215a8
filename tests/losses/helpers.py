"""Random unit vectors, and one function run on one device or split over two replicas."""

import functools

import numpy as np
import tensorflow as tf

from tests.common import two_replicas


def unit_rows(num_rows, dim=5, seed=0):
    """Returns float64 [num_rows, dim] with unit l2 norm per row."""
    rows = np.random.default_rng(seed).normal(size=(num_rows, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def split_views(array, num_views, num_replicas=2):
    """Returns one array per replica: its images of every view, view-major."""
    views = array.reshape(num_views, num_replicas, -1, *array.shape[1:])
    return [views[:, r].reshape(-1, *array.shape[1:]) for r in range(num_replicas)]


def join_views(parts, num_views):
    """Returns the global view-major array whose `split_views` are `parts`."""
    views = [np.asarray(part).reshape(num_views, -1, *part.shape[1:]) for part in parts]
    return np.concatenate(views, axis=1).reshape(-1, *parts[0].shape[1:])


@functools.cache
def _one_strategy():
    # A second strategy counts its collectives from the start again, and TensorFlow then finds
    # their shapes at odds with those of the first.
    return two_replicas()


def run_on_two_replicas(function, *inputs, in_graph=False):
    """Runs `function` on two replicas, each with its part of every input.

    Args:
        function: takes one tensor per input, returns a nest of tensors.
        *inputs: pairs of a view-major array and its number of views.
        in_graph: whether to trace it; of a few operations that takes longer than to run them.

    Returns:
        The nest of replica 0 and that of replica 1.
    """
    strategy = _one_strategy()
    parts = [split_views(np.asarray(array), num_views) for array, num_views in inputs]

    def parts_of(context):
        return tuple(tf.constant(part[context.replica_id_in_sync_group]) for part in parts)

    values = strategy.experimental_distribute_values_from_function(parts_of)

    def run(values):
        return strategy.run(function, args=values)

    result = tf.function(run, autograph=False)(values) if in_graph else run(values)
    return [_of_replica(strategy, result, replica) for replica in range(2)]


def _of_replica(strategy, result, replica):
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[replica], result
    )
