"""Attacks as an ensemble runs them: in pieces, without the images that are fooled."""

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


def _run(name, classifier, images, labels, *, epsilon, num_steps, owners=None):
    (attack,), _ = plan(
        "custom",
        attacks=[name],
        settings={name: {STEPS[name]: num_steps}},
        num_classes=NUM_CLASSES,
    )
    shape = (SIZE, SIZE, 3)
    runner = make_runner(
        attack, classifier, shape, num_classes=NUM_CLASSES, epsilon=epsilon, norm="linf"
    )
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
        self._classifier, self.num_images = classifier, 0

    def __call__(self, images):
        def note(count):
            self.num_images += int(count)

        with tf.control_dependencies([tf.py_function(note, [tf.shape(images)[0]], [])]):
            return self._classifier(tf.identity(images))


@pytest.mark.parametrize("name", STEPS)
def test_images_that_are_fooled_are_not_attacked_on(name):
    linear = LinearClassifier()
    images, labels = images_and_labels(linear, num_images=12)
    counted = _Counted(linear)
    found = _run(name, counted, images, labels, epsilon=0.3, num_steps=200)
    assert np.all(np.argmax(linear(found), axis=1) != labels)
    # At most the first pieces: of 200 steps on 12 images there would be 2,400 and more.
    assert counted.num_images < 700


@pytest.mark.parametrize("name", STEPS)
def test_candidates_are_fooled_or_the_image_itself(name):
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=20)
    epsilon = 0.06
    found = _run(name, network, images, labels, epsilon=epsilon, num_steps=30)
    is_moved = np.any(found != images, axis=(1, 2, 3))
    np.testing.assert_array_equal(np.argmax(network(found), axis=1) != labels, is_moved)
    assert 0 < is_moved.sum() < 20
    assert np.abs(found - images).max() <= epsilon + 1e-6
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", STEPS)
def test_runs_on_one_image_end_when_one_of_them_succeeds(name):
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=20)
    settings = {"epsilon": 0.06, "num_steps": 60}
    counted = [_Counted(network) for _ in range(2)]
    alone = _run(name, counted[0], images, labels, **settings)
    is_moved = np.any(alone != images, axis=(1, 2, 3))
    # One that falls at once shares its owner with all that resist to the end.
    owners = np.arange(20)
    owners[~is_moved] = owners[is_moved][0]
    together = _run(name, counted[1], images, labels, owners=owners, **settings)
    is_fooled = np.argmax(network(together), axis=1) != labels
    assert set(owners[is_fooled]) == set(owners)
    assert counted[1].num_images < counted[0].num_images / 2


def test_choice_goes_by_image():
    first, second = np.ones((3, 2, 2, 1)), np.zeros((3, 2, 2, 1))
    condition = np.array([True, False, True])
    want = np.where(condition[:, None, None, None], first, second)
    np.testing.assert_array_equal(choose(condition, first, second), want)
