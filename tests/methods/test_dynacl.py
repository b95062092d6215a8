"""DynACL: schedules, the two networks and the objective that both enter."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data.views import strong_view
from ascl_tf.methods.step_data import Purpose
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import nt_xent_oracle
from tests.methods import contract, helpers

DYNACL = helpers.TINY.replace(method="dynacl", epochs=10, dynacl_interval=3, dynacl_momentum=0.9)
ONE_ENCODER = DYNACL.replace(dynacl_momentum=0.0)


def _method(config=DYNACL):
    return helpers.compile_tiny(helpers.make_method(config))


def _at_epoch(method, epoch):
    """One step is one epoch here."""
    method.optimizer.iterations.assign(epoch)
    return method


def _kernels(part):
    return [v.numpy() for v in part.trainable_variables]


# (epoch, strength) for 10 epochs in stages of 3: 1 - 3 * floor(e / 3) / 10.
STRENGTHS = [(0, 1.0), (2, 1.0), (3, 0.7), (5, 0.7), (6, 0.4), (8, 0.4), (9, 0.1)]


@pytest.mark.parametrize("epoch, strength", STRENGTHS)
def test_strength_falls_at_each_interval(epoch, strength):
    assert float(_at_epoch(_method(), epoch).strength()) == pytest.approx(strength, rel=1e-12)


@pytest.mark.parametrize("epoch, strength", STRENGTHS)
@pytest.mark.parametrize("rate", [2 / 3, 4.0])
def test_adversarial_weight_rises_as_the_strength_falls(epoch, strength, rate):
    method = _at_epoch(_method(DYNACL.replace(dynacl_weight_rate=rate)), epoch)
    clean, adversarial = map(float, method.term_weights())
    shift = min(rate * (1 - strength), 1)
    assert clean == pytest.approx((1 - shift) / 2, abs=1e-7)
    assert adversarial == pytest.approx((1 + shift) / 2, rel=1e-6)


def test_views_have_the_strength_of_their_epoch():
    method = _at_epoch(_method(), 4)
    batch = method.make_batch(helpers.make_data())
    want = [
        strong_view(batch.images, batch.seeds(purpose), strength=0.7)
        for purpose in (Purpose.STRONG_VIEW_0, Purpose.STRONG_VIEW_1)
    ]
    views = method.make_views(batch)["stacked_views"]
    np.testing.assert_allclose(views, np.concatenate(want), atol=1e-5)


def _projections(method, images, branch, *, training):
    """View 0 through the trained network, view 1 through its average; float64."""
    first, second = np.split(np.asarray(images), 2)
    online, head = method.online_encoder, method.online_projection_head
    rows = head(online(first, branch=branch, training=training), branch=branch, training=training)
    averaged, head = method.encoder, method.projection_head
    others = averaged(second, branch=branch, training=training)
    others = head(others, branch=branch, training=training)
    return np.float64(np.concatenate([rows, others]))


def test_objective_equals_float64_loops_through_two_networks():
    method, data = _at_epoch(_method(), 4), helpers.make_data()
    with contract.unmoved(method):
        views = helpers.views_of(method, data)
        adversarial_views = method.make_adversarial(views)["views_cl"]
        losses = {
            name: nt_xent_oracle(_projections(method, images, branch, training=True), 0.5).mean()
            for name, images, branch in [
                ("clean_loss", views["stacked_views"], CLEAN),
                ("adversarial_loss", adversarial_views, ADVERSARIAL),
            ]
        }
    shift = 2 / 3 * 0.3
    loss = (1 - shift) / 2 * losses["clean_loss"] + (1 + shift) / 2 * losses["adversarial_loss"]
    logs = method.train_step(data)
    for name, value in {**losses, "loss": loss}.items():
        assert float(logs[name]) == pytest.approx(value, rel=2e-5), name
    assert "projection_std" in logs


def test_averages_follow_the_trained_network_step_by_step():
    method = _method(DYNACL.replace(dynacl_momentum=0.8))
    expected = [np.float64(v) for v in _kernels(method.encoder)]
    for seed in range(3):
        method.train_step(helpers.make_data(seed=seed))
        online = _kernels(method.online_encoder)
        expected = [0.8 * old + 0.2 * new for old, new in zip(expected, online, strict=True)]
    for value, want in zip(_kernels(method.encoder), expected, strict=True):
        np.testing.assert_allclose(value, want, rtol=0, atol=1e-6)


def _weights(method):
    return [variable.numpy() for variable in helpers.state(method)]


def test_averages_begin_as_copies_of_the_trained_network():
    with mock.patch.object(helpers, "drawn_weights", _weights):
        method = helpers.make_method(DYNACL)
    for online, averaged in method._twins():
        for value, want in zip(online.weights, averaged.weights, strict=True):
            np.testing.assert_array_equal(value.numpy(), want.numpy())
    assert np.ptp(method.encoder.conv.kernel.numpy()) > 0


def test_no_gradient_reaches_the_averages():
    method = _method()
    views = helpers.views_of(method, helpers.make_data())
    adversarial = method.make_adversarial(views)
    step_variables = {id(v) for v in method.step_variables()}
    averages = [method.encoder, method.projection_head]
    assert not step_variables & {id(v) for part in averages for v in part.weights}
    before = [w.numpy() for part in averages for w in part.trainable_variables]
    method.after_update = lambda: None
    method.train_step(helpers.make_data())
    after = [w.numpy() for part in averages for w in part.trainable_variables]
    for value, want in zip(after, before, strict=True):
        np.testing.assert_array_equal(value, want)
    # Pixels of the averaged network's view are attacked all the same.
    moved = np.abs(adversarial["views_cl"] - views["stacked_views"])[6:]
    assert moved.max() > 0.9 * 8 / 255


def test_statistics_of_the_averages_are_those_of_the_second_view():
    method = _method()
    views = helpers.views_of(method, helpers.make_data())
    second = views["stacked_views"][6:]
    statistics = method.encoder.bn.branches[CLEAN]
    before = np.float64(statistics.moving_mean)
    outputs = np.float64(method.encoder.conv(second)).mean(axis=(0, 1, 2))
    method.forward(views, method.make_adversarial(views))
    np.testing.assert_allclose(statistics.moving_mean, 0.9 * before + 0.1 * outputs, atol=1e-5)


def test_step_moves_both_networks():
    everything, moved = contract.moved_variables(DYNACL)
    assert moved == everything
    parts = {path.partition("/")[0] for path in everything}
    assert parts == {"encoder", "projection_head", "online_encoder", "online_projection_head"}


@pytest.mark.slow  # The default has momentum.
def test_without_momentum_there_is_one_encoder_and_acl_remains():
    everything, moved = contract.moved_variables(ONE_ENCODER)
    assert {path.partition("/")[0] for path in everything} == {"encoder", "projection_head"}
    assert moved == everything
    logs = [
        helpers.compile_tiny(helpers.make_method(config)).train_step(helpers.make_data())
        for config in (ONE_ENCODER, ONE_ENCODER.replace(method="acl"))
    ]
    assert {k: float(v) for k, v in logs[0].items()} == {k: float(v) for k, v in logs[1].items()}


def test_both_networks_infer_in_the_attack_and_use_batch_statistics_in_the_step():
    parts = ("online_encoder", "online_projection_head", "encoder", "projection_head")
    in_attack, on_tape = contract.passes_of_step(DYNACL)
    assert in_attack == [(part, ADVERSARIAL, False) for part in parts]
    expected = [(part, branch, True) for branch in (ADVERSARIAL, CLEAN) for part in parts]
    assert on_tape == expected


@pytest.mark.slow  # test_attacks.py has the like of ASCL.
def test_attack_raises_its_loss_more_than_random_perturbations():
    method = contract.trained_method(DYNACL.replace(num_steps_cl=5))
    views = helpers.views_of(method, helpers.make_data())
    adversarial_views = method.make_adversarial(views)["views_cl"]

    def adversarial_loss(images):
        return nt_xent_oracle(_projections(method, images, ADVERSARIAL, training=False), 0.5)

    natural = views["stacked_views"]
    gain = contract.attack_gain(adversarial_loss, natural, adversarial_views, epsilon=8 / 255)
    assert gain > 0


# Long to trace; DynACL++ takes the same step on replicas.
@pytest.mark.slow
def test_replicas_agree():
    loss, gradient = contract.replica_difference(DYNACL, in_graph=True)
    assert loss < 1e-9 and gradient < 1e-9


def test_inference_is_that_of_the_average():
    method = _method()
    images = tf.constant(helpers.make_dataset(4).images / np.float32(255))
    want = method.encoder(images, branch=ADVERSARIAL, training=False)
    np.testing.assert_array_equal(method(images), want)
    assert np.abs(want - method.online_encoder(images)).max() > 1e-3
