"""Numbers of images: the same eagerly and in a graph, alone and among others, whatever is known."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import randomness

SEEDS = tf.constant([[1, 2], [3, 4], [1, 2], [5, 6]])


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_eager_numbers_are_those_of_a_graph_that_knows_no_shape(dtype):
    def draw(shape, seeds):
        return randomness.uniform(shape, seeds, low=-0.1, high=0.3, dtype=dtype)

    specs = [tf.TensorSpec([2], tf.int32), tf.TensorSpec([None, 2], tf.int32)]
    graph = tf.function(draw, input_signature=specs)
    eager = draw([4, 5], SEEDS).numpy()
    assert eager.dtype == dtype.as_numpy_dtype and eager.shape == (4, 5)
    assert eager.tobytes() == graph(tf.constant([4, 5]), SEEDS).numpy().tobytes()
    assert -0.1 <= eager.min() < eager.max() < 0.3


def test_a_row_depends_on_its_own_pair_alone():
    whole = randomness.uniform([4, 3], SEEDS).numpy()
    np.testing.assert_array_equal(whole[0], whole[2])
    np.testing.assert_array_equal(randomness.uniform([1, 3], SEEDS[3:]).numpy()[0], whole[3])
    assert not np.any(whole[0] == whole[1])


def test_seeds_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \[2\] or \[B, 2\]; received \(2, 3\)"):
        randomness.uniform([2], tf.constant([[1, 2, 3], [4, 5, 6]]))
