"""Fine-tuning behind a frozen encoder: what is computed once, and that nothing else changes."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods.outer_loss import outer_loss_logits, perturb_for_outer_loss
from ascl_tf.models import ADVERSARIAL
from ascl_tf.training.fitting import with_fixed_features
from tests.methods import contract, helpers

NUM_STEPS = 3
LAF = helpers.TINY.replace(finetune="laf", finetune_weight_decay=0.01)
FROZEN = {
    "laf": LAF,
    "laf, cross-entropy": LAF.replace(finetune_loss="ce"),
    "lsf": LAF.replace(finetune="lsf"),
}
with_each = pytest.mark.parametrize("config", FROZEN.values(), ids=FROZEN)


def _method(config):
    return helpers.compile_tiny(helpers.make_method(config, finetune=True))


def _head(method):
    return [v.numpy() for v in method.linear_head.weights]


def _plain_losses(method, views):
    """The losses from passes of all images at once, each computed where it is used."""
    labels = views["labels"]
    if not method.is_adversarial:
        logits = method.logits(views["images"], branch=ADVERSARIAL, training=False)
        return cross_entropy_loss(logits, labels)
    images = perturb_for_outer_loss(
        method, method.outer_loss, views, num_steps=method.config.finetune_num_steps
    )
    both = outer_loss_logits(
        method, method.outer_loss, views, {"images_at": images}, training=False
    )
    return method.outer_loss.per_example(*both, labels)


def _plain_step(method, momenta, data):
    """SGD with momentum and coupled decay, written out."""
    views, config = helpers.views_of(method, data), method.config
    variables = method.linear_head.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(_plain_losses(method, views))
    gradients = tape.gradient(loss, [v.value for v in variables])
    for place, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
        gradient += config.finetune_weight_decay * variable.value
        momenta[place] = config.momentum * momenta[place] - config.learning_rate * gradient
        variable.assign_add(momenta[place])
    method.optimizer.iterations.assign_add(1)


@with_each
def test_weights_are_those_of_the_plain_computation(config):
    method, plain = _method(config), _method(config)
    momenta = [0.0, 0.0]
    for seed in range(NUM_STEPS):
        data = helpers.make_data(seed=seed)
        method.train_step(data)
        _plain_step(plain, momenta, data)
    for found, expected in zip(_head(method), _head(plain), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@with_each
def test_natural_images_pass_once_a_step(config):
    method = _method(config)
    passes = contract.record_passes(method)
    method.train_step(helpers.make_data())
    encoded = [row for row in passes if row[0] == "encoder"]
    # Each attack step is one, the perturbed images another; in inference mode.
    num_attacked = config.finetune_num_steps + 1 if method.is_adversarial else 0
    assert encoded == [("encoder", ADVERSARIAL, False)] * (1 + num_attacked)


@with_each
def test_no_way_back_leads_into_the_encoder_outside_the_attack(config):
    method = _method(config)
    graph = (
        tf.function(method.train_step, autograph=False)
        .get_concrete_function(helpers.make_data())
        .graph
    )
    # The attack's steps are the body of a loop, a graph of its own.
    kinds = {operation.type for operation in graph.get_operations()}
    assert "Conv2D" in kinds and not {kind for kind in kinds if "Conv2DBackprop" in kind}


def _fitted(config, dataset):
    method = _method(config)
    logs = helpers.fit(method, dataset(method), NUM_STEPS, eagerly=True)
    return _head(method), logs


@pytest.mark.parametrize("mode", ["lsf", "laf"])
def test_cached_features_give_the_same_weights_and_logs(mode):
    config = LAF.replace(finetune=mode, finetune_augmentation="none")
    plain, cached = helpers.make_dataset(), []

    def with_features(method):
        cached.append(with_fixed_features(method, plain))
        return cached[-1]

    expected, expected_logs = _fitted(config, lambda _: plain)
    found, logs = _fitted(config, with_features)
    assert cached[0].features.shape == (24, 4) and cached[0].sha256 == plain.sha256
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert logs == pytest.approx(expected_logs, rel=1e-4)


def test_cached_features_are_all_that_passes_the_encoder():
    method = _method(LAF.replace(finetune="lsf", finetune_augmentation="none"))
    dataset = with_fixed_features(method, helpers.make_dataset(6))
    passes = contract.record_passes(method)
    method.train_step({name: tf.constant(column) for name, column in dataset.columns.items()})
    assert {part for part, *_ in passes} == {"linear_head"}


@pytest.mark.parametrize(
    "changes", [{}, {"finetune": "fsf", "finetune_augmentation": "none"}], ids=["laf", "fsf"]
)
def test_features_that_change_are_not_cached(changes):
    dataset = helpers.make_dataset(6)
    assert with_fixed_features(_method(LAF.replace(**changes)), dataset) is dataset
