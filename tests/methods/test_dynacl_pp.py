"""DynACL++: TRADES on pseudo-labels, the probe that its head starts from, and a whole run."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError, RunError
from ascl_tf.methods import dynacl_pp, linear_probe
from ascl_tf.models import ADVERSARIAL, CLEAN
from ascl_tf.training.checkpoints import restore_parts
from tests.methods import contract, helpers, oracles
from tests.training.worlds import eager_world, pretrain_with

DYNACL_PP = helpers.TINY.replace(method="dynacl_pp", trades_beta=4.0)
PSEUDO_LABELS = np.array([2, 2, 0, 1, 0, 1], np.int32)


def _method(config=DYNACL_PP):
    return helpers.compile_tiny(helpers.make_method(config))


def _data(labels=(0, 1, 0, 2, 1, 1)):
    pseudo_labels = tf.constant(PSEUDO_LABELS[:, None])
    return {**helpers.make_data(labels), "pseudo_labels": pseudo_labels}


def _dataset():
    clusters = np.arange(24, dtype=np.int32)[:, None] // 3 % 3
    dataset = helpers.make_dataset(labels=contract.LABELS)
    return dataclasses.replace(dataset, pseudo_labels=clusters)


def test_objective_is_trades_on_the_pseudo_labels():
    method, data = _method(), _data()
    with contract.unmoved(method):
        views = helpers.views_of(method, data)
        both = [views["images"], method.make_adversarial(views)["images_at"]]
        logits = [method.logits(x, branch=ADVERSARIAL, training=True).numpy() for x in both]
    expected = np.mean(oracles.trades(*logits, PSEUDO_LABELS, 4.0))
    logs = method.train_step(data)
    assert set(logs) == {"loss", "at_loss", "gradient_norm", "update_norm"}
    assert float(logs["loss"]) == pytest.approx(expected, rel=2e-5)
    assert float(logs["at_loss"]) == float(logs["loss"])


def test_true_labels_change_nothing():
    losses = [_method().train_step(_data(labels))["loss"] for labels in [(0,) * 6, (-1,) * 6]]
    assert float(losses[0]) == float(losses[1]) > 0


def test_step_moves_all_but_the_clean_branch():
    everything, moved = contract.moved_variables(DYNACL_PP, dataset=_dataset())
    assert {path.partition("/")[0] for path in everything} == {"encoder", "pseudo_label_head"}
    assert len(contract.of_branch(everything, CLEAN)) == 4
    assert moved == everything - contract.of_branch(everything, CLEAN)


def test_every_pass_is_of_the_adversarial_branch():
    in_attack, on_tape = contract.passes_of_step(DYNACL_PP, _data())
    head = ("pseudo_label_head", None, None)
    assert in_attack == [("encoder", ADVERSARIAL, False), head]
    assert on_tape == [("encoder", ADVERSARIAL, True), head]


@pytest.mark.slow  # The objective equals its oracle.
def test_attack_raises_the_divergence_more_than_random_perturbations():
    config = DYNACL_PP.replace(num_steps_at=10)
    method = contract.trained_method(config, dataset=_dataset())
    views = helpers.views_of(method, _data())
    adversarial = method.make_adversarial(views)["images_at"]
    natural = method.logits(views["images"], branch=ADVERSARIAL, training=False).numpy()

    def divergence(images):
        logits = method.logits(images, branch=ADVERSARIAL, training=False).numpy()
        return oracles.divergence(natural, logits)

    assert contract.attack_gain(divergence, views["images"], adversarial, epsilon=8 / 255) > 0


@pytest.mark.slow  # test_replicas.py has ASCL, which gathers the same.
@contract.eagerly_and_in_graph
def test_replicas_agree(in_graph):
    loss, gradient = contract.replica_difference(DYNACL_PP, dataset=_dataset(), in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9


def test_head_starts_as_the_probe_of_the_adversarial_branch():
    method, dataset = _method(), _dataset()
    method.initialize(np.full([24, 4], np.nan), dataset.pseudo_labels, dataset.images)
    features = linear_probe.compute_features(method.encoder, dataset.images, branch=ADVERSARIAL)
    kernel, bias = linear_probe.fit_linear_probe(
        features, dataset.pseudo_labels[:, 0], weight_decay=0.01
    )
    images = dataset.images / np.float32(255)
    logits = method.logits(images, branch=ADVERSARIAL, training=False)
    np.testing.assert_allclose(logits, features @ kernel + bias, rtol=1e-5, atol=1e-5)
    probed = np.mean(oracles.cross_entropy(logits, dataset.pseudo_labels[:, 0]))
    assert probed < 0.97 * np.log(3)  # Better than no head.


def test_clusters_are_as_many_as_classes_and_of_the_clean_branch():
    method = _method()
    assert method.pseudo_label_counts == (helpers.NUM_CLASSES,)
    assert method.pseudo_label_setting == "initial_encoder"
    assert method.pseudo_label_branch == CLEAN


def test_data_set_without_classes_is_refused():
    with pytest.raises(RunError, match=r"expected classes, .*`method=dynacl_pp` .*; found 0"):
        encoder = helpers.TinyEncoder()
        method = dynacl_pp.DynAclPlusPlus(encoder=encoder, config=DYNACL_PP, num_classes=0)
        method.build((None, *helpers.IMAGE_SHAPE))


# In a run.


@pytest.fixture(scope="module")
def world():
    with eager_world() as config:
        yield config


@pytest.fixture(scope="module")
def dynacl(tmp_path_factory, world):
    """Work directory of a short pre-training by DynACL."""
    config = world.replace(method="dynacl", dynacl_momentum=0.5)
    return pretrain_with(config, tmp_path_factory.mktemp("initial") / "dynacl")


def _encoder_of(path, part):
    encoder = helpers.TinyEncoder("separate")
    encoder.build((None, *helpers.IMAGE_SHAPE))
    restore_parts(path / "checkpoints" / "pretrain", "last", **{part: encoder})
    return encoder


@pytest.mark.slow  # test_preparation.py has the parts.
def test_run_starts_from_the_averaged_encoder_and_clusters_its_clean_features(
    world, dynacl, tmp_path, monkeypatch
):
    seen = {}
    initialize = dynacl_pp.DynAclPlusPlus.initialize

    def record(self, features, pseudo_labels, images):
        initialize(self, features, pseudo_labels, images)
        seen.update(features=features, images=images, kernel=self.encoder.conv.kernel.numpy())

    monkeypatch.setattr(dynacl_pp.DynAclPlusPlus, "initialize", record)
    config = world.replace(method="dynacl_pp", initial_encoder=str(dynacl))
    path = pretrain_with(config, tmp_path)
    averaged, online = (_encoder_of(dynacl, part) for part in ("encoder", "online_encoder"))
    np.testing.assert_array_equal(seen["kernel"], averaged.conv.kernel)
    assert np.any(averaged.conv.kernel.numpy() != online.conv.kernel.numpy())
    images = seen["images"] / np.float32(255)
    want = averaged(images, branch=CLEAN, training=False)
    np.testing.assert_allclose(seen["features"], want, rtol=1e-5, atol=1e-6)
    record = json.loads((path / "results" / "pretrain.json").read_text())
    assert np.isfinite(record["epochs"][0]["train/loss"])
    assert np.any(_encoder_of(path, "encoder").conv.kernel.numpy() != seen["kernel"])


def test_run_without_initial_encoder_is_refused(world, tmp_path):
    with pytest.raises(ConfigError, match=r"`initial_encoder`: expected .*; found none"):
        pretrain_with(world.replace(method="dynacl_pp"), tmp_path)
