"""Loops: values computed once before them, and computed anew wherever that would be wrong."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.loops import once_per_loop, traced_when_eager, while_loop
from ascl_tf.models import CLEAN, batch_norm
from ascl_tf.models.resnet import BasicBlock
from tests.common import random_images

NUM_STEPS = 4


def _power(factor_of, x):
    """x * factor ** NUM_STEPS; the factor is asked for in every iteration."""
    return while_loop(
        lambda i, _: i < NUM_STEPS, lambda i, x: (i + 1, x * factor_of()), (tf.constant(0), x)
    )[1]


class _Counted:
    """The exponential of a variable, and how often it was computed or traced."""

    def __init__(self):
        self.variable, self.count = tf.Variable(0.5), 0

    def compute(self):
        self.count += 1
        return tf.exp(self.variable)

    def once(self):
        return once_per_loop("factor", self.compute)


def test_value_is_computed_before_the_loop_and_follows_its_variable():
    counted = _Counted()
    function = tf.function(lambda x: _power(counted.once, x) + _power(counted.once, x))
    graph = function.get_concrete_function(tf.TensorSpec([])).graph
    assert counted.count == 2  # once for each loop
    assert sum(operation.type == "Exp" for operation in graph.get_operations()) == 2
    bodies = [f for f in graph.as_graph_def().library.function if "body" in f.signature.name]
    assert len(bodies) == 2
    assert not any(node.op == "Exp" for body in bodies for node in body.node_def)
    for value in (0.5, -0.25):
        counted.variable.assign(value)
        np.testing.assert_allclose(function(2.0), 4 * np.exp(NUM_STEPS * value), rtol=1e-6)


def test_equal_keys_of_one_loop_share_a_value_and_others_do_not():
    counted = _Counted()

    def factor():
        both = once_per_loop("a", counted.compute) * once_per_loop("a", counted.compute)
        return both * once_per_loop("b", counted.compute)

    function = tf.function(lambda x: _power(factor, x))
    np.testing.assert_allclose(function(1.0), np.exp(3 * NUM_STEPS * 0.5), rtol=1e-6)
    assert counted.count == 2


def test_function_called_in_a_loop_keeps_nothing_of_it():
    counted = _Counted()
    inner = tf.function(counted.once)
    outer = [tf.function(lambda x: _power(inner, x)) for _ in range(2)]
    for value, function in zip((0.5, -0.25), outer, strict=True):
        counted.variable.assign(value)
        np.testing.assert_allclose(function(1.0), np.exp(NUM_STEPS * value), rtol=1e-6)
    np.testing.assert_allclose(inner(), np.exp(-0.25), rtol=1e-6)


def test_compiled_function_in_an_eager_loop_follows_its_variable():
    counted = _Counted()
    inner = tf.function(counted.once)
    for value in (0.5, -0.25):
        counted.variable.assign(value)
        np.testing.assert_allclose(_power(inner, 1.0), np.exp(NUM_STEPS * value), rtol=1e-6)
    assert counted.count == 1  # traced once


def test_branch_within_a_loop_computes_its_own():
    counted = _Counted()

    def body_factor():
        return tf.cond(counted.variable > 0, counted.once, lambda: 1.0)

    function = tf.function(lambda x: _power(body_factor, x))
    np.testing.assert_allclose(function(1.0), np.exp(NUM_STEPS * 0.5), rtol=1e-6)


def test_outside_of_a_loop_each_call_computes():
    counted = _Counted()
    counted.once(), counted.once()
    assert counted.count == 2
    np.testing.assert_allclose(_power(counted.once, 1.0), np.exp(NUM_STEPS * 0.5), rtol=1e-6)
    assert counted.count == 2 + NUM_STEPS


def test_failing_body_leaves_no_loop_behind():
    def failing():
        raise ValueError("in the body")

    with pytest.raises(ValueError, match="in the body"):
        tf.function(lambda: _power(failing, 1.0))()
    counted = _Counted()
    tf.function(lambda: once_per_loop("factor", counted.compute))()
    assert counted.count == 1


def test_attack_with_folded_kernels_before_the_loop_is_bit_equal(monkeypatch):
    block = BasicBlock(filters=4, strides=2)
    images = tf.constant(random_images(), tf.float32)

    def attacked():
        def objective(x):
            return tf.reduce_sum(block(x, training=False, branch=CLEAN) ** 2, axis=1)

        settings = {"epsilon": 8 / 255, "step_size": 2 / 255, "num_steps": NUM_STEPS}
        return tf.function(lambda x: linf_pgd(objective, x, **settings))(images).numpy()

    before_the_loop = attacked()
    monkeypatch.setattr(batch_norm, "once_per_loop", lambda key, compute: compute())
    np.testing.assert_array_equal(before_the_loop, attacked())
    assert np.any(before_the_loop != images)


def test_function_is_traced_once_for_eager_callers_and_is_as_it_is_in_a_graph():
    calls = []

    @traced_when_eager
    def double(x):
        calls.append(tf.executing_eagerly())
        return 2 * x

    assert [float(double(tf.constant(x))) for x in (1.0, 2.0)] == [2.0, 4.0]
    assert calls == [False]
    graph = tf.function(lambda x: double(x) + 1).get_concrete_function(tf.constant(1.0)).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "Mul" in kinds and not any("Call" in kind for kind in kinds)
    assert calls == [False, False]
