"""Attacks as an ensemble runs them: in pieces, without the images that are fooled."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks.autoattack_versions import plan
from ascl_tf.attacks.norms import choose
from ascl_tf.attacks.runners import make_runner
from tests.attacks.classifiers import (
    NUM_CLASSES,
    SIZE,
    LinearClassifier,
    images_and_labels,
    smooth_network,
)

STEPS = {
    "apgd-ce": "num_steps",
    "apgd-t": "num_steps",
    "fab-t": "num_steps",
    "square": "num_queries",
}
NAMES = tuple(STEPS)


def _make_runner(name, classifier, *, epsilon, num_steps):
    (attack,), _ = plan(
        "custom",
        attacks=[name],
        settings={name: {STEPS[name]: num_steps}},
        num_classes=NUM_CLASSES,
    )
    shape = (SIZE, SIZE, 3)
    return make_runner(
        attack, classifier, shape, num_classes=NUM_CLASSES, epsilon=epsilon, norm="linf"
    )


def _run(runner, classifier, images, labels, owners=None):
    count = len(labels)
    targets = np.argsort(-np.asarray(classifier(images)), axis=1)[:, 1].astype(np.int32)
    seeds = tf.stack([tf.zeros([count], tf.int32), tf.range(count)], axis=1)
    return runner(
        tf.constant(images),
        tf.constant(labels),
        tf.constant(targets),
        tf.constant(0),
        seeds,
        owners=owners,
    ).numpy()


class _Counted:
    """A classifier that counts the images it is given."""

    def __init__(self, classifier):
        self.classifier, self.num_images = classifier, 0

    def __call__(self, images):
        def note(count):
            self.num_images += int(count)

        with tf.control_dependencies([tf.py_function(note, [tf.shape(images)[0]], [])]):
            return self.classifier(tf.identity(images))


# Attacks share what leaves images out.
@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(x, marks=pytest.mark.slow) for x in NAMES[1:])]
)
def test_images_that_are_fooled_are_not_attacked_on(name):
    linear = LinearClassifier()
    images, labels = images_and_labels(linear, num_images=12)
    counted = _Counted(linear)
    found = _run(_make_runner(name, counted, epsilon=0.3, num_steps=200), linear, images, labels)
    assert np.all(np.argmax(linear(found), axis=1) != labels)
    # At most the first pieces: of 200 steps on 12 images there would be 2,400 and more.
    assert counted.num_images < 700


class _Case(NamedTuple):
    """A runner, the counted network that it attacks, images, labels, what it found and passed."""

    runner: Callable
    counted: _Counted
    images: np.ndarray
    labels: np.ndarray
    found: np.ndarray
    num_images: int


EPSILON = 0.06


# One towards each class in turn is the other one of its name, and more.
@pytest.fixture(
    scope="module",
    params=[pytest.param("apgd-ce", marks=pytest.mark.slow), *NAMES[1:]],
)
def case(request):
    """Runs on a network, each on an image of its own: some succeed, some do not."""
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=20)
    counted = _Counted(network)
    runner = _make_runner(request.param, counted, epsilon=EPSILON, num_steps=60)
    found = _run(runner, network, images, labels)
    return _Case(runner, counted, images, labels, found, counted.num_images)


def test_candidates_are_fooled_or_the_image_itself(case):
    network, images, labels, found = case.counted.classifier, case.images, case.labels, case.found
    is_moved = np.any(found != images, axis=(1, 2, 3))
    np.testing.assert_array_equal(np.argmax(network(found), axis=1) != labels, is_moved)
    assert 0 < is_moved.sum() < 20
    assert np.abs(found - images).max() <= EPSILON + 1e-6
    assert found.min() >= 0 and found.max() <= 1


def test_runs_on_one_image_end_when_one_of_them_succeeds(case):
    network, images, labels = case.counted.classifier, case.images, case.labels
    is_moved = np.any(case.found != images, axis=(1, 2, 3))
    # One that falls at once shares its owner with all that resist to the end.
    owners = np.arange(20)
    owners[~is_moved] = owners[is_moved][0]
    case.counted.num_images = 0
    together = _run(case.runner, network, images, labels, owners)
    is_fooled = np.argmax(network(together), axis=1) != labels
    assert set(owners[is_fooled]) == set(owners)
    assert case.counted.num_images < case.num_images / 2


def test_choice_goes_by_image():
    first, second = np.ones((3, 2, 2, 1)), np.zeros((3, 2, 2, 1))
    condition = np.array([True, False, True])
    want = np.where(condition[:, None, None, None], first, second)
    np.testing.assert_array_equal(choose(condition, first, second), want)
