"""Parts of a batch side by side give what the whole batch gives."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import runners
from ascl_tf.attacks.runners import PartwiseFunction

SIGNATURE = (
    {"values": tf.TensorSpec([None, 3], tf.float32), "labels": tf.TensorSpec([None], tf.int32)},
    tf.TensorSpec([], tf.float32),
)


def _batch(size):
    rng = np.random.default_rng(size)
    values = rng.normal(size=(size, 3)).astype(np.float32)
    return {"values": tf.constant(values), "labels": tf.range(size)}


def _cores(monkeypatch, number):
    monkeypatch.setattr(runners, "_num_cores", lambda: number)


@pytest.mark.parametrize("num_cores", [1, 2, 3, 16])
@pytest.mark.parametrize("size", [1, 7, 8, 17, 40])
def test_results_are_those_of_one_call_in_order(monkeypatch, num_cores, size):
    _cores(monkeypatch, num_cores)
    function = PartwiseFunction(
        lambda batch, factor: (factor * batch["values"], {"labels": batch["labels"] + 1}), SIGNATURE
    )
    batch = _batch(size)
    got, others = function(batch, tf.constant(3.0))
    np.testing.assert_allclose(got, 3.0 * batch["values"].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(others["labels"], np.arange(size) + 1)


@pytest.mark.parametrize(
    ("num_cores", "size", "want"),
    [(1, 100, [100]), (2, 27, [13, 14]), (2, 15, [15]), (4, 24, [8, 8, 8]), (2, 1, [1])],
)
def test_every_core_gets_a_part_that_is_worth_it(monkeypatch, num_cores, size, want):
    _cores(monkeypatch, num_cores)
    sizes, lock, num_traces = [], threading.Lock(), []

    def note(count):
        with lock:
            sizes.append(int(count))

    def noted(batch, factor):
        num_traces.append(1)
        with tf.control_dependencies([tf.py_function(note, [tf.shape(batch["labels"])[0]], [])]):
            return factor * batch["values"]

    function = PartwiseFunction(noted, SIGNATURE)
    function(_batch(size), tf.constant(1.0))
    assert sorted(sizes) == want
    function(_batch(size), tf.constant(1.0))
    assert len(num_traces) == 1


def test_specs_of_the_results_leave_the_number_of_images_open():
    function = PartwiseFunction(lambda batch, factor: (factor * batch["values"],), SIGNATURE)
    assert function.output_specs() == (tf.TensorSpec([None, 3], tf.float32),)


def test_error_in_a_part_is_raised(monkeypatch):
    _cores(monkeypatch, 2)

    def fails(batch, factor):
        checked = tf.debugging.assert_less(batch["labels"], 30, message="too many labels")
        with tf.control_dependencies([checked]):
            return factor * batch["values"]

    function = PartwiseFunction(fails, SIGNATURE)
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many labels"):
        function(_batch(40), tf.constant(1.0))
