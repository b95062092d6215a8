"""--norm=l2: every attack of every method stays in the l2 ball and in the box."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods import base
from ascl_tf.training import tensorboard
from ascl_tf.training.overfitting import make_probe
from tests.methods import contract, helpers

EPSILON, STEP_SIZE = 128 / 255, 15 / 255
# One attack of every kind in the default run: all of them are called in one place.
PRETRAINED = (
    "ascl",
    "trades",
    "rotation_at",
    "wscat",
    "rocl",
    "selfie_dpe",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("at", "mart", "acl", "advcl", "selfie", "dynacl", "dynacl_pp")
    ),
)


def _attacks(monkeypatch):
    """Returns a list that every attack adds (natural images, adversarial images, settings) to."""
    calls, attack = [], base.l2_pgd

    def recorded(objective, images, **settings):
        adversarial = attack(objective, images, **settings)
        calls.append((np.asarray(images), np.asarray(adversarial), settings))
        return adversarial

    monkeypatch.setattr(base, "l2_pgd", recorded)
    monkeypatch.setattr(base, "linf_pgd", None)
    return calls


def _lengths(perturbation):
    return np.sqrt((np.float64(perturbation) ** 2).sum(axis=(1, 2, 3)))


def _check(calls):
    assert calls
    for natural, adversarial, settings in calls:
        assert (settings["epsilon"], settings["step_size"]) == (EPSILON, STEP_SIZE)
        lengths = _lengths(adversarial - natural)
        assert 0.3 < lengths.max() <= EPSILON + 1e-6
        assert adversarial.min() >= 0.0 and adversarial.max() <= 1.0


@pytest.mark.parametrize("name", PRETRAINED)
def test_one_step_of_each_method_stays_in_ball_and_box(name, monkeypatch):
    method = helpers.compile_tiny(
        helpers.make_method(contract.SMALL.replace(method=name, norm="l2"))
    )
    calls = _attacks(monkeypatch)
    logs = method.train_step(contract.data_of(name))
    assert np.isfinite(float(logs["loss"]))
    _check(calls)


@pytest.mark.parametrize("mode", ["laf", "faf"])
def test_one_step_of_fine_tuning_stays_in_ball_and_box(mode, monkeypatch):
    config = contract.SMALL.replace(method="simclr", norm="l2", finetune=mode)
    method = helpers.compile_tiny(helpers.make_method(config, finetune=True))
    calls = _attacks(monkeypatch)
    method.train_step(helpers.make_data())
    _check(calls)


def test_attack_raises_the_loss_further_than_its_start():
    config = helpers.TINY.replace(method="at", norm="l2")
    method = helpers.compile_tiny(helpers.make_method(config))
    views = helpers.views_of(method, helpers.make_data())

    def loss(num_steps):
        method.config = config.replace(num_steps_at=num_steps)
        images = method.make_adversarial(views)["images_at"]
        logits = method.logits(images, branch="adversarial", training=False)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(views["labels"], logits)
        return float(tf.reduce_mean(losses))

    assert loss(6) > loss(0) * 1.005


def test_probe_of_overfitting_attacks_in_the_norm_of_the_run(monkeypatch):
    config = helpers.TINY.replace(method="at", norm="l2")
    method = helpers.compile_tiny(helpers.make_method(config))
    calls, attack = [], base.l2_pgd
    monkeypatch.setattr(base, "l2_pgd", lambda *a, **k: calls.append(k) or attack(*a, **k))
    make_probe(method, helpers.make_dataset())
    assert [call["num_steps"] for call in calls] == [1, 10]
    assert {call["epsilon"] for call in calls} == {EPSILON}


def test_perturbations_are_drawn_by_their_own_largest_pixel(monkeypatch):
    config = helpers.TINY.replace(method="at", norm="l2")
    pictures = tensorboard.TensorBoardPictures(None, helpers.make_dataset(), num_epochs=1)
    pictures.set_model(helpers.compile_tiny(helpers.make_method(config)))
    written, natural = {}, tf.fill([3, 8, 8, 3], 0.5)
    monkeypatch.setattr(tf.summary, "image", lambda tag, p, **_: written.update({tag: p}))
    shift = tf.constant([-0.01, 0.0, 0.02])[:, None, None, None]
    pictures._write_perturbations({"images": natural}, {"images_at": natural + shift})
    picture = written["perturbations/images_at"].numpy()[0]
    found = [picture[0, 96 * i, 0] for i in range(3)]
    np.testing.assert_allclose(found, [0.25, 0.5, 1.0], atol=1e-5)
