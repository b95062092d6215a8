"""The log-determinant of unit gradients: against NumPy, in closed form, and at its edges."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods.selfie_dpe import RIDGE, gradient_log_determinant


def _gradients(num_images=5, num_tasks=3, shape=(4, 4, 3), seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(num_images, *shape)).astype(dtype) for _ in range(num_tasks)]


def _oracle(gradients):
    determinants = []
    for rows in zip(*gradients, strict=True):
        units = [np.float64(row).ravel() / np.linalg.norm(np.float64(row)) for row in rows]
        gram = [[float(a @ b) for b in units] for a in units] + 1e-5 * np.eye(len(units))
        sign, value = np.linalg.slogdet(gram)
        assert sign == 1
        determinants.append(value)
    return np.array(determinants)


@pytest.mark.parametrize("num_tasks", [2, 3, 4])
def test_matches_numpy_slogdet(num_tasks):
    gradients = _gradients(num_tasks=num_tasks)
    got = gradient_log_determinant(gradients)
    np.testing.assert_allclose(got, _oracle(gradients), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distance", [1e-1, 1e-2, 1e-3, 1e-4])
def test_matches_numpy_slogdet_for_nearly_equal_gradients(distance):
    base, *noise = _gradients(num_tasks=4, dtype=np.float64)
    gradients = [base, base + distance * noise[0], base + distance * noise[1]]
    got = gradient_log_determinant(gradients)
    np.testing.assert_allclose(got, _oracle(gradients), rtol=1e-9)


def test_equal_gradients_have_their_closed_form():
    (gradient,) = _gradients(num_tasks=1)
    got = gradient_log_determinant([gradient, 5.0 * gradient, -0.1 * gradient])
    # Eigenvalues of the Gram matrix: 3, 0, 0, each plus the ridge.
    want = np.log(3 + 1e-5) + 2 * np.log(1e-5)
    np.testing.assert_allclose(got, np.full(5, want), rtol=1e-4)


def test_gradients_at_right_angles_are_at_the_maximum():
    axes = [np.eye(3, dtype=np.float32)[i][None] * (i + 1) for i in range(3)]
    got = gradient_log_determinant(axes)
    np.testing.assert_allclose(got, [3 * np.log(1 + RIDGE)], atol=1e-7)


def test_length_of_a_gradient_does_not_count():
    gradients = _gradients()
    scaled = [1e-6 * gradients[0], 1e6 * gradients[1], gradients[2]]
    np.testing.assert_allclose(
        gradient_log_determinant(scaled), gradient_log_determinant(gradients), rtol=1e-5
    )


def test_absent_gradient_counts_as_a_zero_column():
    first, second, _ = _gradients()
    got = gradient_log_determinant([first, second, np.zeros_like(first)])
    want = gradient_log_determinant([first, second]) + np.log(1e-5)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def _derivative(gradients):
    tensors = [tf.constant(gradient) for gradient in gradients]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(gradient_log_determinant(tensors))
    return tape.gradient(total, tensors)


@pytest.mark.parametrize("kind", ["equal", "zero", "one_zero"])
def test_derivative_is_finite_at_equal_and_at_vanishing_gradients(kind):
    (gradient,) = _gradients(num_tasks=1)
    zero = np.zeros_like(gradient)
    gradients = {
        "equal": [gradient] * 3,
        "zero": [zero] * 3,
        "one_zero": [gradient, zero, _gradients(seed=1)[0]],
    }[kind]
    assert all(np.all(np.isfinite(d)) for d in _derivative(gradients))


def test_derivative_matches_finite_differences():
    gradients = _gradients(num_images=2, shape=(4,), dtype=np.float64)
    delta = 1e-6
    for task, derivative in enumerate(_derivative(gradients)):
        numeric = np.zeros_like(gradients[task])
        for index in np.ndindex(numeric.shape):
            sides = []
            for sign in (1, -1):
                moved = [gradient.copy() for gradient in gradients]
                moved[task][index] += sign * delta
                sides.append(_oracle(moved).sum())
            numeric[index] = (sides[0] - sides[1]) / (2 * delta)
        np.testing.assert_allclose(derivative, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # Its value and gradient are tested by themselves.
def test_gradient_ascent_turns_gradients_to_right_angles():
    gradients = [tf.Variable(g) for g in _gradients(num_images=1, shape=(3,), dtype=np.float64)]
    before = float(gradient_log_determinant(gradients)[0])
    for _ in range(60):
        for variable, derivative in zip(gradients, _derivative(gradients), strict=True):
            variable.assign_add(0.2 * derivative)
    assert before < float(gradient_log_determinant(gradients)[0])
    units = [g.numpy()[0] / np.linalg.norm(g) for g in gradients]
    np.testing.assert_allclose(np.array(units) @ np.array(units).T, np.eye(3), atol=0.02)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_is_at_least_float32(dtype):
    got = gradient_log_determinant([tf.cast(g, dtype) for g in _gradients()])
    assert got.dtype == (tf.float64 if dtype == tf.float64 else tf.float32)
    assert np.all(np.isfinite(got))


def test_nan_stays_a_nan_and_raises_nothing():
    gradients = _gradients()
    gradients[1][2] = np.nan
    got = gradient_log_determinant(gradients).numpy()
    assert np.isnan(got[2]) and np.all(np.isfinite(np.delete(got, 2)))
    _derivative(gradients)


def test_graph_equals_eager():
    gradients = [tf.constant(g) for g in _gradients()]
    graph = tf.function(gradient_log_determinant)(gradients)
    np.testing.assert_allclose(graph, gradient_log_determinant(gradients), rtol=1e-6)


def test_one_gradient_is_refused():
    with pytest.raises(ValueError, match=r"`gradients` must be two or more.*\(5, 4, 4, 3\)"):
        gradient_log_determinant(_gradients(num_tasks=1))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"of one shape; received \(5, 4, 4, 3\), \(5, 2\)"):
        gradient_log_determinant([_gradients()[0], np.zeros((5, 2), np.float32)])
