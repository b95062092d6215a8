"""`--weight_averaging`: what is averaged, who reads it, and that it changes no training."""

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.serving.loading import load_model
from ascl_tf.training import callbacks, run, trained
from ascl_tf.training.workdir import WorkDirectory
from tests.common import two_replicas
from tests.methods import helpers
from tests.training.resuming import (
    check_same,
    read_checkpoint,
    read_record,
    run_stage,
    stop_and_continue,
    stop_in_mid_epoch,
)
from tests.training.worlds import eager_world, make_tiny_world

DECAY = 0.6


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """(config, work directory, weights after each update) of a run, all of its stages."""
    path, trail = tmp_path_factory.mktemp("averaged"), []

    def keep(self, batch, logs=None):
        trail.append({n: p.get_weights() for n, p in self.model.parts.items()})

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(callbacks.ContinueEpoch, "on_train_batch_end", keep, raising=False)
        config = make_tiny_world(monkeypatch).replace(
            method="standard", decay_at="", weight_averaging=DECAY, protocol="standard"
        )
        run.run_stages(config, cfg.ALL, WorkDirectory(path))
        yield config, path, trail


def _average(trail, part):
    expected = None
    for step, weights in enumerate(trail):
        d = min(DECAY, step / (step + 9))
        values = [np.float64(value) for value in weights[part]]
        pairs = zip(expected or values, values, strict=True)
        expected = [d * mean + (1 - d) * value for mean, value in pairs]
    return expected


def _trained(config, path):
    return trained.load_classifier(config, WorkDirectory(path), helpers.make_dataset(12), "last")


def test_what_is_loaded_of_a_checkpoint_is_the_average_of_the_updates(averaged):
    config, path, trail = averaged
    assert len(trail) == 12
    classifier = _trained(config, path)
    for part, layer in (("encoder", classifier.encoder), ("linear_head", classifier.linear_head)):
        for found, expected in zip(layer.get_weights(), _average(trail, part), strict=True):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        moved = [
            np.abs(a - b).max() for a, b in zip(layer.get_weights(), trail[-1][part], strict=True)
        ]
        assert max(moved) > 1e-3


@pytest.mark.slow  # A second run.
def test_training_itself_is_that_without_averaging(averaged, tiny_world, tmp_path):
    config, path, _ = averaged
    plain = run_stage(config.replace(weight_averaging=0.0), tmp_path)
    _, without, _ = read_checkpoint(plain, cfg.PRETRAIN)
    _, with_averages, _ = read_checkpoint(path, cfg.PRETRAIN)
    assert {name: with_averages[name] for name in without} == without
    assert {name.split("/")[0] for name in set(with_averages) - set(without)} == {"average"}
    rows = zip(
        read_record(plain, cfg.PRETRAIN)["epochs"],
        read_record(path, cfg.PRETRAIN)["epochs"],
        strict=True,
    )
    assert all(a["train/loss"] == b["train/loss"] for a, b in rows)


def test_validation_measures_the_average(averaged):
    config, path, _ = averaged
    _, validation = run.load_training_data(config)
    (record,) = evaluate_robustness(
        _trained(config, path), validation, "fgsm", batch_size=6, seed=config.seed
    )
    last = read_record(path, cfg.PRETRAIN)["epochs"][-1]
    assert last["val/robust_accuracy"] == pytest.approx(record["robust_accuracy"])


def test_export_is_the_average(averaged):
    config, path, _ = averaged
    best = trained.load_classifier(
        config, WorkDirectory(path), helpers.make_dataset(12), config.export_checkpoint
    )
    images = helpers.make_dataset(4).images / np.float32(255)
    exported = load_model(WorkDirectory(path).export(cfg.PRETRAIN)).logits_fn
    np.testing.assert_allclose(exported(images)["logits"], best(images), rtol=0, atol=1e-5)


def test_stopped_run_continues_with_its_average_bit_for_bit(averaged, tiny_world, tmp_path):
    config, undisturbed, _ = averaged
    path = stop_and_continue(
        config.replace(checkpoint_every=3), tmp_path, cfg.PRETRAIN, stop_in_mid_epoch
    )
    check_same(path, undisturbed, cfg.PRETRAIN)


@pytest.mark.slow  # What is loaded of a checkpoint is in the default run.
def test_fine_tuning_starts_from_the_average_of_pre_training(tmp_path):
    with eager_world() as config:
        config = config.replace(method="simclr", weight_averaging=DECAY, finetune_epochs=1)
        run_stage(config, tmp_path, cfg.PRETRAIN)
        run_stage(config, tmp_path, cfg.FINETUNE)
    place = "average/encoder/variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    _, before, _ = read_checkpoint(tmp_path, cfg.PRETRAIN)
    _, after, _ = read_checkpoint(tmp_path, "finetune_laf")
    # The encoder is frozen: the average of what does not move.
    assert after[place] == before[place] == after[place.removeprefix("average/")]
    assert before[place] != before[place.removeprefix("average/")]


@pytest.mark.slow  # An average of equal weights.
def test_two_replicas_have_the_average_of_one(tmp_path, monkeypatch):
    with eager_world() as config:
        config = config.replace(method="at", weight_averaging=DECAY)
        one = _trained(config, run_stage(config, tmp_path / "one"))
        monkeypatch.setattr(run, "make_strategy", lambda *_, **__: two_replicas())
        two = _trained(config, run_stage(config.replace(num_replicas=2), tmp_path / "two"))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)
