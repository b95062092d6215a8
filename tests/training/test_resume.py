"""A stage that stops anywhere and runs again ends where the undisturbed one does, bit for bit."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.training import callbacks, run
from ascl_tf.training.workdir import WorkDirectory

STEPS_PER_EPOCH, NUM_STEPS = 4, 12


class Stopped(Exception):
    """In place of a kill."""


def _run(config, path, stage=cfg.PRETRAIN):
    run.run_stages(config, stage, WorkDirectory(path))
    return path


def _checkpoint(path, stage, name="last"):
    """Returns step and contents of a checkpoint, read without this package's code."""
    prefix = tf.train.latest_checkpoint(str(path / "checkpoints" / stage / name))
    reader = tf.train.load_checkpoint(prefix)
    tensors = {k: reader.get_tensor(k) for k in reader.get_variable_to_shape_map()}
    history = next(k for k in tensors if k.startswith("history"))
    contents = {
        name: np.asarray(value).tobytes()
        for name, value in tensors.items()
        # How often was saved, and the shape of the object graph, are no part of the state.
        if not name.startswith(("save_counter", "_CHECKPOINTABLE", "history"))
    }
    assert len(contents) > 15
    return prefix.rpartition("-")[2], contents, _untimed(json.loads(tensors[history]))


def _untimed(document):
    assert document["train_seconds"] > 0
    return {name: value for name, value in document.items() if not name.endswith("seconds")}


def _record(path, stage):
    return _untimed(json.loads((path / "results" / f"{stage}.json").read_text()))


def _check_same(path, undisturbed, stage):
    for name in ("last", "best"):
        assert _checkpoint(path, stage, name) == _checkpoint(undisturbed, stage, name)
    assert _checkpoint(path, stage)[0] == str(NUM_STEPS)
    assert _record(path, stage) == _record(undisturbed, stage)
    assert [row["epoch"] for row in _record(path, stage)["epochs"]] == [1, 2, 3]


