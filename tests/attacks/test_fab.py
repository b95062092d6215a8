"""FAB: closed forms on linear classifiers, its loop against a NumPy oracle."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import fab_t
from ascl_tf.attacks.autoattack_versions import ATTACKS
from ascl_tf.attacks.fab import closest_misclassified, fab_start
from ascl_tf.attacks.runners import make_runner
from tests.attacks.classifiers import (
    NUM_CLASSES,
    SIZE,
    LinearClassifier,
    images_and_labels,
    smooth_network,
)
from tests.common import random_images

EPSILON = 8 / 255


def _bisected_distance(weights, gap, image):
    """The l-infinity distance in the box at which <w, x> grows by `gap`."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        moved = np.clip(image + middle * np.sign(weights), 0, 1)
        low, high = (middle, high) if np.sum(weights * (moved - image)) < gap else (low, middle)
    return high


def test_distance_to_the_boundary_of_a_linear_classifier_is_found():
    classifier = LinearClassifier(num_classes=2)
    images, labels = images_and_labels(classifier)
    logits = classifier(images).numpy().astype(np.float64)
    got, distances = closest_misclassified(
        classifier,
        tf.constant(images),
        tf.constant(labels),
        targets=tf.constant(1 - labels),
        num_classes=2,
        norm="linf",
        num_steps=30,
        start=tf.constant(images),
    )
    assert np.all(np.argmax(classifier(got), axis=1) != labels)
    np.testing.assert_allclose(np.abs(got - images).max(axis=(1, 2, 3)), np.ravel(distances))
    for i, label in enumerate(labels):
        normal = (classifier.weights[..., 1 - label] - classifier.weights[..., label]).astype(float)
        gap = logits[i, label] - logits[i, 1 - label]
        want = _bisected_distance(normal, gap, images[i].astype(float))
        # It overshoots by a twentieth, and comes back by a tenth of what it has.
        assert want <= distances[i] <= 1.06 * want


def test_linear_classifier_is_fooled_where_it_can_be():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=24)
    epsilon = 0.01
    can_resist = classifier.is_robust(images, labels, epsilon)
    just_resists = classifier.is_robust(images, labels, epsilon / 1.06)
    settings = {"epsilon": epsilon, "num_steps": 20, "num_targets": NUM_CLASSES - 1}
    attack = tf.function(lambda x, y: fab_t(classifier, x, y, **settings), autograph=False)
    got = attack(images, labels).numpy()
    resists = np.argmax(classifier(got), axis=1) == labels
    assert np.all(resists[can_resist]) and not np.any(resists[~just_resists])
    assert 4 < can_resist.sum() < 20
    assert np.abs(got - images).max() <= epsilon
    np.testing.assert_array_equal(got[resists], images[resists])


