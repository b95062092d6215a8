"""The shortest step onto a hyperplane in the box, against bisection in float64."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks.hyperplane import step_onto_hyperplane

SHAPE = (6, 16, 16, 3)


def _problem(seed=0, reach=0.5):
    """Returns points, normals and the excess that `reach` of the box can undo."""
    rng = np.random.default_rng(seed)
    points = np.clip(1.4 * rng.uniform(size=SHAPE) - 0.2, 0, 1)
    normals = rng.normal(size=SHAPE) * 10.0 ** rng.uniform(-6, 3, size=(SHAPE[0], 1, 1, 1))
    normals[:, :2] = 0
    sign = np.where(np.arange(SHAPE[0]) % 2, 1.0, -1.0)
    excess = []
    for x, w, s in zip(points, normals, sign, strict=True):
        room = np.where(-s * w > 0, 1 - x, x)
        excess.append(s * reach * np.sum(np.abs(w) * room))
    return points, normals, np.array(excess)


def _bisected(points, normals, excess, norm):
    steps = np.zeros_like(points)
    for i, (x, w, c) in enumerate(zip(points, normals, excess, strict=True)):
        if c < 0:
            w, c = -w, -c
        room, rate = np.where(w < 0, 1 - x, x), np.abs(w) if norm == "l2" else np.ones_like(w)
        low, high = 0.0, 1.0 / np.min(rate[w != 0])
        for _ in range(200):
            middle = (low + high) / 2
            reached = np.sum(np.abs(w) * np.minimum(middle * rate, room))
            low, high = (middle, high) if reached < c else (low, middle)
        steps[i] = -np.sign(w) * np.minimum(high * rate, room)
    return steps


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("reach", [1e-4, 0.1, 0.5, 0.9, 0.999])
def test_float64_equals_bisection(norm, reach):
    problem = _problem(reach=reach)
    got = step_onto_hyperplane(*map(tf.constant, problem), norm=norm)
    np.testing.assert_allclose(got, _bisected(*problem, norm), atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_float32_equals_bisection_up_to_rounding(norm):
    problem = [part.astype(np.float32) for part in _problem(seed=1)]
    got = step_onto_hyperplane(*map(tf.constant, problem), norm=norm)
    want = _bisected(*(part.astype(np.float64) for part in problem), norm)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, want, atol=5e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_step_ends_on_the_hyperplane_and_in_the_box(norm):
    points, normals, excess = _problem(seed=2)
    steps = step_onto_hyperplane(*map(tf.constant, (points, normals, excess)), norm=norm).numpy()
    left = excess + np.sum(normals * steps, axis=(1, 2, 3))
    np.testing.assert_allclose(left / excess, np.zeros(len(excess)), atol=1e-9)
    moved = points + steps
    assert moved.min() >= -1e-12 and moved.max() <= 1 + 1e-12


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_unreachable_hyperplane_moves_everything_to_its_wall(norm):
    points, normals, excess = _problem(reach=1.5)
    steps = step_onto_hyperplane(*map(tf.constant, (points, normals, excess)), norm=norm).numpy()
    away = -np.sign(normals) * np.sign(excess)[:, None, None, None]
    want = np.where(away > 0, 1 - points, np.where(away < 0, -points, 0))
    np.testing.assert_allclose(steps, want, atol=1e-12)


@pytest.mark.parametrize("excess", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_without_a_normal_nothing_moves(norm, excess):
    points = tf.fill([2, 4, 4, 3], 0.3)
    steps = step_onto_hyperplane(points, tf.zeros_like(points), tf.fill([2], excess), norm=norm)
    np.testing.assert_array_equal(steps, np.zeros((2, 4, 4, 3)))


def test_no_excess_no_step():
    points, normals, _ = _problem()
    steps = step_onto_hyperplane(
        tf.constant(points), tf.constant(normals), tf.zeros([6], tf.float64), norm="linf"
    )
    np.testing.assert_array_equal(steps, np.zeros(SHAPE))


def test_known_step():
    # <(2, -1, 0), x> is 1 too large: both move by 1/3.
    points = tf.constant([[[[0.5, 0.5, 0.5]]]])
    normals = tf.constant([[[[2.0, -1.0, 0.0]]]])
    got = step_onto_hyperplane(points, normals, tf.constant([1.0]), norm="linf")
    np.testing.assert_allclose(tf.reshape(got, [-1]), [-1 / 3, 1 / 3, 0], rtol=1e-6)
    # By the Euclidean distance: along (2, -1), as far as 1 / 5.
    got = step_onto_hyperplane(points, normals, tf.constant([1.0]), norm="l2")
    np.testing.assert_allclose(tf.reshape(got, [-1]), [-0.4, 0.2, 0], rtol=1e-6)