def _stop_at_step(monkeypatch, step):
    """Raises in front of the saving of this step."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == step:
            raise Stopped

    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", on_train_batch_end)


def _stop_in(monkeypatch, callback, method_name, epoch):
    def stop(self, at_epoch, logs=None):
        if at_epoch == epoch:
            raise Stopped

    monkeypatch.setattr(callback, method_name, stop)


def _stop_and_continue(config, path, stage, stop):
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop(monkeypatch)
        with pytest.raises(Stopped):
            _run(config, path, stage)
    return _run(config, path, stage)


def _in_mid_epoch(monkeypatch):
    _stop_at_step(monkeypatch, 7)


def _before_the_first_checkpoint(monkeypatch):
    _stop_at_step(monkeypatch, 1)


def _between_epochs(monkeypatch):
    _stop_in(monkeypatch, callbacks.ContinueEpoch, "on_epoch_begin", 1)


def _after_validation_before_saving(monkeypatch):
    _stop_in(monkeypatch, callbacks.SaveLast, "on_epoch_end", 1)


@pytest.fixture(scope="module")
def undisturbed():
    """Paths of undisturbed runs, by name of what was run; filled by the first test."""
    return {}


@pytest.mark.parametrize(
    "stop, checkpoint_every",
    [
        pytest.param(_in_mid_epoch, 1, marks=pytest.mark.slow),
        (_in_mid_epoch, 3),  # Step 7 is made twice.
        (_before_the_first_checkpoint, 1),
        (_between_epochs, 100),
        (_after_validation_before_saving, 3),
    ],
)
def test_stopped_stage_continues_bit_for_bit(
    tiny_world, tmp_path, undisturbed, stop, checkpoint_every
):
    config = tiny_world.replace(method="at", checkpoint_every=checkpoint_every)
    if "at" not in undisturbed:
        undisturbed["at"] = _run(config, tmp_path / "undisturbed")
    path = _stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, stop)
    _check_same(path, undisturbed["at"], cfg.PRETRAIN)


@pytest.mark.slow  # test_checkpoints.py makes the step after a restored checkpoint of ASCL.
def test_stopped_ascl_continues_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(checkpoint_every=3)
    undisturbed = _run(config, tmp_path / "undisturbed")
    path = _stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, _in_mid_epoch)
    _check_same(path, undisturbed, cfg.PRETRAIN)


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
    undisturbed = _run(config, tmp_path / "undisturbed")
    path = _stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, _in_mid_epoch)
    _check_same(path, undisturbed, cfg.PRETRAIN)


@pytest.mark.slow
def test_stopped_dynacl_continues_with_its_averages_bit_for_bit(tiny_world, tmp_path):
    config = tiny_world.replace(method="dynacl", dynacl_interval=1, checkpoint_every=3)
    undisturbed = _checkpoint(_run(config, tmp_path / "undisturbed"), cfg.PRETRAIN)
    path = _stop_and_continue(config, tmp_path / "stopped", cfg.PRETRAIN, _in_mid_epoch)
    assert _checkpoint(path, cfg.PRETRAIN) == undisturbed
    step, contents, _ = undisturbed
    assert step == str(NUM_STEPS)
    suffix = "encoder/variables/0/.ATTRIBUTES/VARIABLE_VALUE"
    assert contents[suffix] != contents[f"online_{suffix}"]


@pytest.mark.slow
def test_stage_stopped_twice_continues_bit_for_bit(tiny_world, tmp_path, undisturbed):
    config = tiny_world.replace(method="at", checkpoint_every=1)
    if "at" not in undisturbed:
        undisturbed["at"] = _run(config, tmp_path / "undisturbed")
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(Stopped):
        _stop_at_step(monkeypatch, 3)
        _run(config, tmp_path / "stopped")
    path = _stop_and_continue(
        config, tmp_path / "stopped", cfg.PRETRAIN, lambda m: _stop_at_step(m, 10)
    )
    _check_same(path, undisturbed["at"], cfg.PRETRAIN)


@pytest.mark.parametrize("mode", ["laf", "fsf"])
def test_stopped_fine_tuning_continues_bit_for_bit(tiny_world, tmp_path, mode):
    config = tiny_world.replace(
        method="standard", finetune=mode, encoder_checkpoint="random", checkpoint_every=3
    )
    stage = f"finetune_{mode}_random_encoder"
    undisturbed = _run(config, tmp_path / "undisturbed", cfg.FINETUNE)
    path = _stop_and_continue(config, tmp_path / "stopped", cfg.FINETUNE, _in_mid_epoch)
    _check_same(path, undisturbed, stage)


def test_finished_stage_runs_no_further_step(tiny_world, tmp_path, monkeypatch):
    config = tiny_world.replace(method="at", epochs=1)
    path = _run(config, tmp_path)
    before = {file: file.read_bytes() for file in (path / "checkpoints").rglob("*.index")}
    record = (path / "results" / "pretrain.json").read_text()
    _stop_at_step(monkeypatch, STEPS_PER_EPOCH)  # Would stop the first step that is made.
    monkeypatch.setattr(callbacks.ContinueEpoch, "on_epoch_begin", _never)
    _run(config, path)
    assert {file: file.read_bytes() for file in (path / "checkpoints").rglob("*.index")} == before
    assert (path / "results" / "pretrain.json").read_text() == record


def _never(self, epoch, logs=None):
    raise AssertionError("a finished stage began an epoch")


def test_history_holds_training_and_validation_values_of_each_epoch(tiny_world, tmp_path):
    record = _record(_run(tiny_world.replace(method="at"), tmp_path), cfg.PRETRAIN)
    assert record["steps_per_epoch"] == STEPS_PER_EPOCH and record["num_images"] == 24
    assert [row["step"] for row in record["epochs"]] == [4, 8, 12]
    for row in record["epochs"]:
        assert row["train/loss"] == row["train/at_loss"] > 0
        assert 0 <= row["val/robust_accuracy"] <= row["val/standard_accuracy"] <= 100
    robust = [row["val/robust_accuracy"] for row in record["epochs"]]
    assert record["best_robust_accuracy"] == max(robust)
    assert record["best_epoch"] == 1 + robust.index(max(robust))
