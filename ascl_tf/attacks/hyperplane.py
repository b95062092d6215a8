"""Shortest step onto a hyperplane that stays in the image box, solved exactly."""

import tensorflow as tf

# Newton's method needs about ten; rounding must not keep it going.
_MOST_CLIMBS = 64


def step_onto_hyperplane(points, normals, excess, *, norm):
    """Returns the shortest steps d with <w, x + d> = b and x + d in [0, 1].

    With c = <w, x> - b >= 0 (else w and c change sign), every component moves
    against sign(w_j), at most by room_j, the way to its wall, and all share one number t:

        sum_j |w_j| min(t * rate_j, room_j) = c

    with rate_j = 1 for the l-infinity norm and |w_j| for l2. The left side is piecewise
    linear, concave and rising in t, so that Newton's method from t = 0 climbs from below
    and is exact once it is on the right piece. Where c cannot be reached every component
    moves to its wall. A component with w_j = 0 does not move.
    The problem of Croce and Hein 2020, arXiv:1907.02044, Eq. 5.

    Args:
        points: [B, H, W, C] in [0, 1], the points x.
        normals: like `points`, the normals w.
        excess: [B], c with its sign.
        norm: `linf` or `l2`.

    Returns:
        Steps like `points`.
    """
    excess = tf.reshape(excess, [-1, 1, 1, 1])
    side = 1.0 - 2.0 * tf.cast(excess >= 0, points.dtype)
    direction = side * tf.sign(normals)
    # The way to 1 or to 0. `tf.where` on pixels takes longer than all the rest together.
    room = tf.abs(tf.cast(direction > 0, points.dtype) - points)
    weights = tf.abs(normals)
    # Scaled to 1, since squares of small gradients would leave the range of float32.
    largest = tf.reduce_max(weights, axis=[1, 2, 3], keepdims=True)
    weights = tf.math.divide_no_nan(weights, largest)
    rates = weights if norm == "l2" else 1.0
    wanted = tf.math.divide_no_nan(tf.abs(excess), largest)
    shared = _solve(weights, rates, room, wanted)
    return direction * tf.minimum(shared * rates, room)


def _solve(weights, rates, room, wanted):
    """Returns t, [B, 1, 1, 1]."""
    slopes = weights * rates

    def climb(shared, _):
        way = shared * rates
        reached = _sum(weights * tf.minimum(way, room))
        slope = _sum(slopes * tf.cast(way < room, slopes.dtype))
        higher = shared + tf.maximum(tf.math.divide_no_nan(wanted - reached, slope), 0.0)
        return higher, tf.reduce_any(higher > shared)

    # Every step but the last passes a wall, so that it ends by itself.
    shared, _ = tf.while_loop(
        lambda _, moves: moves,
        climb,
        (tf.zeros_like(wanted), tf.constant(True)),
        maximum_iterations=_MOST_CLIMBS,
        parallel_iterations=1,
    )
    return shared


def _sum(values):
    return tf.reduce_sum(values, axis=[1, 2, 3], keepdims=True)
