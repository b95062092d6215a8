"""SIGTERM and Ctrl-C: the step is saved, one line says how to go on, and the status tells."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.process import signals
from ascl_tf.program import flag_defs
from ascl_tf.training import callbacks, run
from ascl_tf.training.workdir import WorkDirectory

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(config, path):
    run.run_stages(config, cfg.PRETRAIN, WorkDirectory(path))


def _stop_by_signal(monkeypatch, config, path, number, at_step):
    """Runs until the signal that the process sends itself in this step."""

    def send(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == at_step:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as context, signals.listening():
        context.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", send)
        flag_defs.run_program(lambda argv: _run(config, path), ["/a/train.py", "--workdir=a b"])


def _last(path):
    prefix = tf.train.latest_checkpoint(str(path / "checkpoints" / "pretrain" / "last"))
    reader = tf.train.load_checkpoint(prefix)
    names = [n for n in reader.get_variable_to_shape_map() if "/variables/" in n]
    return prefix.rpartition("-")[2], {n: reader.get_tensor(n).tobytes() for n in names}


@pytest.mark.parametrize(
    ("number", "status", "at_step"),
    [
        (signal.SIGTERM, 143, 6),  # Within an epoch.
        pytest.param(signal.SIGINT, 130, 8, marks=pytest.mark.slow),  # At its end.
    ],
)
def test_signal_saves_the_step_and_one_line_says_how_to_go_on(
    tiny_world, tmp_path, monkeypatch, capsys, number, status, at_step
):
    config = tiny_world.replace(method="standard", checkpoint_every=100)
    with pytest.raises(SystemExit) as exit_info:
        _stop_by_signal(monkeypatch, config, tmp_path, number, at_step)
    assert exit_info.value.code == status
    said = capsys.readouterr()
    name = signal.Signals(number).name
    assert said.err == f"stopped by {name}; to continue: python -m ascl_tf.train '--workdir=a b'\n"
    assert f"{name}: stopping after this step" in said.out
    assert _last(tmp_path)[0] == str(at_step)
    assert not (tmp_path / "run.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("at_step", [6, 8])
def test_run_stopped_by_a_signal_goes_on_bit_for_bit(tiny_world, tmp_path, monkeypatch, at_step):
    config = tiny_world.replace(method="standard", checkpoint_every=100)
    with pytest.raises(SystemExit):
        _stop_by_signal(monkeypatch, config, tmp_path / "stopped", signal.SIGTERM, at_step)
    _run(config, tmp_path / "stopped")
    _run(config, tmp_path / "undisturbed")
    assert _last(tmp_path / "stopped") == _last(tmp_path / "undisturbed")


def test_second_signal_does_not_wait():
    with pytest.raises(signals.Stopped) as info, signals.listening(), signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.is_requested()
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second signal was waited for")
    assert info.value.number == signal.SIGINT


def test_signal_that_waits_stops_at_the_end_at_the_latest():
    with pytest.raises(signals.Stopped), signals.listening(), signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
    assert not signals.is_requested()


def test_signal_outside_of_training_ends_at_once_and_handlers_go_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(signals.Stopped), signals.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was waited for")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/a/evaluate.py", "python -m ascl_tf.evaluate"),
        ("/a/bin/ascl-evaluate", "/a/bin/ascl-evaluate"),
        ("/a/tools/reproduce.py", "python tools/reproduce.py"),
    ],
)
def test_signal_while_libraries_are_imported_is_one_line(program, command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "--model=a b"])
    with pytest.raises(SystemExit) as exit_info, flag_defs.importing():
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was waited for")
    assert exit_info.value.code == 143
    line = f"stopped by SIGTERM; to continue: {command} '--model=a b'\n"
    assert capsys.readouterr().err == line


SLEEPING_PROGRAM = """
import time
from ascl_tf import train

def main(argv):
    print("at work", flush=True)
    time.sleep(60)

train.main = main
train.run(["/a/train.py", "--stage=evaluate"])
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_program_ends_with_the_status_of_its_signal(number, status):
    command = [sys.executable, "-c", SLEEPING_PROGRAM]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert error.count("\n") == 1 and "--stage=evaluate" in error


LONG_STEP = """
import hashlib
from ascl_tf.process import signals
with signals.listening(), signals.deferred():
    signals.expect(42.0)
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # Python runs no handler until it ends.
"""


def test_signal_in_a_long_step_is_answered_at_once_and_a_second_one_leaves_it():
    command = [sys.executable, "-c", LONG_STEP]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "\n"
        expected = "SIGINT: stopping after this step, in about 42 s; repeat to stop at once\n"
        assert process.stdout.readline() == expected
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == "stopped by SIGINT; the same command continues\n"
