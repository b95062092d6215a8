"""One epoch of every method: what is measured and what the record says."""

import json
import sys

import numpy as np
import pytest

from ascl_tf import train
from ascl_tf.methods import factory
from tests.common import eagerly, weak_views_for_strong
from tests.methods import helpers
from tools import one_epoch, rows
from tools.measured_process import run_measured


def test_tenths_of_the_steps():
    assert one_epoch.describe_steps(np.arange(20.0)) == {
        "num_steps": 20,
        "first_tenth_loss": 0.5,
        "last_tenth_loss": 18.5,
        "is_finite": True,
    }


def test_one_infinite_loss_is_told():
    losses = np.array([1.0, np.inf, 2.0])
    assert not one_epoch.describe_steps(losses)["is_finite"]


def test_memory_is_that_of_the_command_not_of_its_parent():
    ballast = np.ones(60_000_000)  # 480 MB in this process.
    small = run_measured([sys.executable, "-c", "raise SystemExit(3)"])
    large = run_measured([sys.executable, "-c", "x = b'1' * 200_000_000"])
    assert ballast.all()
    assert (small["exit_status"], large["exit_status"]) == (3, 0)
    assert small["peak_memory_bytes"] < 100e6 < 200e6 < large["peak_memory_bytes"] < 300e6
    assert 0 < small["wall_seconds"] < 60


def test_rows_are_found_by_name_and_by_folder():
    assert rows.named_rows(["acl", "table8/acl_same"]) == ["table1/acl", "table8/acl_same"]
    assert rows.named_rows([]) == list(rows.METHOD_ROWS)
    with pytest.raises(ValueError, match=r"--rows: expected a row .*; found 'nonsense'"):
        rows.named_rows(["nonsense"])


def test_row_knows_the_run_that_it_starts_from():
    assert rows.rows_before("table1/advcl") == {"pseudo_label_encoder": "table1/simclr"}
    assert rows.rows_before("beyond/dynacl_pp") == {"initial_encoder": "beyond/dynacl"}
    assert rows.rows_before("table1/acl") == {}


def test_rows_are_one_of_every_method():
    configs = [rows.row_config(row) for row in rows.METHOD_ROWS]
    methods = [config.method for config in configs if not config.awp_gamma]
    assert sorted(methods) == sorted({rows.row_config(row).method for row in rows.find_rows()})


@pytest.fixture
def in_this_process(monkeypatch):
    """Trains a tiny encoder without a second start of TensorFlow; returns the commands."""
    commands = []

    def run(command, cwd):
        commands.append(command)
        monkeypatch.chdir(cwd)
        # A second strategy over two devices would clash with that of other tests.
        with eagerly(), weak_views_for_strong():
            train.main(["train", *command[3:], "--num_replicas=1"])
        return {"exit_status": 0, "wall_seconds": 2.0, "peak_memory_bytes": 3}

    monkeypatch.setattr(one_epoch, "run_measured", run)
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    return commands


@pytest.mark.slow  # test_rows_smoke.py trains a row.
def test_row_is_trained_recorded_and_not_trained_again(tmp_path, in_this_process):
    arguments = ["--rows=scl", "--smoke", "--dataset=bundled"]
    arguments += [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'results'}"]
    one_epoch.main(arguments)
    text = (tmp_path / "results" / "scl.json").read_text()
    record = json.loads(text)
    assert record["method"] == "scl" and record["row"] == "table1/scl"
    assert record["is_finite"] and record["num_steps"] == 2
    assert record["first_tenth_loss"] > 0 and record["peak_memory_bytes"] == 3
    assert str(tmp_path) not in text and "--flagfile=flags/base/one_epoch.flags" in text
    one_epoch.main(arguments)
    assert len(in_this_process) == 1


def test_failed_row_is_named_and_leaves_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(one_epoch, "run_measured", lambda command, cwd: {"exit_status": 1})
    arguments = ["--rows=scl", f"--runs={tmp_path}", f"--output={tmp_path}"]
    with pytest.raises(SystemExit, match="no record of table1/scl"):
        one_epoch.main(arguments)
    assert not list(tmp_path.iterdir())


def test_row_without_the_run_that_it_starts_from_makes_that_first(tmp_path, monkeypatch):
    trained = []

    def train_row(row, arguments):
        trained.append(row)

    monkeypatch.setattr(one_epoch, "train_row", train_row)
    with pytest.raises(SystemExit):
        one_epoch.main(["--rows=advcl", f"--runs={tmp_path}", f"--output={tmp_path}"])
    assert trained == ["table1/simclr"]
