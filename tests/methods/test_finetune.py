"""Fine-tuning recipes: the branch of natural images, and what a recipe's flags reach."""

import keras
import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.models import ADVERSARIAL, CLEAN
from ascl_tf.training import run
from ascl_tf.training.fitting import StageFit
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import contract, helpers, oracles
from tests.training.worlds import make_tiny_world

SPLIT = helpers.TINY.replace(
    finetune="faf", finetune_natural_branch="clean", finetune_augmentation="none"
)


def _method(config=SPLIT):
    return helpers.compile_tiny(helpers.make_method(config, finetune=True))


def _logits(method, images, *, branch, training):
    return method.logits(images, branch=branch, training=training).numpy()


def test_natural_images_go_through_the_clean_branch_by_their_own_statistics():
    method, data = _method(), helpers.make_data()
    views = helpers.views_of(method, data)
    perturbed = method.make_adversarial(views)["images_at"]
    before = [v.numpy() for v in helpers.state(method)]
    natural = _logits(method, views["images"], branch=CLEAN, training=True)
    adversarial = _logits(method, perturbed, branch=ADVERSARIAL, training=True)
    for variable, value in zip(helpers.state(method), before, strict=True):
        variable.assign(value)
    labels = data["labels"].numpy()
    expected = oracles.mean(oracles.trades(natural, adversarial, labels, SPLIT.trades_beta))
    logs = method.train_step(data)
    assert float(logs["adversarial_loss"]) == pytest.approx(expected, rel=2e-5)


def test_attack_raises_the_divergence_from_the_clean_branch():
    method = _method(SPLIT.replace(finetune_num_steps=6))
    helpers.fit(method, helpers.make_dataset(), num_steps=4, eagerly=True)
    views = helpers.views_of(method, helpers.make_data())
    natural = _logits(method, views["images"], branch=CLEAN, training=False)

    def objective(images):
        perturbed = _logits(method, images, branch=ADVERSARIAL, training=False)
        return oracles.divergence(natural, perturbed)

    gain = contract.attack_gain(
        objective,
        views["images"],
        method.make_adversarial(views)["images_at"],
        epsilon=float(SPLIT.epsilon),
    )
    assert gain > 0


def test_both_branches_are_trained_where_natural_images_have_their_own():
    everything, moved = contract.moved_variables(SPLIT, finetune=True)
    assert moved == everything and contract.of_branch(everything, CLEAN)


@pytest.mark.parametrize(
    "changes",
    [{"finetune": "laf"}, {"finetune": "fsf"}, {"finetune": "lsf"}, {"finetune_loss": "ce"}],
    ids=lambda changes: "-".join(changes.values()),
)
def test_clean_branch_rests_in_every_other_mode(changes):
    method = _method(SPLIT.replace(**changes))
    passes = contract.record_passes(method)
    method.train_step(helpers.make_data())
    assert {branch for part, branch, _ in passes if part == "encoder"} == {ADVERSARIAL}


@contract.eagerly_and_in_graph
def test_step_with_both_branches_is_the_same_on_two_replicas(in_graph):
    difference = contract.replica_difference(SPLIT, finetune=True, in_graph=in_graph)
    assert max(difference) < 1e-9


class _Caught(Exception):
    """In place of the training itself."""


def _caught_fit(config, tmp_path, monkeypatch):
    """Returns the `StageFit` that a fine-tuning of `config` would run."""

    def catch(fit):
        raise _Caught(fit)

    monkeypatch.setattr(StageFit, "train", catch)
    with pytest.raises(_Caught) as caught:
        run.run_stages(config.replace(num_replicas=1), cfg.FINETUNE, WorkDirectory(tmp_path))
    return caught.value.args[0]


@pytest.mark.parametrize("size, steps", [(0, 4), (3, 8), (12, 2)])
def test_recipe_reaches_batches_rates_and_decay(tmp_path, monkeypatch, size, steps):
    config = make_tiny_world(monkeypatch).replace(
        encoder_checkpoint="random",
        finetune="faf",
        finetune_epochs=10,
        finetune_decay_at="0.5",
        finetune_global_batch_size=size,
        finetune_learning_rate=0.25,
        finetune_weight_decay=0.125,
        weight_decay=0.5,
    )
    fit = _caught_fit(config, tmp_path, monkeypatch)
    assert (fit.global_batch_size, fit.steps_per_epoch, fit.epochs) == (size or 6, steps, 10)
    assert fit.method.optimization.weight_decay == 0.125
    optimizer = fit.method.optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    rates = []
    for step in (0, 5 * steps - 1, 5 * steps):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.25, 0.25, 0.025], rtol=1e-6)
