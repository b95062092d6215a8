"""Whole stages in bfloat16: they continue bit for bit, and float32 reads what they leave."""

import keras
import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.data import load_dataset
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.methods import factory
from ascl_tf.models import resnet
from ascl_tf.training import run, trained
from ascl_tf.training.checkpoints import BEST, LAST
from ascl_tf.training.fitting import compile_method
from ascl_tf.training.strategy import layers_in
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly
from tests.methods import helpers
from tests.training.resuming import (
    check_same,
    read_record,
    run_stage,
    stop_and_continue,
    stop_in_mid_epoch,
)


def test_run_in_bfloat16_is_read_by_float32(tiny_world, tmp_path):
    config = tiny_world.replace(method="at", precision="bfloat16", epochs=2)
    with eagerly():
        _check_read_by_float32(config, run_stage(config, tmp_path))


@pytest.mark.slow  # test_resume.py does it in float32, whose checkpoints hold the same variables.
def test_stopped_run_in_bfloat16_continues_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(method="at", precision="bfloat16", checkpoint_every=3)
    undisturbed = run_stage(config, tmp_path / "undisturbed")
    path = stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, stop_in_mid_epoch)
    check_same(path, undisturbed, cfg.PRETRAIN)


def _check_read_by_float32(config, path):
    """The classifier that evaluation loads is float32, and the one that validation measured."""
    _, validation = run.load_training_data(config)
    record = read_record(path, cfg.PRETRAIN)
    rows = {LAST: record["epochs"][-1], BEST: record["epochs"][record["best_epoch"] - 1]}
    for checkpoint, row in rows.items():
        classifier = trained.load_classifier(config, WorkDirectory(path), validation, checkpoint)
        kinds = {layer.compute_dtype for layer in classifier._flatten_layers()}
        assert kinds == {"float32"}
        (measured,) = evaluate_robustness(classifier, validation, "fgsm", seed=config.seed)
        for name in ("standard_accuracy", "robust_accuracy"):
            assert measured[name] == row[f"val/{name}"]


def test_precision_is_part_of_a_run_only_where_it_is_not_the_default():
    assert "precision" not in cfg.identity_of(cfg.Config(), cfg.PRETRAIN)
    half = cfg.Config(precision="bfloat16")
    assert cfg.identity_of(half, cfg.PRETRAIN)["precision"] == "bfloat16"
    assert cfg.identity_of(half, cfg.FINETUNE)["precision"] == "bfloat16"
    assert "precision" not in cfg.identity_of(half, cfg.EVALUATE)


@pytest.mark.slow  # test_frozen_encoder.py compares cached features and those of the encoder.
def test_stopped_fine_tuning_on_cached_features_continues_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(
        method="standard",
        finetune="lsf",
        finetune_augmentation="none",
        encoder_checkpoint="random",
        checkpoint_every=3,
    )
    with eagerly():
        undisturbed = run_stage(config, tmp_path / "undisturbed", cfg.FINETUNE)
        path = stop_and_continue(config, tmp_path / "stopped", cfg.FINETUNE, stop_in_mid_epoch)
    check_same(path, undisturbed, "finetune_lsf_random_encoder")


def _accuracies(precision, seed):
    """Standard and FGSM accuracy on 500 real images after three epochs of AT on 1,000."""
    config = cfg.Config(
        method="at", width=4, num_steps_at=2, global_batch_size=50, learning_rate=0.05, seed=seed
    )
    train = load_dataset("bundled", "train", image_size=16).take(slice(1000))
    test = load_dataset("bundled", "test", image_size=16).take(slice(500))
    keras.utils.set_random_seed(seed)
    with layers_in(precision):
        method = factory.make_pretrain_method(
            config, num_classes=train.num_classes, image_shape=train.image_shape
        )
    compile_method(method, config.run, config.learning_rate)
    helpers.fit(method, train, num_steps=60)
    (record,) = evaluate_robustness(method.classifier, test, "fgsm")
    return [record["standard_accuracy"], record["robust_accuracy"]]


@pytest.mark.slow
def test_accuracy_after_a_short_training_is_that_of_float32_within_its_noise(monkeypatch):
    monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, 18, (1, 0, 0, 1))
    found = {
        precision: np.array([_accuracies(precision, seed) for seed in range(4)])
        for precision in ("float32", "bfloat16")
    }
    full, half = found["float32"], found["bfloat16"]
    assert full[:, 0].min() > 15  # It has learned something: ten classes.
    noise = np.sqrt((full.var(0, ddof=1) + half.var(0, ddof=1)) / len(full))
    assert np.all(np.abs(full.mean(0) - half.mean(0)) < 3 * noise + 0.5), found