def _oracle(network, images, labels, targets, num_steps):
    """FAB-T in float64 with its projection by bisection; gradients from TensorFlow."""
    x0, x1 = images.astype(np.float64), images.astype(np.float64)
    best, adversarial = np.full(len(images), 1e10), images.astype(np.float64)
    rows = np.arange(len(images))

    def hyperplane(x):
        x = tf.constant(x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = network(x)
            picked = tf.gather(logits, targets, batch_dims=1) - tf.gather(
                logits, labels, batch_dims=1
            )
            total = tf.reduce_sum(picked)
        return picked.numpy().astype(np.float64), tape.gradient(total, x).numpy().astype(np.float64)

    def project(v, w, b):
        c = np.sum(w * v) - b
        if c < 0:
            w, c = -w, -c
        room = np.where(w > 0, v, np.where(w < 0, 1 - v, 0))
        low, high = 0.0, 1.0
        for _ in range(80):
            middle = (low + high) / 2
            reached = np.sum(np.abs(w) * np.minimum(middle, room))
            low, high = (middle, high) if reached < c else (low, middle)
        return -np.sign(w) * np.minimum(high, room)

    for _ in range(num_steps):
        df, w = hyperplane(x1)
        for i in rows:
            b = np.sum(w[i] * x1[i]) - df[i]
            d1, d2 = project(x1[i], w[i], b), project(x0[i], w[i], b)
            a1, a2 = max(np.abs(d1).max(), 1e-8), max(np.abs(d2).max(), 1e-8)
            alpha = min(max(a1 / (a1 + a2), 0), 0.1)
            x1[i] = np.clip((1 - alpha) * (x1[i] + 1.05 * d1) + alpha * (x0[i] + 1.05 * d2), 0, 1)
        wrong = np.argmax(network(x1.astype(np.float32)), axis=1) != labels
        for i in rows[wrong]:
            length = np.abs(x1[i] - x0[i]).max()
            if length < best[i]:
                best[i], adversarial[i] = length, x1[i]
            x1[i] = x0[i] + 0.9 * (x1[i] - x0[i])
    return adversarial, best


def test_run_follows_the_oracle():
    network = smooth_network()
    images, labels = images_and_labels(network)
    targets = np.argsort(network(images), axis=1)[:, -2].astype(np.int32)
    got, distances = closest_misclassified(
        network,
        tf.constant(images),
        tf.constant(labels),
        targets=tf.constant(targets),
        num_classes=NUM_CLASSES,
        norm="linf",
        num_steps=12,
        start=tf.constant(images),
    )
    want, want_distances = _oracle(network, images, labels, targets, 12)
    np.testing.assert_allclose(np.ravel(distances), want_distances, rtol=1e-3)
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize(
    ("norm", "epsilon", "targeted"),
    [
        ("l2", 0.5, True),
        pytest.param("linf", EPSILON, True, marks=pytest.mark.slow),
        pytest.param("l2", 0.5, False, marks=pytest.mark.slow),
        pytest.param("linf", EPSILON, False, marks=pytest.mark.slow),
    ],
)
def test_only_what_lies_in_the_ball_is_returned(norm, epsilon, targeted):
    network = smooth_network()
    images, labels = images_and_labels(network)
    second = np.argsort(network(images), axis=1)[:, -2].astype(np.int32)

    # So few steps that they are one piece: no image is left out before the last of them.
    attack = dataclasses.replace(ATTACKS["fab-t" if targeted else "fab"], num_steps=5)

    def run(epsilon):
        runner = make_runner(
            attack, network, (SIZE, SIZE, 3), num_classes=NUM_CLASSES, epsilon=epsilon, norm=norm
        )
        tensors = (tf.constant(images), tf.constant(labels), tf.constant(second))
        return runner(*tensors, tf.constant(0), tf.zeros([len(images), 2], tf.int32)).numpy()

    got = run(epsilon)
    change = (got - images).reshape(len(images), -1)
    length = np.linalg.norm(change, np.inf if norm == "linf" else 2, axis=1)
    fooled = np.argmax(network(got), axis=1) != labels
    assert np.all(length[fooled] <= epsilon) and np.all(length[~fooled] == 0) and fooled.any()
    # A hair less than what was found is not enough.
    shorter = run(np.float32(0.999 * length[fooled].min()))
    np.testing.assert_array_equal(shorter, images)


def test_untargeted_run_goes_to_the_nearest_boundary():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier)

    def distances(images, labels, targets):
        return closest_misclassified(
            classifier,
            tf.constant(images),
            tf.constant(labels),
            targets=targets,
            num_classes=NUM_CLASSES,
            norm="linf",
            num_steps=8,
            start=tf.constant(images),
        )[1].numpy()

    others = NUM_CLASSES - 1
    targets = [(labels + shift) % NUM_CLASSES for shift in range(1, NUM_CLASSES)]
    every = [np.tile(images, [others, 1, 1, 1]), np.tile(labels, others), np.concatenate(targets)]
    each = np.split(distances(*every), others)
    np.testing.assert_allclose(distances(images, labels, None), np.min(each, axis=0), rtol=0.01)


def test_first_run_starts_at_the_image_and_others_at_half_the_radius():
    images = tf.fill([3, 8, 8, 3], 0.5)
    seeds = tf.stack([tf.zeros([3], tf.int32), tf.range(3)], axis=1)
    np.testing.assert_array_equal(fab_start(images, 0, EPSILON, "linf", seeds), images)
    start = fab_start(images, 1, EPSILON, "linf", seeds)
    length = np.abs(start - images).max(axis=(1, 2, 3))
    np.testing.assert_allclose(length, [EPSILON / 2] * 3, rtol=1e-5)


def test_without_restarts_nothing_is_random_and_a_graph_gives_the_same():
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=3)
    settings = {"epsilon": EPSILON, "num_steps": 2, "num_targets": 2}
    attack = tf.function(lambda x, y: fab_t(network, x, y, **settings), autograph=False)
    seeded = fab_t(network, images, labels, seed=[1, 2], **settings)
    np.testing.assert_allclose(attack(images, labels), seeded, atol=1e-6)
    assert np.any(seeded != images)


def test_dead_gradients_leave_the_image():
    def flat(points):
        return (
            tf.constant([[1.0, 0.0, 0.0, 0.0]])
            + 0.0 * tf.reduce_sum(points, axis=[1, 2, 3], keepdims=True)[:, :, 0, 0]
        )

    images = random_images()
    got = fab_t(flat, images, np.zeros(4, np.int32), epsilon=EPSILON, num_steps=3, num_targets=3)
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": -1}, r"`epsilon` must be > 0; received -1"),
        ({"num_steps": 0}, r"`num_steps` must be an integer from 1 to .*; received 0"),
        ({"norm": "l1"}, r"`norm` must be one of linf, l2; received 'l1'"),
        ({"num_targets": 5}, r"`num_targets` must be an integer from 1 to 4.*received 5"),
        ({"num_targets": 0}, r"`num_targets` must be an integer from 1 to 4.*received 0"),
        ({"num_restarts": 2}, r"`num_restarts` > 1 needs a `seed`.*received None"),
    ],
)
def test_bad_argument_is_named(changes, message):
    settings = {"epsilon": EPSILON, "num_steps": 1, "num_targets": 4} | changes
    with pytest.raises(ValueError, match=message):
        fab_t(LinearClassifier(), random_images(), np.zeros(4, np.int32), **settings)


def test_function_without_gradient_is_named():
    with pytest.raises(ValueError, match=r"`logits_fn` must be differentiable.*None"):
        fab_t(
            lambda x: tf.round(x[:, 0, 0]),
            random_images(),
            np.zeros(4, np.int32),
            epsilon=EPSILON,
            num_targets=2,
        )
