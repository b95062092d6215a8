"""Two workers train what one device does; only the chief writes; a lost worker ends the run."""

import json
import shutil

import keras
import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.training import run
from ascl_tf.training.checkpoints import LAST, StageCheckpoints
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly, weak_views_for_strong
from tests.methods import helpers
from tests.training.clusters import check_equal, checkpoint, run_replicas, run_workers
from tests.training.worlds import export_tiny_classifier, make_tiny_world

# Of the two terms that gather from all workers one, with its attack, and the outer loss.
SHORTER = {"global_batch_size": 12, "lambda_1": 0.0, "num_steps_at": 0}


def _config(monkeypatch):
    config = make_tiny_world(monkeypatch)
    return config.replace(
        global_batch_size=8, epochs=2, checkpoint_every=1, validation_protocol="standard"
    )


def _set_dtype(dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def _run_alone(monkeypatch, folder, config, dtype="float64"):
    """Trains on one device, eagerly; keeps the work directory after step n as folder/after_n."""
    write = StageCheckpoints._write

    def write_and_copy(self, prefix, num_kept):
        write(self, prefix, num_kept)
        if prefix.parent.name == LAST:
            copy = folder / f"after_{self.step}"
            shutil.copytree(folder / "alone", copy, ignore=shutil.ignore_patterns("run.lock"))

    with monkeypatch.context() as patched, eagerly(), weak_views_for_strong():
        patched.setattr(StageCheckpoints, "_write", write_and_copy)
        _set_dtype(dtype)
        try:
            run.run_stages(config, cfg.PRETRAIN, WorkDirectory(folder / "alone"))
        finally:
            _set_dtype("float32")


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """Two workers go on after one device's first step; the second is killed after its first."""
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as monkeypatch:
        config = _config(monkeypatch).replace(**SHORTER)
        _run_alone(monkeypatch, folder, config)
        shutil.copytree(folder / "after_1", folder / "chief")
        workdirs = (folder / "chief", folder / "other")
        ended = run_workers(config, folder, workdirs, event="SIGKILL worker 1 step 2")
    return folder, ended


def test_step_of_two_workers_is_that_of_one_device(lost):
    folder, _ = lost
    # The first step was one device's: its checkpoint is read here, and written below.
    for name in ("last", "best"):
        found = checkpoint(folder / "chief", name)
        check_equal(found, checkpoint(folder / "after_2"), tolerance=1e-9)


def test_one_device_reads_what_two_workers_have_written(lost, monkeypatch):
    folder, _ = lost
    config = _config(monkeypatch).replace(**SHORTER)
    _set_dtype("float64")
    try:
        method = helpers.compile_tiny(helpers.make_method(config))
        restored = StageCheckpoints(folder / "chief" / "checkpoints" / cfg.PRETRAIN, method)
        restored.restore(LAST)
    finally:
        _set_dtype("float32")
    assert restored.step == 2
    written = checkpoint(folder / "chief")[1]
    for number, weight in enumerate(method.encoder.weights):
        key = f"encoder/variables/{number}/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(weight.numpy(), written[key])
    # What the epoch has reported is that of one device too.
    (row,) = restored.history.epochs
    assert row["step"] == 2 and 0 <= row["val/standard_accuracy"] <= 100


def test_only_the_chief_writes_and_prints(lost):
    folder, (chief, other) = lost
    assert not (folder / "other").exists()
    assert not list((folder / "temporary_1").rglob("ckpt-*"))
    assert (chief.output.count("continuing after step 1\n"), other.output) == (1, "")
    events = (folder / "chief" / "tensorboard" / cfg.PRETRAIN).iterdir()
    assert len(list(events)) == 2  # One device's, and the chief's.


def test_lost_worker_ends_the_others_in_one_line(lost):
    folder, (chief, other) = lost
    assert other.status == -9
    assert chief.status == 1, chief.error
    assert chief.error.count("\n") == 1, chief.error
    assert chief.error.startswith("error: worker 0 of 2: expected all workers until the end;")
    assert "found that worker 1 is gone" in chief.error
    assert "continues from the last checkpoint" in chief.error
    assert not (folder / "chief" / "run.lock").exists()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """One device's run, step by step; its config too."""
    config = _config(monkeypatch)
    _run_alone(monkeypatch, tmp_path, config)
    return tmp_path, config


@pytest.mark.slow
def test_run_that_was_stopped_ends_as_the_undisturbed_one(tmp_path, monkeypatch):
    config = _config(monkeypatch)
    undisturbed, stopped = tmp_path / "undisturbed", tmp_path / "stopped"
    ended = run_workers(config, tmp_path, (undisturbed, tmp_path / "other"))
    assert [(worker.status, worker.error) for worker in ended] == [(0, ""), (0, "")]
    # One worker is asked to stop; both do, after the same step, which the chief saves.
    event = "SIGTERM worker 1 step 4"
    ended = run_workers(config, tmp_path, (stopped, tmp_path / "other"), event=event)
    assert [worker.status for worker in ended] == [143, 143], ended
    assert checkpoint(stopped)[0] == 5
    ended = run_workers(config, tmp_path, (stopped, tmp_path / "other"))
    assert [worker.status for worker in ended] == [0, 0], ended
    check_equal(checkpoint(stopped), checkpoint(undisturbed), tolerance=0)
    assert not (tmp_path / "other").exists()
    records = [
        json.loads((path / "results/pretrain.json").read_text()) for path in (stopped, undisturbed)
    ]
    assert [row["epoch"] for row in records[0]["epochs"]] == [1, 2]
    for one, two in zip(*(record["epochs"] for record in records), strict=True):
        # A mean over replicas is saved as one number, and goes on from equal shares.
        assert one == pytest.approx(two, rel=1e-12)


@pytest.mark.slow
def test_one_step_in_float32_is_that_of_one_device(tmp_path, monkeypatch):
    config = _config(monkeypatch)
    _run_alone(monkeypatch, tmp_path, config, dtype="float32")
    workdirs = (tmp_path / "chief", tmp_path / "other")
    run_workers(config, tmp_path, workdirs, event="SIGKILL worker 1 step 1", dtype="float32")
    check_equal(checkpoint(tmp_path / "chief"), checkpoint(tmp_path / "after_1"), tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [2, 4])
def test_virtual_devices_of_one_process_train_what_one_device_does(alone, num_replicas):
    folder, config = alone
    run_replicas(config, folder, folder / "replicas", num_replicas=num_replicas)
    check_equal(checkpoint(folder / "replicas"), checkpoint(folder / "alone"), tolerance=1e-9)


@pytest.mark.slow
def test_two_workers_train_on_the_labels_that_the_chief_predicts(tmp_path, monkeypatch):
    export_tiny_classifier(tmp_path / "teacher")
    teacher = {"labeled_fraction": 0.5, "pseudo_label_classifier": str(tmp_path / "teacher")}
    config = _config(monkeypatch).replace(method="at", epochs=1, **teacher)
    _run_alone(monkeypatch, tmp_path, config)
    ended = run_workers(config, tmp_path, (tmp_path / "chief", tmp_path / "other"))
    assert [(worker.status, worker.error) for worker in ended] == [(0, ""), (0, "")]
    assert ended[0].output.count("pseudo-labels: predicted for 12 images") == 1
    check_equal(checkpoint(tmp_path / "chief"), checkpoint(tmp_path / "alone"), tolerance=1e-9)
    assert not (tmp_path / "other").exists()
