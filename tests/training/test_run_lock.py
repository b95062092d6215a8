"""One run at a time in a work directory; what a dead one has left is taken over."""

import pathlib
import re
import socket
import subprocess
import sys

import pytest

from ascl_tf.errors import RunError
from ascl_tf.training import run
from ascl_tf.training.workdir import LOCK_FILE, RunLock, WorkDirectory

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What a `RunLock` holds, without the seconds that importing TensorFlow takes.
HOLD = """
import sys
from ascl_tf.process.locks import Lock

lock = Lock(sys.argv[1])
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path` until it is ended."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / LOCK_FILE)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_second_run_is_refused_and_told_who_is_first(other, tmp_path):
    host = re.escape(socket.gethostname())
    with pytest.raises(RunError, match=rf"found process {other.pid} on host {host} at work") as e:
        with RunLock(tmp_path).held():
            raise AssertionError("two runs hold one lock")
    assert str(tmp_path) in str(e.value) and len(str(e.value).splitlines()) == 1
    assert (tmp_path / LOCK_FILE).exists()


def test_lock_of_a_killed_run_is_taken_over_and_its_leftovers_go(other, tmp_path, capsys):
    other.kill()
    other.wait()
    best = tmp_path / "checkpoints" / "pretrain" / "best"
    best.mkdir(parents=True)
    (best / f".checkpoint.{other.pid}.tmp").write_text("half")
    for name in (f".config.json.{other.pid}.tmp", ".mine.tmp", "config.json"):
        (tmp_path / name).write_text("half")
    with RunLock(tmp_path).held():
        said = capsys.readouterr().out
        assert f"notice: process {other.pid} on host" in said and "taking over" in said
    assert {path.name for path in tmp_path.iterdir()} == {".mine.tmp", "config.json", "checkpoints"}
    assert not any(best.iterdir())


def test_lock_waits_for_the_folder_and_goes_with_an_error(tmp_path):
    lock = RunLock(tmp_path / "run")
    with pytest.raises(KeyError), lock.held():
        assert not (tmp_path / "run").exists()
        (tmp_path / "run").mkdir()
        lock.claim()
        assert (tmp_path / "run" / LOCK_FILE).exists()
        raise KeyError
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "evaluate", "export", "all"])
def test_every_stage_is_refused_while_another_run_is_at_work(other, tiny_world, tmp_path, stage):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=f"found process {other.pid} on host"):
        run.run_stages(tiny_world, stage, WorkDirectory(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before
