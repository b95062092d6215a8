"""Runs work wherever they are: foreign paths and users, no home, a clock that goes back."""

import itertools
import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import termios
import time

import pytest

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.errors import ConfigError
from ascl_tf.training import callbacks, run
from ascl_tf.training.workdir import WorkDirectory, recorded_config

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _seconds_in(value, is_time=False):
    """Returns every number in a JSON value that is a time, by its name."""
    if isinstance(value, dict):
        items = [(v, is_time or k.endswith("seconds")) for k, v in value.items()]
        return [s for item in items for s in _seconds_in(*item)]
    if isinstance(value, list):
        return [s for item in value for s in _seconds_in(item, is_time)]
    return [value] if is_time else []


@pytest.mark.slow  # All stages.
def test_all_stages_in_a_long_path_without_a_home_on_forty_columns_while_the_clock_goes_back(
    tiny_world, tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("API_TOKEN", "the-secret-token")
    # An hour back with every look at it.
    hours = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1.7e9 - 3600 * next(hours))
    folder = tmp_path
    for name in ("mit Leerzeichen", "größe", "モデル", "a'b\"c", *(200 * c for c in "xyzuvw")):
        folder /= name
    config = tiny_world.replace(method="standard", epochs=1, protocol="standard")
    run.run_stages(config, "all", WorkDirectory(folder))
    assert (folder / "export" / "pretrain" / "saved_model.pb").is_file()
    assert str(folder / "results") in capsys.readouterr().out
    records = [json.loads(path.read_text()) for path in (folder / "results").iterdir()]
    times = _seconds_in(records)
    assert len(times) >= 2 and all(0 <= seconds < 600 for seconds in times)
    (record,) = json.loads((folder / "results" / "evaluate_pretrain.json").read_text())["records"][
        :1
    ]
    assert "seen_in_training" in record["checks_passed"]
    texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(b"the-secret-token" in text for text in texts)
    # What was left is found again.
    run.run_stages(config, "pretrain", WorkDirectory(folder))
    assert "continuing after step 4" in capsys.readouterr().out


def test_changed_working_directory_changes_nothing(tiny_world, tmp_path, monkeypatch, capsys):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    on_epoch_end = callbacks.Validate.on_epoch_end

    def leave(self, epoch, logs=None):
        os.chdir(tmp_path / "there")
        on_epoch_end(self, epoch, logs)

    config = tiny_world.replace(method="standard", epochs=1, protocol="standard")
    workdir = WorkDirectory("run")
    with monkeypatch.context() as context:
        context.setattr(callbacks.Validate, "on_epoch_end", leave)
        run.run_stages(config, "pretrain", workdir)
    assert pathlib.Path.cwd().name == "there" and list(pathlib.Path.cwd().iterdir()) == []
    run.run_stages(config, "evaluate", WorkDirectory("../here/run"))
    names = {path.name for path in (tmp_path / "here" / "run").rglob("*")}
    assert {"pretrain.json", "evaluate_pretrain.json"} <= names and "run.lock" not in names


def test_recorded_folder_of_data_is_found_from_anywhere(tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "run_stages", lambda config, *_: found.append(config))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = []
    train.main(["train", "--dataset=bundled", "--data_dir=sets", "--workdir=run"])
    assert found[0].data_dir == str(tmp_path / "sets") and recorded_config("run") is None
    places = ["--dataset=folder:data/set", "--unlabeled_dataset=folder:~/more", "--pretrained=a/b"]
    train.main(["train", *places, "--method=dynacl_pp", "--initial_encoder=../c", "--workdir=run"])
    assert found[1].dataset == f"folder:{tmp_path}/data/set"
    assert found[1].unlabeled_dataset == f"folder:{tmp_path}/home/more"
    assert found[1].pretrained == f"{tmp_path}/a/b"
    assert found[1].initial_encoder == f"{tmp_path.parent}/c"
    for stage in cfg.STAGES:
        assert str(tmp_path) not in str(cfg.identity_of(found[1], stage))


@pytest.fixture
def package():
    """A read-only copy of the package beside a folder `run` that everyone may write into."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="für alle "))
    folder.chmod(0o755)
    for name in ("ascl_tf", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    paths = [path for path in folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "run").mkdir()
    (folder / "run").chmod(0o777)
    yield folder
    for path in paths:
        path.chmod(0o755)
    shutil.rmtree(folder)


def _read_terminal(descriptor):
    """Returns what was written to a terminal until its last writer has gone."""
    parts = []
    try:
        while part := os.read(descriptor, 4096):
            parts.append(part)
    except OSError:  # Linux says so when nobody writes any more.
        pass
    return b"".join(parts).decode("utf-8", "replace")


@pytest.mark.slow  # Another one has a long path and no home.
def test_user_without_rights_or_home_runs_a_read_only_package(package):
    reading, writing = pty.openpty()
    termios.tcsetwinsize(writing, (24, 40))
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "CUDA_VISIBLE_DEVICES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.odd_user", str(package / "run")],
        env={**kept, "PYTHONPATH": str(package), "TERM": "xterm"},
        cwd=package / "run",
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=writing,
    )
    os.close(writing)
    said = _read_terminal(reading)
    os.close(reading)
    status = process.wait(timeout=120)
    assert status == 0, said
    left = {path.name for path in (package / "run").rglob("*")}
    assert {"pretrain.json", "evaluate_pretrain.json", "saved_model.pb"} <= left
    assert "Traceback" not in said and "exported model" in said


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?", "back\\slash"])
def test_path_that_tensorflow_would_take_for_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(
        ConfigError, match=r"`workdir=.*`: expected a path without \* \? \[ \] "
    ) as e:
        WorkDirectory(tmp_path / name / "run")
    assert len(str(e.value).splitlines()) == 1 and list(tmp_path.iterdir()) == []
