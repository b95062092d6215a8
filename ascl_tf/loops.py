"""Graphs: functions that are one where they are called eagerly, and loops within one.

The loop is `tf.while_loop` whose body can leave to the graph around it what no iteration changes.

TensorFlow moves nothing out of a loop: a kernel that is derived from variables in the body is
derived again in every step of an attack. (A loop written out step by step has no such cost,
since equal operations of one graph are merged.)
"""

import contextlib
import functools
import threading

import tensorflow as tf

_LOCAL = threading.local()


def traced_when_eager(function):
    """Returns the function, as a `tf.function` where it is called eagerly.

    A view of a batch is 1,300 operations, most of them tiny: one by one they take longer than the
    rest of a small step. Within a graph the function is called as it is: a graph of its own there
    would leave TensorFlow another order of operations, and other last bits.
    """
    traced = tf.function(function, autograph=False)

    @functools.wraps(function)
    def call(*args, **kwargs):
        return (traced if tf.executing_eagerly() else function)(*args, **kwargs)

    return call


def while_loop(condition, body, variables):
    """Returns `tf.while_loop(condition, body, variables)`, one iteration at a time.

    `body` may call `once_per_loop`. It must not assign to a variable that such a value is
    computed from.

    Not a `tf.range` loop: Keras calls `train_step` with AutoGraph switched off.
    """
    # Eagerly there is no graph around the body, and a compiled model within it has its own.
    loop = None if tf.executing_eagerly() else _Loop(tf.compat.v1.get_default_graph())
    with _tracing(loop):
        return tf.while_loop(condition, body, variables, parallel_iterations=1)


def once_per_loop(key, compute):
    """Returns `compute()`, computed once before the `while_loop` whose body is being traced.

    Outside of such a body, and inside of a further function or branch within it, the value is
    computed on the spot: a function outlives the loop, and would keep another graph's tensor.
    A replica that is started inside of a loop computes its own as well.

    Args:
        key: what the value is, hashable; equal keys of one loop get one value.
        compute: function () -> tensors that depend on nothing of the loop.
    """
    loop = getattr(_LOCAL, "loop", None)
    graph = tf.compat.v1.get_default_graph()
    if loop is None or getattr(graph, "outer_graph", None) is not loop.graph:
        return compute()
    if key not in loop.values:
        with loop.graph.as_default():
            loop.values[key] = compute()
    return loop.values[key]


class _Loop:
    def __init__(self, graph):
        self.graph, self.values = graph, {}


@contextlib.contextmanager
def _tracing(loop):
    outer = getattr(_LOCAL, "loop", None)
    _LOCAL.loop = loop
    try:
        yield
    finally:
        _LOCAL.loop = outer
