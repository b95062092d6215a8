"""Helpers that several test modules share."""

import contextlib
import functools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.data import datasets, views
from ascl_tf.methods import step_data
from ascl_tf.training import cost

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

    For tests of what is around a step. Views and draws stay graphs, as they are in an eager step:
    a view is a thousand operations, and traced once for all tests in a process. Input pipelines
    do too, as TensorFlow warns: conftest.py leaves that warning out.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (step_data, "_weak_view"),
            (step_data, "_strong_view"),
            (randomness, "_draw_rows"),
        ):
            patch.setattr(module, name, _with_graphs(getattr(module, name)))
        with _functions_run_eagerly(True):
            yield


@contextlib.contextmanager
def strong_views_traced_once():
    """Gives all graphs of steps one graph of strong views: that is a third of such a graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_data, "_strong_view", _strong_view)
        yield


_strong_view = tf.function(views.strong_view, autograph=False)


@contextlib.contextmanager
def weak_views_for_strong():
    """Gives methods weak views where they ask for strong ones, which are long to trace.

    For tests of what is done with views; test_views.py has strong ones in all their settings.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_data, "_strong_view", _weak_view)
        yield


def _weak_view(images, seed, *, gaussian_blur, min_area, strength):
    return step_data._weak_view(images, seed)


def _with_graphs(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        with _functions_run_eagerly(False):
            return function(*args, **kwargs)

    return call


@contextlib.contextmanager
def _functions_run_eagerly(value):
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(value)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def guess_durations(patch):
    """Makes stages say any duration: to count and to time takes as long as steps."""
    patch.setattr(cost, "seconds_of_training", lambda *_: 10.0)
    patch.setattr(cost, "seconds_per_pass", lambda *_: 0.01)


def read_each_data_set_once(patch):
    """Makes training and evaluation share what `load_dataset` reads; `patch` is a MonkeyPatch."""
    patch.setattr(datasets, "load_dataset", functools.cache(datasets.load_dataset))
