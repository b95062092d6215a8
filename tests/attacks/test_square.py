"""Square: schedule, stripes, windows, bumps, monotone margins, pieces equal the whole."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import square
from ascl_tf.attacks.square import SquareSearch
from ascl_tf.attacks.square_proposals import bump, make_proposals, share_of_pixels, window_sizes
from tests.attacks.classifiers import LinearClassifier, images_and_labels, smooth_network
from tests.common import random_images

EPSILON = 8 / 255
SEED = [3, 4]


def _seeds(count, first=3):
    return tf.stack([tf.fill([count], first), tf.range(count)], axis=1)


def test_shares_and_window_sizes_on_cifar_images_are_the_published_ones():
    changes = (0, 11, 51, 201, 501, 1001, 2001, 4001)
    shares = [share_of_pixels(query) for query in changes]
    np.testing.assert_allclose(shares, [0.8 / 2**k for k in range(8)])
    assert [share_of_pixels(query - 1) for query in changes[1:]] == shares[:-1]
    sizes = window_sizes(5000, 32, 32, "linf")
    assert sizes[list(changes)].tolist() == [29, 20, 14, 10, 7, 5, 4, 3]
    assert (np.flatnonzero(np.diff(sizes)) + 1).tolist() == list(changes[1:])


def test_windows_for_l2_are_odd_and_at_least_three():
    sizes = window_sizes(5000, 32, 32, "l2")
    assert np.unique(sizes).tolist() == [3, 5, 7, 11, 15, 21, 29]


def test_windows_fit_small_images():
    assert set(window_sizes(5000, 4, 4, "linf")) == {4, 3, 2, 1}
    assert window_sizes(5000, 4, 8, "linf").max() <= 4


def test_start_is_vertical_stripes_at_the_surface():
    images = tf.fill([4, 8, 6, 3], 0.5)
    proposals = make_proposals(images.shape, epsilon=EPSILON, norm="linf", num_queries=5)
    draws = tf.random.stateless_uniform([4, proposals.num_start_draws], [0, 1])
    change = (proposals.start(images, draws) - images).numpy()
    np.testing.assert_allclose(np.abs(change), EPSILON, rtol=1e-5)
    np.testing.assert_array_equal(change, np.repeat(change[:, :1], 8, axis=1))
    assert len(np.unique(np.sign(change[:, 0]).reshape(4, -1), axis=0)) == 4
    assert np.all(np.any(np.diff(np.sign(change[:, 0]), axis=1) != 0, axis=(1, 2)))


def test_proposal_is_one_square_of_one_color():
    images = tf.fill([64, 32, 32, 3], 0.5)
    proposals = make_proposals(images.shape, epsilon=EPSILON, norm="linf", num_queries=60)
    draws = tf.random.stateless_uniform([64, proposals.num_draws], [0, 1])
    change = (proposals.make_propose(images)(images, tf.constant(30), draws) - images).numpy()
    places = set()
    for one in change:
        rows, columns = (
            np.flatnonzero(np.any(one, axis=(1, 2))),
            np.flatnonzero(np.any(one, axis=(0, 2))),
        )
        assert len(rows) == len(columns) == 20
        assert rows[-1] - rows[0] == columns[-1] - columns[0] == 19
        inside = one[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.testing.assert_allclose(np.abs(inside), EPSILON, rtol=1e-5)
        assert np.all(inside == inside[0, 0])
        places.add((rows[0], columns[0]))
    # From 0 to 32 - 20 - 1; the last row and column are never reached.
    assert len(places) > 20 and max(max(places)) <= 11
    assert len({tuple(np.sign(one.sum(axis=(0, 1)))) for one in change}) == 8


def test_window_overwrites_what_was_there():
    images = tf.fill([1, 8, 8, 3], 0.5)
    proposals = make_proposals(images.shape, epsilon=EPSILON, norm="linf", num_queries=20)
    draws = tf.constant([[0.0, 0.0, 0.9, 0.1, 0.9]])
    got = proposals.make_propose(images)(images - EPSILON, tf.constant(15), draws) - images
    # Plus twice the radius: from the one side of the ball to the other, never beyond it.
    want = np.full((1, 8, 8, 3), -EPSILON)
    want[:, :5, :5] = [EPSILON, -EPSILON, EPSILON]
    np.testing.assert_allclose(got, want, atol=1e-7)


@pytest.mark.parametrize("size", [3, 4, 5, 7, 11, 29])
def test_bump_is_two_halves_of_opposite_sign_and_length_one(size):
    pattern = bump(size)
    assert pattern.shape == (size, size)
    np.testing.assert_allclose(np.sum(pattern**2), 1, rtol=1e-5)
    assert np.all(pattern[: size // 2] > 0) and np.all(pattern[size // 2 :] < 0)
    # Each half has its peak in its middle and falls towards its border.
    upper, lower = pattern[: size // 2], -pattern[size // 2 :]
    for half in (upper, lower):
        peak = np.unravel_index(np.argmax(half), half.shape)
        assert peak == (half.shape[0] // 2, size // 2)


def test_bump_of_five_by_hand():
    def tail(distance, last):
        return sum(1 / j**2 for j in range(distance + 1, last + 2))

    # Halves of 2 and 3 rows, both with n = 5 // 2 = 2; distance in the maximum norm.
    upper = np.array([[tail(max(abs(r - 1), abs(c - 2)), 2) for c in range(5)] for r in range(2)])
    lower = np.array([[tail(max(abs(r - 1), abs(c - 2)), 2) for c in range(5)] for r in range(3)])
    want = np.concatenate([upper / np.linalg.norm(upper), -lower / np.linalg.norm(lower)])
    np.testing.assert_allclose(bump(5), want / np.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize("query", [0, 15, 400])
def test_l2_proposals_have_the_length_of_the_radius(query):
    images = tf.fill([5, 32, 32, 3], 0.5)
    proposals = make_proposals(images.shape, epsilon=0.5, norm="l2", num_queries=500)
    start = proposals.start(
        images, tf.random.stateless_uniform([5, proposals.num_start_draws], [0, 1])
    )
    draws = tf.random.stateless_uniform([5, proposals.num_draws], [2, 3])
    points = proposals.make_propose(images)(start, tf.constant(query), draws)
    for got in (start, points):
        length = np.sqrt(np.sum(np.square(got - images), axis=(1, 2, 3)))
        np.testing.assert_allclose(length, [0.5] * 5, rtol=1e-4)


def test_l2_proposal_changes_two_windows_and_the_common_scale():
    images = tf.fill([3, 32, 32, 3], 0.5)
    proposals = make_proposals(images.shape, epsilon=0.5, norm="l2", num_queries=500)
    start = proposals.start(
        images, tf.random.stateless_uniform([3, proposals.num_start_draws], [0, 1])
    )
    draws = tf.random.stateless_uniform([3, proposals.num_draws], [2, 3])
    points = proposals.make_propose(images)(start, tf.constant(400), draws)
    before, after = (start - images).numpy(), (points - images).numpy()
    for old, new, draw in zip(before, after, draws.numpy(), strict=True):
        (row, column), (row2, column2) = (draw[:2] * 21).astype(int), (draw[2:4] * 21).astype(int)
        outside = np.ones((32, 32), bool)
        outside[row : row + 11, column : column + 11] = False
        assert np.all(
            new[row2 : row2 + 11, column2 : column2 + 11][
                outside[row2 : row2 + 11, column2 : column2 + 11]
            ]
            == 0
        )
        outside[row2 : row2 + 11, column2 : column2 + 11] = False
        kept = outside & np.all(np.abs(old) > 1e-6, axis=2)
        ratio = new[kept] / old[kept]
        np.testing.assert_allclose(ratio, np.full_like(ratio, ratio[0, 0]), rtol=1e-3)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", EPSILON), ("l2", 0.6)])
def test_margin_never_rises_and_points_stay_in_ball_and_box(norm, epsilon):
    network = smooth_network()
    images, labels = images_and_labels(network)
    images[0] = np.round(images[0])
    labels[0] = np.argmax(network(images[:1]))
    search = SquareSearch(network, images.shape, epsilon=epsilon, norm=norm, num_queries=20)
    state = search.start(tf.constant(images), tf.constant(labels), _seeds(6))
    margins = [state.best_margin.numpy()]
    for query in range(0, 20, 10):
        state = search.advance(state, query, query + 10)
        margins.append(state.best_margin.numpy())
        change = (state.best_images - images).numpy().reshape(6, -1)
        length = np.linalg.norm(change, np.inf if norm == "linf" else 2, axis=1)
        assert length.max() <= epsilon + 1e-6
        assert state.best_images.numpy().min() >= 0 and state.best_images.numpy().max() <= 1
    assert np.all(np.diff(margins, axis=0) <= 0) and np.all(margins[-1] < margins[0])
    logits = network(state.best_images).numpy()
    others = np.where(np.eye(5, dtype=bool)[labels], -np.inf, logits).max(axis=1)
    own = logits[np.arange(6), labels]
    np.testing.assert_allclose(state.best_margin, own - others, atol=1e-5)


def test_pieces_and_parts_of_a_search_equal_the_whole():
    network = smooth_network()
    images, labels = images_and_labels(network)
    search = SquareSearch(network, images.shape, epsilon=EPSILON, norm="linf", num_queries=12)
    whole = search.advance(search.start(images, labels, _seeds(6)), 0, 12)
    parts = search.start(images[2:], labels[2:], _seeds(6)[2:])
    for first, last in ((0, 3), (3, 4), (4, 12)):
        parts = search.advance(parts, first, last)
    np.testing.assert_allclose(parts.best_images, whole.best_images[2:], atol=1e-6)
    np.testing.assert_allclose(parts.best_margin, whole.best_margin[2:], atol=1e-4)


def test_no_query_is_made_once_every_image_is_fooled():
    images, labels = images_and_labels(LinearClassifier())
    num_calls = []

    def counted(points):
        tf.py_function(lambda: num_calls.append(1), [], [])
        wrong = tf.cast(tf.range(5) == labels[:, None], tf.float32)
        return 0.0 * tf.reduce_sum(points) - wrong

    search = SquareSearch(counted, images.shape, epsilon=EPSILON, norm="linf", num_queries=30)
    search.advance(search.start(images, labels, _seeds(6)), 0, 30)
    assert len(num_calls) == 1


def test_gradient_is_not_needed():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier)

    def rounded(points):
        return classifier(tf.round(32 * points) / 32)

    search = SquareSearch(rounded, images.shape, epsilon=0.1, norm="linf", num_queries=30)
    start = search.start(images, labels, _seeds(6))
    end = search.advance(start, 0, 30)
    assert np.any(end.best_margin < start.best_margin)


def test_seed_decides_and_a_graph_gives_the_same():
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=3)
    settings = {"epsilon": EPSILON, "num_queries": 6}
    first = square(network, images, labels, seed=SEED, **settings)
    attack = tf.function(lambda x, y: square(network, x, y, seed=SEED, **settings), autograph=False)
    np.testing.assert_allclose(attack(images, labels), first, atol=1e-6)
    other = square(network, images, labels, seed=[3, 5], **settings)
    assert np.any(other != first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0.0}, r"`epsilon` must be > 0; received 0\.0"),
        ({"num_queries": 0}, r"`num_queries` must be an integer from 1 to .*; received 0"),
        ({"num_restarts": 0}, r"`num_restarts` must be an integer from 1 to .*; received 0"),
        ({"norm": "l1"}, r"`norm` must be one of linf, l2; received 'l1'"),
    ],
)
def test_bad_argument_is_named(changes, message):
    settings = {"epsilon": EPSILON, "num_queries": 2, "seed": SEED} | changes
    with pytest.raises(ValueError, match=message):
        square(LinearClassifier(), random_images(), np.zeros(4, np.int32), **settings)
