"""The global mean on one device: values, empty sets, masked NaNs, types, messages."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses import global_mean


def test_mean_over_all_rows_without_mask():
    assert global_mean(tf.constant([1.0, 2.0, 6.0])).numpy() == 3.0


def test_mean_over_the_rows_of_the_mask():
    got = global_mean(tf.constant([1.0, 2.0, 6.0]), [True, False, True])
    assert got.numpy() == 3.5


@pytest.mark.parametrize("mask", [[False, False], None])
def test_mean_over_no_row_is_zero(mask):
    rows = tf.constant([3.0, 4.0] if mask else [])
    assert global_mean(rows, mask).numpy() == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_masked_row_leaks_neither_into_the_value_nor_into_the_gradient(value):
    rows = tf.constant([1.0, value, 5.0])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        mean = global_mean(rows, [True, False, True])
    assert mean.numpy() == 3.0
    np.testing.assert_array_equal(tape.gradient(mean, rows), [0.5, 0.0, 0.5])


@pytest.mark.parametrize(
    "dtype, want",
    [
        (tf.float16, tf.float32),
        (tf.bfloat16, tf.float32),
        (tf.float32, tf.float32),
        (tf.float64, tf.float64),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_result_is_at_least_float32(dtype, want, masked):
    mean = global_mean(tf.ones([3], dtype), [True, True, False] if masked else None)
    assert mean.dtype == want and mean.numpy() == 1.0


def test_graph_of_unknown_length_equals_eager():
    specs = [tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.bool)]
    masked = tf.function(global_mean, input_signature=specs)
    plain = tf.function(lambda rows: global_mean(rows), input_signature=specs[:1])
    rows = tf.constant([1.0, 2.0, 6.0])
    assert masked(rows, tf.constant([True, False, True])).numpy() == 3.5
    assert plain(rows).numpy() == 3.0


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`per_row` must have shape \[rows\].*\(2, 2\)"):
        global_mean(tf.ones([2, 2]))
    with pytest.raises(ValueError, match="`mask` must be bool; received dtype int32"):
        global_mean(tf.ones([2]), tf.constant([1, 0]))
    with pytest.raises(ValueError, match=r"`mask` must have shape \[rows\], here \(2,\).*\(1,\)"):
        global_mean(tf.ones([2]), [True])
