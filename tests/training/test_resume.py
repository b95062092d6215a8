"""A stage that stops anywhere and runs again ends where the undisturbed one does, bit for bit."""

import pytest

from ascl_tf import config as cfg
from ascl_tf.training import callbacks
from tests.common import eagerly
from tests.training.resuming import (
    NUM_STEPS,
    STEPS_PER_EPOCH,
    Stopped,
    check_same,
    read_checkpoint,
    read_record,
    run_stage,
    stop_and_continue,
    stop_at_step,
    stop_in,
    stop_in_mid_epoch,
)
from tests.training.worlds import make_tiny_world


def _before_the_first_checkpoint(monkeypatch):
    stop_at_step(monkeypatch, 1)


def _between_epochs(monkeypatch):
    stop_in(monkeypatch, callbacks.ContinueEpoch, "on_epoch_begin", 1)


def _after_validation_before_saving(monkeypatch):
    stop_in(monkeypatch, callbacks.SaveLast, "on_epoch_end", 1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(config, work directory) of an undisturbed run of AT; its tests run step by step too.

    In test_weight_averaging.py what continues is a graph.
    """
    with pytest.MonkeyPatch.context() as monkeypatch, eagerly():
        config = make_tiny_world(monkeypatch).replace(method="at")
        yield config, run_stage(config, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    "stop, checkpoint_every",
    [
        pytest.param(stop_in_mid_epoch, 1, marks=pytest.mark.slow),
        (stop_in_mid_epoch, 3),  # Step 7 is made twice.
        pytest.param(_before_the_first_checkpoint, 1, marks=pytest.mark.slow),
        pytest.param(_between_epochs, 100, marks=pytest.mark.slow),
        pytest.param(_after_validation_before_saving, 3, marks=pytest.mark.slow),
    ],
)
def test_stopped_stage_continues_bit_for_bit(undisturbed, tmp_path, stop, checkpoint_every):
    config, expected = undisturbed
    config = config.replace(checkpoint_every=checkpoint_every)
    check_same(stop_and_continue(config, tmp_path, cfg.PRETRAIN, stop), expected, cfg.PRETRAIN)


@pytest.mark.slow  # test_checkpoints.py makes the step after a restored checkpoint of ASCL.
def test_stopped_ascl_continues_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(checkpoint_every=3)
    undisturbed = run_stage(config, tmp_path / "undisturbed")
    path = stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, stop_in_mid_epoch)
    check_same(path, undisturbed, cfg.PRETRAIN)


@pytest.mark.slow
def test_stopped_run_of_lars_and_a_cosine_continues_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(
        method="at",
        optimizer="lars",
        schedule="cosine",
        warmup_epochs=1,
        learning_rate=5.0,
        awp_gamma=0.01,
        awp_warmup_epochs=1,
        checkpoint_every=3,
    )
    undisturbed = run_stage(config, tmp_path / "undisturbed")
    path = stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, stop_in_mid_epoch)
    check_same(path, undisturbed, cfg.PRETRAIN)


@pytest.mark.slow
def test_stopped_dynacl_continues_with_its_averages_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(method="dynacl", dynacl_interval=1, checkpoint_every=3)
    undisturbed = read_checkpoint(run_stage(config, tmp_path / "undisturbed"), cfg.PRETRAIN)
    path = stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, stop_in_mid_epoch)
    assert read_checkpoint(path, cfg.PRETRAIN) == undisturbed
    step, contents, _ = undisturbed
    assert step == str(NUM_STEPS)
    suffix = "encoder/variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    assert contents[suffix] != contents[f"online_{suffix}"]


@pytest.mark.slow
def test_stage_stopped_twice_continues_bit_for_bit(undisturbed, tmp_path):
    config, expected = undisturbed
    config = config.replace(checkpoint_every=1)
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(Stopped):
        stop_at_step(monkeypatch, 3)
        run_stage(config, tmp_path)
    path = stop_and_continue(config, tmp_path, cfg.PRETRAIN, lambda m: stop_at_step(m, 10))
    check_same(path, expected, cfg.PRETRAIN)


@pytest.mark.slow  # On cached features in the default run, see test_precision.py.
@pytest.mark.parametrize("mode", ["laf", "fsf"])
def test_stopped_fine_tuning_continues_bit_for_bit(tiny_world, tmp_path, mode):
    config = tiny_world.replace(
        method="standard", finetune=mode, encoder_checkpoint="random", checkpoint_every=3
    )
    stage = f"finetune_{mode}_random_encoder"
    undisturbed = run_stage(config, tmp_path / "undisturbed", cfg.FINETUNE)
    path = stop_and_continue(config, tmp_path / "stopped", cfg.FINETUNE, stop_in_mid_epoch)
    check_same(path, undisturbed, stage)


def test_finished_stage_runs_no_further_step(undisturbed, monkeypatch):
    config, path = undisturbed
    before = {file: file.read_bytes() for file in (path / "checkpoints").rglob("*.index")}
    record = (path / "results" / "pretrain.json").read_text()
    monkeypatch.setattr(callbacks.ContinueEpoch, "on_epoch_begin", _never)
    run_stage(config, path)
    assert {file: file.read_bytes() for file in (path / "checkpoints").rglob("*.index")} == before
    assert (path / "results" / "pretrain.json").read_text() == record


def _never(self, epoch, logs=None):
    raise AssertionError("a finished stage began an epoch")


def test_history_holds_training_and_validation_values_of_each_epoch(undisturbed):
    record = read_record(undisturbed[1], cfg.PRETRAIN)
    assert record["steps_per_epoch"] == STEPS_PER_EPOCH and record["num_images"] == 24
    assert [row["step"] for row in record["epochs"]] == [4, 8, 12]
    for row in record["epochs"]:
        assert row["train/loss"] == row["train/at_loss"] > 0
        assert 0 <= row["val/robust_accuracy"] <= row["val/standard_accuracy"] <= 100
    robust = [row["val/robust_accuracy"] for row in record["epochs"]]
    assert record["best_robust_accuracy"] == max(robust)
    assert record["best_epoch"] == 1 + robust.index(max(robust))
