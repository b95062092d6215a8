"""NaN and infinity: the run stops and says where, or goes back and leaves steps out."""

import json

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.errors import RunError
from ascl_tf.training import callbacks, run
from ascl_tf.training.checkpoints import StageCheckpoints
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly
from tests.methods import helpers


class Stopped(Exception):
    """In place of a kill."""


@pytest.fixture
def tiny_config(tiny_world):
    with eagerly():
        yield tiny_world.replace(method="standard", checkpoint_every=3)


def _break(monkeypatch, steps, variable=lambda method: method.encoder.conv.kernel):
    """Makes a variable NaN in front of each of these steps; returns it as it was afterwards."""
    seen = {}

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.optimizer.iterations.numpy())
        seen[step] = self.model.encoder.conv.kernel.numpy()
        if step + 1 in steps:
            variable(self.model).assign(np.full(variable(self.model).shape, np.nan))

    # The first of the callbacks.
    monkeypatch.setattr(
        callbacks.ContinueEpoch, "on_train_batch_begin", on_train_batch_begin, raising=False
    )
    return seen


def _run(config, path):
    run.run_stages(config, cfg.PRETRAIN, WorkDirectory(path))
    record = json.loads((path / "results" / "pretrain.json").read_text())
    return {name: value for name, value in record.items() if not name.endswith("seconds")}


def _final_state(config, path):
    method = helpers.compile_tiny(helpers.make_method(config))
    checkpoints = StageCheckpoints(path / "checkpoints" / "pretrain", method)
    checkpoints.restore("last")
    return checkpoints.step, [v.tobytes() for v in helpers.values(method).values()]


def test_run_stops_and_names_step_term_and_last_good_checkpoint(tiny_config, tmp_path, monkeypatch):
    _break(monkeypatch, {6})
    with pytest.raises(RunError, match="step 6: expected finite values") as e:
        _run(tiny_config, tmp_path)
    message = str(e.value)
    assert "standard_loss" in message and "gradient_norm" in message
    assert "the last good one is that of step 4" in message and "`on_nan=rollback`" in message


def test_weight_that_no_loss_shows_is_found_before_it_is_saved(tiny_config, tmp_path, monkeypatch):
    _break(monkeypatch, {5}, lambda method: method.encoder.bn.branches["clean"].moving_mean)
    with pytest.raises(RunError, match=r"step 6: .* in \S*clean/moving_mean\..* of step 4"):
        _run(tiny_config, tmp_path)


def test_rollback_goes_on_from_the_last_checkpoint_behind_the_bad_step(
    tiny_config, tmp_path, monkeypatch, capsys
):
    seen = _break(monkeypatch, {7})
    record = _run(tiny_config.replace(on_nan="rollback"), tmp_path)
    # The checkpoint of step 6 lies in the epoch of step 7.
    np.testing.assert_array_equal(seen[7], seen[6])
    assert sorted(seen) == list(range(12))
    (rollback,) = record["rollbacks"]
    assert (rollback["step"], rollback["back_to"]) == (7, 6) and "loss" in rollback["not_finite"]
    assert [row["step"] for row in record["epochs"]] == [4, 8, 12]
    assert all(np.isfinite(value) for row in record["epochs"] for value in row.values())
    assert "continuing from the state of step 6 (rollback 1 of 3)" in capsys.readouterr().out


@pytest.mark.slow  # The rollback itself is in the default run.
def test_rollback_over_the_end_of_an_epoch_begins_its_means_anew(
    tiny_config, tmp_path, monkeypatch
):
    _break(monkeypatch, {5})
    rolled_back = tiny_config.replace(on_nan="rollback", checkpoint_every=100)
    rows = _run(rolled_back, tmp_path)["epochs"]
    assert rows[0] != rows[1] and np.isfinite(rows[1]["train/loss"])


@pytest.mark.slow
def test_run_stopped_after_a_rollback_continues_bit_for_bit(tiny_config, tmp_path, monkeypatch):
    config = tiny_config.replace(on_nan="rollback")
    _break(monkeypatch, {7})
    undisturbed = _run(config, tmp_path / "undisturbed")
    with monkeypatch.context() as context:
        save = callbacks.SaveLast.on_train_batch_end

        def stop(self, batch, logs=None):
            save(self, batch, logs)
            if self.checkpoints.step == 10:
                raise Stopped

        context.setattr(callbacks.SaveLast, "on_train_batch_end", stop)
        with pytest.raises(Stopped):
            _run(config, tmp_path / "stopped")
    assert _run(config, tmp_path / "stopped") == undisturbed
    states = [_final_state(config, tmp_path / name) for name in ("stopped", "undisturbed")]
    assert states[0] == states[1] and states[0][0] == 12


@pytest.mark.slow  # One rollback is in the default run.
def test_fourth_rollback_is_refused(tiny_config, tmp_path, monkeypatch):
    _break(monkeypatch, {5, 6, 7, 8})
    with pytest.raises(RunError, match=r"step 8: .*\(3 rollbacks have been made already\)"):
        _run(tiny_config.replace(on_nan="rollback"), tmp_path)


def test_rollback_without_a_checkpoint_stops(tiny_config, tmp_path, monkeypatch):
    _break(monkeypatch, {1})
    with pytest.raises(RunError, match="step 1: expected finite values"):
        _run(tiny_config.replace(on_nan="rollback"), tmp_path)
