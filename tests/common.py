"""Helpers that several test modules share."""

import contextlib
import functools
import pathlib

import numpy as np
import tensorflow as tf

from ascl_tf.data import datasets

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def random_images(num_images=4, size=8, seed=0):
    """Returns float32 [num_images, size, size, 3] in [0, 1]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(num_images, size, size, 3)).astype(np.float32)


@functools.cache
def two_replicas():
    """Returns the MirroredStrategy over the two virtual CPUs that conftest.py makes.

    One for all tests: a second one in the same process starts its collectives at the
    first one's keys, and TensorFlow aborts on the shapes that it finds there.
    """
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


@contextlib.contextmanager
def eagerly():
    """Runs step by step what would be a graph: tracing takes longer than many tiny steps.

    For tests of what is around a step. Input pipelines stay graphs, as TensorFlow warns:
    conftest.py leaves that warning out.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def read_each_data_set_once(patch):
    """Makes training and evaluation share what `load_dataset` reads; `patch` is a MonkeyPatch."""
    patch.setattr(datasets, "load_dataset", functools.cache(datasets.load_dataset))
