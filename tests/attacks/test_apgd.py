"""APGD: its schedule, its control against a NumPy oracle, closed forms, ball and box."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import apgd
from ascl_tf.attacks.apgd import ApgdSearch
from ascl_tf.attacks.step_control import advance, checkpoints, first_state, halve, windows
from tests.attacks.classifiers import (
    NUM_CLASSES,
    LinearClassifier,
    images_and_labels,
    smooth_network,
)
from tests.attacks.runs import trace_apgd
from tests.common import random_images

EPSILON = 8 / 255
SEED = [3, 4]


def test_checkpoints_of_a_hundred_steps_are_the_published_ones():
    assert [tuple(checkpoint) for checkpoint in checkpoints(100)] == [
        (22, 22),
        (41, 19),
        (57, 16),
        (70, 13),
        (80, 10),
        (87, 7),
        (93, 6),
        (99, 6),
    ]


@pytest.mark.parametrize("num_steps", [1, 2, 5, 17, 50, 100, 1000])
def test_windows_follow_each_other_without_a_gap(num_steps):
    found = checkpoints(num_steps)
    ends = [0, *(checkpoint.step for checkpoint in found)]
    assert np.diff(ends).tolist() == [checkpoint.window for checkpoint in found]
    assert found[-1].step <= num_steps
    judged = windows(num_steps).numpy()
    assert judged.sum() == found[-1].step and np.count_nonzero(judged) == len(found)


def _control_oracle(losses, num_steps, epsilon):
    """Step sizes after each step, from a whole history as the paper writes it.

    losses[0] is the start's; the history holds the others, its unused entries are 0.
    """
    history = np.zeros(num_steps)
    window = max(int(0.22 * num_steps), 1)
    shrink, smallest = max(int(0.03 * num_steps), 1), max(int(0.06 * num_steps), 1)
    step, best, best_last, reduced_last, since = 2 * epsilon, losses[0], losses[0], True, 0
    sizes = []
    for i in range(num_steps):
        history[i] = losses[i + 1]
        best = max(best, history[i])
        since += 1
        if since == window:
            rises = sum(history[i - c] > history[i - c - 1] for c in range(window))
            halved = rises <= 0.75 * window or (not reduced_last and best_last >= best)
            reduced_last, best_last = halved, best
            step = step / 2 if halved else step
            since, window = 0, max(window - shrink, smallest)
        sizes.append(step)
    return np.array(sizes)


@pytest.mark.parametrize(
    ("num_steps", "rising"), [(10, 0.5), (10, 0.95), (40, 0.5), (40, 0.8), (40, 0.95), (100, 0.8)]
)
def test_steps_are_halved_as_on_recorded_losses(num_steps, rising):
    rng = np.random.default_rng(num_steps)
    moves = np.where(rng.uniform(size=(32, num_steps)) < rising, 1, -1)
    moves = moves * rng.uniform(size=moves.shape)
    # Some begin below 0, as the ratio of logits does, and some reach a plateau.
    losses = np.cumsum(np.concatenate([rng.normal(size=(32, 1)), moves], axis=1), axis=1)
    losses[:8, num_steps // 2 :] = losses[:8, num_steps // 2][:, None]
    losses = losses.astype(np.float32)
    pixel = tf.zeros([32, 1, 1, 1])
    state = first_state(pixel, tf.ones([32], tf.bool), tf.constant(losses[:, 0]), pixel, EPSILON)
    sizes = []
    for i, window in enumerate(windows(num_steps)):
        correct = tf.ones([32], tf.bool)
        state = advance(state, pixel + i, correct, tf.constant(losses[:, i + 1]), pixel)
        state = halve(state, window)
        sizes.append(tf.reshape(state.step_size, [-1]).numpy())
    want = np.stack([_control_oracle(row, num_steps, EPSILON) for row in losses], axis=1)
    np.testing.assert_allclose(sizes, want, rtol=1e-6)
    assert len(np.unique(sizes)) > 2


def test_halving_goes_back_to_the_best_point_and_keeps_the_previous_one():
    first = tf.reshape(tf.constant([1.0, 2.0]), [2, 1, 1, 1])
    correct = tf.constant([True, True])
    state = first_state(first, correct, tf.constant([5.0, 0.0]), first, EPSILON)
    state = advance(state, first + 10, correct, tf.constant([4.0, 4.0]), -first)
    state = advance(state, first + 20, correct, tf.constant([3.0, 6.0]), -2 * first)
    state = halve(state, tf.constant(2))
    # Of the first, one step rose (above the 0 of an empty history); of the second, both.
    np.testing.assert_array_equal(tf.reshape(state.images, [-1]), [1, 22])
    np.testing.assert_array_equal(tf.reshape(state.gradient, [-1]), [1, -4])
    np.testing.assert_array_equal(tf.reshape(state.previous_images, [-1]), [11, 12])
    np.testing.assert_allclose(tf.reshape(state.step_size, [-1]) / EPSILON, [1, 2], rtol=1e-6)


def _oracle(network, images, labels, start, num_steps, norm, epsilon):
    """APGD-CE with explicit lists; only loss and gradient come from TensorFlow."""
    x0 = images.astype(np.float64)

    def evaluate(x):
        x = tf.constant(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = network(x)
            loss = -tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1)
            total = tf.reduce_sum(loss)
        correct = np.argmax(logits, axis=1) == labels
        return loss.numpy(), tape.gradient(total, x).numpy().astype(np.float64), correct

    def length(v):
        return np.sqrt(np.sum(v**2, axis=(1, 2, 3), keepdims=True))

    def project(x):
        if norm == "linf":
            return np.clip(np.clip(x, x0 - epsilon, x0 + epsilon), 0, 1)
        delta = x - x0
        return np.clip(x0 + delta * np.minimum(1, epsilon / np.maximum(length(delta), 1e-12)), 0, 1)

    x, before = start.astype(np.float64), start.astype(np.float64)
    loss, gradient, correct = evaluate(x)
    best, best_x, best_gradient = loss.copy(), x.copy(), gradient.copy()
    adversarial, losses = x.copy(), [loss]
    ends = {checkpoint.step - 1: checkpoint.window for checkpoint in checkpoints(num_steps)}
    step = np.full((len(x), 1, 1, 1), 2 * epsilon)
    best_last, reduced_last = best.copy(), np.ones(len(x), bool)
    for i in range(num_steps):
        direction = np.sign(gradient) if norm == "linf" else gradient / length(gradient)
        z = project(x + step * direction)
        a = 1.0 if i == 0 else 0.75
        x, before = project(x + a * (z - x) + (1 - a) * (x - before)), x
        loss, gradient, correct = evaluate(x)
        losses.append(loss)
        adversarial[~correct] = x[~correct]
        up = loss > best
        best[up], best_x[up], best_gradient[up] = loss[up], x[up], gradient[up]
        if i in ends:
            history = np.stack([np.zeros_like(loss), *losses[1:]])
            window = history[i + 1 - ends[i] : i + 2]
            rises = np.sum(np.diff(window, axis=0) > 0, axis=0)
            down = (rises <= 0.75 * ends[i]) | (~reduced_last & (best_last >= best))
            reduced_last, best_last = down, best.copy()
            step[down] /= 2
            x, gradient = x.copy(), gradient.copy()
            x[down], gradient[down] = best_x[down], best_gradient[down]
    return np.array(losses), adversarial, best_x


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", EPSILON), ("l2", 0.3)])
def test_run_follows_the_oracle_from_an_injected_start(norm, epsilon):
    network = smooth_network()
    images, labels = images_and_labels(network)
    noise = np.random.default_rng(5).uniform(-1, 1, images.shape)
    size = np.abs(noise).max() if norm == "linf" else np.sqrt(np.sum(noise[0] ** 2)) * 1.1
    start = np.clip(images + epsilon * noise / size, 0, 1).astype(np.float32)
    settings = {"epsilon": epsilon, "loss": "ce", "norm": norm, "num_steps": 30}
    found_losses, got = trace_apgd(network, images, labels, start, **settings)
    losses, adversarial, best = _oracle(network, images, labels, start, 30, norm, epsilon)
    np.testing.assert_allclose(found_losses, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.best_loss, losses.max(axis=0), rtol=1e-4, atol=1e-5)
    # The sign of a gradient that is nearly zero may flip with the rounding of a pixel, and, on some
    # processors, a comparison of losses that are a tie: one image then takes another way there.
    for found, expected in ((got.best_images, best), (got.adversarial_images, adversarial)):
        shares = np.mean(np.isclose(found, expected, atol=1e-4), axis=(1, 2, 3))
        assert np.sum(shares > 0.97) >= len(images) - 1 and np.sort(shares)[1:].mean() > 0.995


@pytest.mark.parametrize("loss", [pytest.param("ce", marks=pytest.mark.slow), "targeted_dlr"])
def test_linear_classifier_is_fooled_exactly_where_it_can_be(loss):
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=24)
    epsilon = 0.01
    can_resist = classifier.is_robust(images, labels, epsilon)
    assert 4 < can_resist.sum() < 20
    settings = {
        "epsilon": epsilon,
        "loss": loss,
        "num_steps": 20,
        "num_targets": NUM_CLASSES - 1,
        "seed": SEED,
    }
    attack = tf.function(lambda x, y: apgd(classifier, x, y, **settings), autograph=False)
    got = attack(images, labels).numpy()
    resists = np.argmax(classifier(got), axis=1) == labels
    # Towards each class in turn this is exact; cross-entropy may prefer the wrong class.
    if loss == "targeted_dlr":
        np.testing.assert_array_equal(resists, can_resist)
    assert np.all(resists[can_resist]) and resists.sum() < 24
    np.testing.assert_array_equal(got[resists], images[resists])


@pytest.mark.parametrize(
    ("loss", "norm", "epsilon"),
    [
        ("ce", "linf", EPSILON),
        ("dlr", "l2", 0.5),
        pytest.param("targeted_dlr", "linf", EPSILON, marks=pytest.mark.slow),
        pytest.param("ce", "l2", 0.5, marks=pytest.mark.slow),
        pytest.param("dlr", "linf", EPSILON, marks=pytest.mark.slow),
        pytest.param("targeted_dlr", "l2", 0.5, marks=pytest.mark.slow),
    ],
)
def test_result_stays_in_ball_and_box(loss, norm, epsilon):
    network = smooth_network()
    images, labels = images_and_labels(network)
    images[0] = np.round(images[0])
    got = apgd(
        network,
        images,
        labels,
        epsilon=epsilon,
        loss=loss,
        norm=norm,
        num_steps=8,
        num_targets=2,
        seed=SEED,
    ).numpy()
    change = (got - images).reshape(len(images), -1)
    length = np.linalg.norm(change, np.inf if norm == "linf" else 2, axis=1)
    assert length.max() <= epsilon + 1e-6 and got.min() >= 0 and got.max() <= 1
    assert np.any(np.argmax(network(got), axis=1) != labels)


def test_misclassified_images_are_left_alone():
    network = smooth_network()
    images, labels = images_and_labels(network)
    got = apgd(network, images, (labels + 1) % NUM_CLASSES, epsilon=EPSILON, num_steps=3, seed=SEED)
    np.testing.assert_array_equal(got, images)


def test_restarts_find_what_one_run_does_not():
    # Right everywhere but in a sixteenth of the ball; without a gradient, only chance finds it.
    images = np.full((64, 2, 2, 1), 0.5, np.float32)

    def logits_fn(points):
        away = tf.reshape(points - 0.5, [-1, 4])
        inside = tf.cast(tf.reduce_all(away > 0, axis=1), tf.float32)[:, None]
        flat = 0.0 * tf.reduce_sum(away, axis=1, keepdims=True)
        return tf.concat([1.0 - 2.0 * inside + flat, tf.zeros_like(inside)], axis=1)

    def num_fooled(num_restarts):
        settings = {"epsilon": 0.1, "num_steps": 1, "num_restarts": num_restarts, "seed": SEED}
        attack = tf.function(lambda x, y: apgd(logits_fn, x, y, **settings), autograph=False)
        got = attack(images, tf.zeros([64], tf.int32))
        return int(np.sum(np.argmax(logits_fn(got), axis=1) != 0))

    one, ten = num_fooled(1), num_fooled(10)
    # 64 / 16 = 4 expected, then 64 (1 - (15/16)^10) = 30.
    assert one <= 12 and 15 <= ten <= 45


def test_averaged_gradients_of_a_deterministic_model_change_nothing():
    network = smooth_network()
    images, labels = images_and_labels(network)
    results = [
        apgd(network, images, labels, epsilon=EPSILON, num_steps=3, eot_iter=eot_iter, seed=SEED)
        for eot_iter in (1, 4)
    ]
    np.testing.assert_allclose(*results, atol=1e-5)


def test_averaging_sees_through_gradient_noise():
    images = np.full((4, 4, 4, 3), 0.5, np.float32)
    generator = tf.random.Generator.from_seed(0)

    def noisy(points):
        noise = 12.0 * points * generator.normal(tf.shape(points))
        # The noise is in the gradient alone: every pixel of the signal has weight 1.
        signal = tf.reduce_mean(points - 0.5 + noise - tf.stop_gradient(noise), axis=[1, 2, 3])
        return tf.stack([signal, -signal], axis=1)

    @tf.function(autograph=False)
    def best_images(eot_iter):
        settings = {"epsilon": 0.1, "loss": "ce", "norm": "linf", "num_steps": 1}
        search = ApgdSearch(noisy, eot_iter=eot_iter, **settings)
        labels = tf.zeros([4], tf.int32)
        state = search.start(tf.constant(images), labels, labels, tf.constant(images))
        return search.advance(state, 0, 1).control.best_images

    directions = [np.mean(np.sign(best_images(eot_iter) - images)) for eot_iter in (1, 200)]
    # Down is right. Of one draw 53 % of the pixels know it, of the mean of 200 draws 88 %.
    assert abs(directions[0]) < 0.3 and directions[1] < -0.6


def test_draws_belong_to_images_and_not_to_the_batch():
    network = smooth_network()
    images, labels = images_and_labels(network)
    seeds = np.stack([np.full(6, 3), np.arange(6)], axis=1)
    settings = {"epsilon": EPSILON, "num_steps": 2}
    whole = apgd(network, images, labels, seed=seeds, **settings)
    part = apgd(network, images[3:], labels[3:], seed=seeds[3:], **settings)
    np.testing.assert_allclose(whole[3:], part, atol=1e-6)
    positions = apgd(network, images, labels, seed=SEED, **settings)
    again = apgd(network, images, labels, seed=SEED, **settings)
    np.testing.assert_array_equal(positions, again)


def test_same_in_a_graph_and_traced_once_for_all_sizes():
    network, num_traces = smooth_network(), []
    images, labels = images_and_labels(network)

    def attack(images, labels):
        num_traces.append(1)
        return apgd(network, images, labels, epsilon=EPSILON, num_steps=4, seed=SEED)

    signature = [tf.TensorSpec([None, 8, 8, 3]), tf.TensorSpec([None], tf.int32)]
    compiled = tf.function(attack, input_signature=signature, autograph=False)
    np.testing.assert_allclose(compiled(images, labels), attack(images, labels), atol=1e-5)
    assert compiled(images[:2], labels[:2]).shape == (2, 8, 8, 3)
    assert len(num_traces) == 2


def test_no_variable_of_the_model_moves():
    network = smooth_network()
    before = [weight.copy() for weight in network.get_weights()]
    images, labels = images_and_labels(network)
    apgd(network, images, labels, epsilon=EPSILON, num_steps=3, seed=SEED)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def _call(**changes):
    images = random_images()
    classifier = LinearClassifier(num_classes=changes.pop("num_classes", NUM_CLASSES))
    arguments = {"logits_fn": classifier, "images": images, "labels": np.zeros(4, np.int32)}
    settings = {"epsilon": EPSILON, "num_steps": 1, "seed": SEED}
    return apgd(**{**arguments, **settings, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0}, r"`epsilon` must be > 0; received 0"),
        ({"num_steps": 0}, r"`num_steps` must be an integer from 1 to .*; received 0"),
        ({"num_restarts": 0}, r"`num_restarts` must be an integer from 1 to .*; received 0"),
        ({"eot_iter": 0}, r"`eot_iter` must be an integer from 1 to .*; received 0"),
        ({"loss": "mse"}, r"`loss` must be one of ce, dlr, targeted_dlr; received 'mse'"),
        ({"norm": "l1"}, r"`norm` must be one of linf, l2; received 'l1'"),
        ({"norm": tf.constant(2)}, r"`norm` must be one of linf, l2; received <tf\.Tensor"),
        (
            {"epsilon": np.full([4, 1], 0.1)},
            r"`epsilon` must be > 0; received array\(\[\[0\.1\], \[0",
        ),
        ({"seed": [[1, 2]]}, r"`seed` must be int32 \[2\], or \[4, 2\] .*; received \[\[1, 2\]\]"),
        ({"seed": np.array([1, 2**40])}, r"`seed` must be int32 .* received array\(\[ *1, 1099511"),
        ({"loss": "dlr", "num_classes": 2}, r"`loss=dlr` needs logits of at least 3.*received 2"),
        ({"loss": "targeted_dlr", "num_classes": 3}, r"at least 4 classes; received 3"),
        ({"loss": "targeted_dlr"}, r"`num_targets` must be an integer from 1 to 4.*received 9"),
        ({"images": np.zeros((4, 8, 8), np.float32)}, r"`images` must have shape.*\(4, 8, 8\)"),
        ({"images": np.zeros((4, 8, 8, 3), np.uint8)}, r"`images` must be floating.*uint8"),
        ({"images": random_images() + 1}, r"`images` must be in \[0, 1\]; received values from 1"),
        ({"images": random_images() * np.nan}, r"`images` must be finite"),
        ({"images": None}, r"`images` must be an array; received None"),
        (
            {"labels": [[0], [0, 1], [0], [0]]},
            r"`labels` must be an array; received \[\[0\], \[0, 1",
        ),
        ({"labels": np.array([None] * 4)}, r"`labels` must be an array; received array\(\[None"),
        ({"labels": np.zeros(3, np.int32)}, r"`labels` must have shape \[batch\].*\(3,\)"),
        ({"labels": np.zeros(4)}, r"`labels` must be integers; received dtype.*float64"),
        ({"labels": np.full(4, 5)}, r"`labels` must be from 0 to 4.*received values from 5 to 5"),
        ({"labels": np.full(4, 2**32 + 1)}, r"`labels` must be from 0 to 4.*from 4294967297"),
        ({"labels": np.full(4, -1)}, r"`labels` must be from 0 to 4.*from -1 to -1"),
        ({"logits_fn": lambda x: x}, r"`logits_fn` must return logits of shape.*\(4, 8, 8, 3\)"),
        (
            {"logits_fn": lambda x: tf.round(x[:, 0, 0])},
            r"`logits_fn` must be differentiable.*gradient is None",
        ),
    ],
)
def test_bad_argument_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        _call(**changes)
