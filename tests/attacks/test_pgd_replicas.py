"""PGD inside Keras' fit and under two replicas: the plain loop and the gathering one."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import l2_pgd, linf_pgd
from ascl_tf.losses import nt_xent_loss
from tests.attacks.networks import LABELS, SHAPE, cross_entropy, linear_weights, tiny_network
from tests.common import random_images, two_replicas
from tests.losses import helpers

EPSILON = 8 / 255
SETTINGS = {"epsilon": EPSILON, "step_size": 2 / 255, "num_steps": 3}
IMAGES = random_images().astype(np.float64)
OTHER_VIEWS = random_images(seed=1).astype(np.float64)
SEEDS = np.stack([np.full(4, 7), np.arange(4)], axis=1).astype(np.int32)


run_on_two_replicas = functools.partial(helpers.run_on_two_replicas, in_graph=True)


def _project(images):
    weights = np.stack([linear_weights(seed) for seed in range(5)])
    rows = tf.einsum("bhwc,dhwc->bd", images, weights)
    return rows / tf.norm(rows, axis=1, keepdims=True)


def _pair_objective(images, other_views, row_weights):
    """NT-Xent of the pairs in the global batch, each anchor with its image's weight."""
    projections = tf.concat([_project(images), _project(other_views)], axis=0)
    return nt_xent_loss(projections, temperature=0.5) * tf.tile(row_weights, [2])


def _attack_pairs(images, other_views, row_weights, seeds):
    return linf_pgd(
        _pair_objective,
        images,
        random_start=True,
        seed=seeds,
        constants=(other_views, row_weights),
        gathers_across_replicas=True,
        **SETTINGS,
    )


def test_gathering_attack_on_two_replicas_equals_one_device():
    row_weights = np.array([1.0, -0.5, 2.0, 3.0])
    inputs = [IMAGES, OTHER_VIEWS, row_weights, SEEDS]
    want = _attack_pairs(*[tf.constant(array) for array in inputs])
    got = run_on_two_replicas(_attack_pairs, *[(array, 1) for array in inputs])
    assert np.abs(want - IMAGES).max() > 0.9 * EPSILON
    np.testing.assert_allclose(np.concatenate(got), want, atol=1e-9)
    # The negatives of the other replica matter.
    alone = _attack_pairs(*[tf.constant(array[:2]) for array in inputs])
    assert np.abs(got[0] - alone).max() > 1e-3


@pytest.mark.slow  # What is gathered knows no norm.
def test_gathering_attack_in_the_l2_ball_equals_that_on_one_device():
    def attack(images, other_views, row_weights, seeds):
        return l2_pgd(
            _pair_objective,
            images,
            epsilon=0.5,
            step_size=0.2,
            num_steps=3,
            random_start=True,
            seed=seeds,
            constants=(other_views, row_weights),
            gathers_across_replicas=True,
        )

    inputs = [IMAGES, OTHER_VIEWS, np.array([1.0, -0.5, 2.0, 3.0]), SEEDS]
    want = attack(*[tf.constant(array) for array in inputs])
    got = run_on_two_replicas(attack, *[(array, 1) for array in inputs])
    lengths = np.linalg.norm((want - IMAGES).numpy().reshape(4, -1), axis=1)
    assert np.all(lengths > 0.3) and np.all(lengths <= 0.5 + 1e-12)
    np.testing.assert_allclose(np.concatenate(got), want, atol=1e-9)


def test_gathering_path_on_one_device_is_the_plain_loop():
    def attack(gathers):
        return linf_pgd(
            lambda x: _pair_objective(x, OTHER_VIEWS, tf.ones([4], tf.float64)),
            IMAGES,
            gathers_across_replicas=gathers,
            **SETTINGS,
        )

    np.testing.assert_array_equal(attack(True), attack(False))


@pytest.mark.parametrize(
    "gathers",
    # Plain ones are in the steps of methods on two replicas.
    [pytest.param(False, id="plain", marks=pytest.mark.slow), pytest.param(True, id="gathering")],
)
def test_two_replicas_with_mirrored_variables_equal_one_device(gathers):
    def attack(network):
        def attacked(images, labels, seeds):
            return linf_pgd(
                cross_entropy(network),
                images,
                random_start=True,
                seed=seeds,
                constants=(labels,),
                gathers_across_replicas=gathers,
                **SETTINGS,
            )

        return attacked

    want = attack(tiny_network("float64"))(tf.constant(IMAGES), LABELS, SEEDS)
    with two_replicas().scope():
        mirrored = tiny_network("float64")
    got = run_on_two_replicas(attack(mirrored), (IMAGES, 1), (LABELS, 1), (SEEDS, 1))
    assert np.abs(want - IMAGES).max() > 0.9 * EPSILON
    np.testing.assert_allclose(np.concatenate(got), want, atol=1e-9)


@keras.saving.register_keras_serializable("ascl_tf_tests")
class AdversarialNetwork(keras.Model):
    """A linear classifier on pixels, trained on its own adversarial images."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.flatten = keras.layers.Flatten(dtype="float64")
        self.dense = keras.layers.Dense(3, dtype="float64", kernel_initializer=_ramp)
        self.largest = keras.metrics.Mean("perturbation")

    def build(self, input_shape):
        self.dense.build((None, int(np.prod(input_shape[1:]))))

    def call(self, images, training=False):
        return self.dense(self.flatten(images))

    def train_step(self, data):
        images, labels = data
        objective = cross_entropy(self)
        adversarial_images = linf_pgd(objective, images, constants=(labels,), **SETTINGS)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(objective(adversarial_images, labels)) / len(LABELS)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.largest.update_state(tf.reduce_max(tf.abs(adversarial_images - images), [1, 2, 3]))
        return {"perturbation": self.largest.result()}


def _ramp(shape, dtype):
    return tf.cast(tf.reshape(tf.linspace(-1.0, 1.0, shape[0] * shape[1]), shape), dtype)


def _fit(jit_compile=False):
    """Returns weights after two steps, and the largest perturbation that `fit` reports."""
    model = AdversarialNetwork()
    model.build((None, *SHAPE))
    model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=jit_compile)
    batches = tf.data.Dataset.from_tensors((IMAGES, LABELS)).repeat(2)
    history = model.fit(batches, shuffle=False, verbose=0)
    return model.get_weights(), history.history["perturbation"][0]


# Long to trace; methods on one and two replicas do the same.
@pytest.mark.slow
def test_attack_works_inside_fit_on_one_and_on_two_replicas():
    want, perturbation = _fit()
    # Three steps of 2/255 do not reach the wall.
    np.testing.assert_allclose(perturbation, 6 / 255, rtol=1e-6)
    with two_replicas().scope():
        got, perturbation = _fit()
    np.testing.assert_allclose(perturbation, 6 / 255, rtol=1e-6)
    for one_device, replicas in zip(want, got, strict=True):
        assert np.any(one_device != 0)
        np.testing.assert_allclose(replicas, one_device, atol=1e-9)


def test_attack_works_inside_compiled_fit():
    for plain, compiled in zip(_fit()[0], _fit(jit_compile=True)[0], strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-9)
