"""FGSM with a random start in place of PGD, and one perturbation for several terms."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.methods import base
from ascl_tf.methods.step_data import Purpose
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import nt_xent_oracle
from tests.methods import contract, helpers, oracles

EPSILON = 8 / 255
FAST = helpers.TINY.replace(at_attack="fgsm_rs")
LABELS = (0, 1, 0, 2, 1, 1)


def _method(config):
    return helpers.compile_tiny(helpers.make_method(config))


@pytest.mark.parametrize("name", ["ascl", "at"])
def test_one_step_of_ten_255ths_from_the_random_start(name):
    method = _method(FAST.replace(method=name))
    data = helpers.make_data(LABELS)
    views = helpers.views_of(method, data)
    found = method.make_adversarial(views)["images_at"].numpy()
    natural = views["images"].numpy().astype(np.float64)
    seeds = randomness.step_seeds(3, int(Purpose.ATTACK_AT), 0, tf.range(6))
    noise = randomness.uniform(natural.shape, seeds, low=-EPSILON, high=EPSILON).numpy()
    start = tf.constant(np.clip(natural + noise, 0, 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(start)
        logits = method.logits(start, branch=ADVERSARIAL, training=False)
        loss = tf.reduce_sum(cross_entropy_loss(logits, tf.constant(LABELS)))
    step = 10 / 255 * np.sign(tape.gradient(loss, start))
    expected = np.clip(natural + np.clip(start + step - natural, -EPSILON, EPSILON), 0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected - start).max() > 9 / 255


def test_after_the_switch_the_attack_is_pgd_bit_for_bit_in_a_compiled_step():
    method, slow = _method(FAST), _method(helpers.TINY)
    views = helpers.views_of(method, helpers.make_data(LABELS))
    attack = tf.function(method.make_adversarial, autograph=False)
    before = attack(views)
    method.at_attack.switch_to_pgd()
    after, pgd = attack(views), slow.make_adversarial(views)
    assert np.any(before["images_at"] != after["images_at"])
    np.testing.assert_allclose(after["images_at"], pgd["images_at"], atol=1e-6)
    for name in ("views_cl", "images_ascl"):
        np.testing.assert_array_equal(before[name], after[name])


@pytest.mark.slow  # test_changed_variables.py has what training moves.
def test_fast_training_moves_what_slow_training_does():
    everything, moved = contract.moved_variables(FAST)
    assert moved == everything
    at = FAST.replace(method="at")
    everything, moved = contract.moved_variables(at)
    assert moved == everything - contract.of_branch(everything, "clean")


@pytest.mark.slow  # tests/methods/test_replicas.py tries the same step with PGD.
def test_replicas_agree_on_the_fast_attack():
    loss, gradient = contract.replica_difference(
        FAST.replace(shared_perturbation="ascl"), in_graph=True
    )
    assert loss < 1e-9 and gradient < 1e-9


SHARED = {
    "ascl": helpers.TINY.replace(shared_perturbation="ascl"),
    "all": helpers.TINY.replace(shared_perturbation="all", cl_mode="a2s"),
}


@pytest.mark.parametrize("shared, left", [("ascl", {"views_cl"}), ("all", set())])
def test_shared_terms_are_not_attacked_and_the_others_as_before(shared, left, monkeypatch):
    method, alone = _method(SHARED[shared]), _method(helpers.TINY)
    views = helpers.views_of(method, helpers.make_data(LABELS))
    found, own = method.make_adversarial(views), alone.make_adversarial(views)
    assert set(found) == {"images_at"} | left
    for name in found:
        np.testing.assert_array_equal(found[name], own[name])


@pytest.mark.parametrize("shared", SHARED)
def test_one_pass_of_the_shared_image_serves_every_term(shared):
    method, data = _method(SHARED[shared]), helpers.make_data((0, -1, 0, 2, -1, 1))
    labels, config = data["labels"].numpy(), method.config
    views = helpers.views_of(method, data)
    adversarial = method.make_adversarial(views)
    with contract.unmoved(method):
        clean = method.projections(views["stacked_views"], branch=CLEAN, training=True).numpy()
        rows = tf.concat(list(adversarial.values()), 0)
        features = method.encoder(rows, branch=ADVERSARIAL, training=True)
        # The head's batch statistics are those of all its rows, in whatever order.
        projections = method.projection_head(features, branch=ADVERSARIAL, training=True).numpy()
    logits = method.linear_head(features[:6]).numpy()
    shared_rows, views_cl = projections[:6], projections[6:]
    expected = {
        "at_loss": oracles.mean(oracles.cross_entropy(logits, labels)),
        "ascl_loss": oracles.supervised(clean, shared_rows, labels, config),
    }
    if shared == "all":
        pair = np.concatenate([shared_rows, clean[6:]])
        expected["cl_loss"] = oracles.mean(nt_xent_oracle(pair, config.temperature))
    else:
        expected["cl_loss"] = oracles.contrastive(views_cl, clean, config)
    logs = method.train_step(data)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value, rel=2e-5), name


def test_nothing_changes_while_all_is_off(monkeypatch):
    calls, attack = [], base.linf_pgd
    monkeypatch.setattr(base, "linf_pgd", lambda *a, **k: calls.append(k) or attack(*a, **k))
    method = _method(helpers.TINY)
    assert method.at_attack._uses_pgd is None
    method.make_adversarial(helpers.views_of(method, helpers.make_data(LABELS)))
    assert [call["step_size"] for call in calls] == [2 / 255] * 3
    assert [call["num_steps"] for call in calls] == [2] * 3
