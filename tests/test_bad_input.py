"""What the training program says of bad input in a process of its own, and of a run.

Single bad inputs, by the hundred, are in tests/bad_input.
"""

import os
import pathlib
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from ascl_tf import train
from ascl_tf.program import flag_defs
from ascl_tf.training.callbacks import StopOnNonFinite
from tests.bad_input.case import WORKDIR, contents


@pytest.fixture(autouse=True)
def _beside_an_empty_workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_data_sets"))
    (tmp_path / WORKDIR).mkdir()


def test_loss_that_is_not_finite(capsys):
    guard = StopOnNonFinite()
    optimizer = types.SimpleNamespace(iterations=tf.Variable(7))
    guard.set_model(types.SimpleNamespace(optimizer=optimizer))
    guard.on_train_batch_end(0, {"loss": 1.0})
    logs = {"loss": float("nan"), "gradient_norm": float("inf"), "accuracy": 0.5}
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(lambda argv: guard.on_train_batch_end(1, logs), ["train"])
    assert exit_info.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: step 7: expected finite values; found NaN or infinity in ")
    assert "loss, gradient_norm." in error and "accuracy" not in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "flag",
    ["--protocol=pgd21", "--dataset=folder:absent", "--num_replicas=99", "--num_train_images=1"],
)
def test_mistake_leaves_no_new_folder(flag):
    pathlib.Path(WORKDIR).rmdir()
    with pytest.raises(SystemExit):
        train.run(["train", "--num_replicas=1", flag])
    assert contents(".") == {}


def _program(*flags):
    command = [sys.executable, "-m", "ascl_tf.train", *flags]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


def test_program_says_one_line_and_exits_with_2():
    done = _program("--epsilon=8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --epsilon: ") and done.stderr.count("\n") == 1


@pytest.mark.slow  # In this process tests/bad_input does.
def test_program_says_one_line_and_exits_with_1():
    pathlib.Path(WORKDIR).rmdir()
    pathlib.Path(WORKDIR).write_text("mine")
    done = _program("--dataset=bundled", f"--workdir={WORKDIR}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --workdir=run: ") and done.stderr.count("\n") == 1


def test_debug_shows_the_traceback():
    done = _program("--epsilon=8", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr and "--epsilon: expected a number" in done.stderr
