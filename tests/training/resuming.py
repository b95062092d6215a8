"""Stopping a stage somewhere, letting it go on, and comparing what it leaves."""

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


def run_stage(config, path, stage=cfg.PRETRAIN):
    """Runs a stage in the work directory `path`, and returns it."""
    run.run_stages(config, stage, WorkDirectory(path))
    return path


def read_checkpoint(path, stage, name="last"):
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


def read_record(path, stage):
    return _untimed(json.loads((path / "results" / f"{stage}.json").read_text()))


def check_same(path, undisturbed, stage):
    for name in ("last", "best"):
        assert read_checkpoint(path, stage, name) == read_checkpoint(undisturbed, stage, name)
    assert read_checkpoint(path, stage)[0] == str(NUM_STEPS)
    assert read_record(path, stage) == read_record(undisturbed, stage)
    assert [row["epoch"] for row in read_record(path, stage)["epochs"]] == [1, 2, 3]
    spent = json.loads((path / "results" / f"{stage}.json").read_text())["epoch_seconds"]
    assert [row["epoch"] for row in spent] == [1, 2, 3]
    assert all(row["wall"] > 0 and row["cpu"] > 0 for row in spent)


def stop_at_step(monkeypatch, step):
    """Raises in front of the saving of this step."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == step:
            raise Stopped

    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", on_train_batch_end)


def stop_in(monkeypatch, callback, method_name, epoch):
    def stop(self, at_epoch, logs=None):
        if at_epoch == epoch:
            raise Stopped

    monkeypatch.setattr(callback, method_name, stop)


def stop_and_continue(config, path, stage, stop):
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop(monkeypatch)
        with pytest.raises(Stopped):
            run_stage(config, path, stage)
    return run_stage(config, path, stage)


def stop_in_mid_epoch(monkeypatch):
    stop_at_step(monkeypatch, 7)
