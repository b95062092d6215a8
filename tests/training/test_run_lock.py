"""One run at a time in a work directory; what a dead one has left is taken over."""

import json
import pathlib
import subprocess
import sys

import pytest

from ascl_tf.errors import RunError
from ascl_tf.training import run
from ascl_tf.training.run_lock import FILE, RunLock
from ascl_tf.training.workdir import WorkDirectory

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOLD = """
import sys
from ascl_tf.training.run_lock import RunLock

with RunLock(sys.argv[1]).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path` until it is ended."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_second_run_is_refused_and_told_who_is_first(other, tmp_path):
    host = json.loads((tmp_path / FILE).read_text())["host"]
    with pytest.raises(RunError, match=rf"found process {other.pid} on host {host} at work") as e:
        with RunLock(tmp_path).held():
            raise AssertionError("two runs hold one lock")
    assert str(tmp_path) in str(e.value) and len(str(e.value).splitlines()) == 1
    assert (tmp_path / FILE).exists()


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


def test_lock_of_a_living_process_of_another_host_is_respected(tmp_path):
    (tmp_path / FILE).write_text('{"host": "elsewhere", "holders": [[1, 1]]}')
    with pytest.raises(RunError, match="process 1 on host elsewhere"), RunLock(tmp_path).held():
        pass


@pytest.mark.parametrize("content", ["", "[]", '{"host": 1}', '{"host": "a", "holders": [["x"]]}'])
def test_unreadable_lock_is_taken_over(tmp_path, content, capsys):
    (tmp_path / FILE).write_text(content)
    with RunLock(tmp_path).held():
        assert "an unknown process" in capsys.readouterr().out
    assert not (tmp_path / FILE).exists()


def test_lock_waits_for_the_folder_and_goes_with_an_error(tmp_path):
    lock = RunLock(tmp_path / "run")
    with pytest.raises(KeyError), lock.held():
        assert not (tmp_path / "run").exists()
        (tmp_path / "run").mkdir()
        lock.claim()
        assert (tmp_path / "run" / FILE).exists()
        raise KeyError
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("stage", ["pretrain", "finetune", "evaluate", "export", "all"])
def test_every_stage_is_refused_while_another_run_is_at_work(other, tiny_world, tmp_path, stage):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=f"found process {other.pid} on host"):
        run.run_stages(tiny_world, stage, WorkDirectory(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before
