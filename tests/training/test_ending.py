"""What a run shows at its end, in windows of any width and without one."""

import shlex
import sys

import pytest
from rich.console import Console

from ascl_tf.config import Config
from ascl_tf.evaluation import display, records
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.process import terminal
from ascl_tf.training import ending
from ascl_tf.training.workdir import WorkDirectory


def _record(checkpoint, protocol="pgd20", **fields):
    found = dict.fromkeys(records.REQUIRED_FIELDS, "") | {
        "checkpoint": checkpoint,
        "protocol": protocol,
        "epsilon": "8/255",
        "standard_accuracy": 34.999,
        "robust_accuracy": 22.0,
        "wall_seconds": 3.0,
        "data_set": "bundled",
        "data_sha256": "a",
        "num_images": 1000,
        "checks": [],
    }
    return found | fields


def _rows(capsys):
    """Returns the cells of the rows of a table in which no name is folded, joined."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("columns", [None, 40, 120])
def test_accuracies_stand_beside_chance(columns, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    ending.print_accuracies([_record("best"), _record("last")], num_classes=3)
    out = capsys.readouterr().out
    rows = [" ".join(line.split()) for line in out.splitlines()]
    best = "best pgd20 35.00 22.00" if columns == 40 else "best pgd20 8/255 35.00 22.00 3.0"
    assert best in rows and "chance 33.33 33.33" in rows
    assert all(len(line) <= (columns or 80) for line in out.splitlines())
    assert "\x1b" not in out


def test_numbers_come_with_their_precision_and_those_of_smoke_with_a_notice(capsys):
    ending.print_accuracies([_record("best", num_images=100)], 3, is_smoke=True)
    told = capsys.readouterr().out
    assert "95 % interval of each: at most ± 9.8 points" in told
    assert "notice: --smoke: too short to learn anything" in told


def test_evaluation_shows_chance_where_classes_are_known(capsys):
    display.print_summary([_record("best")], Console(), 4)
    assert "chance 25.00 25.00" in [row.removeprefix("best ") for row in _rows(capsys)]
    display.print_summary([_record("best")], Console(), None)
    assert "chance" not in capsys.readouterr().out


def test_untrained_encoder_is_shown_where_it_was_measured_on_the_same(tmp_path, capsys):
    file = tmp_path / "untrained.json"
    others = [
        _record("best", robust_accuracy=10.0),
        _record("best", "fgsm"),
        _record("best", num_images=20),
        _record("last"),
    ]
    records.write_records(file, others)
    ending.print_accuracies([_record("best")], 10, file)
    shown = [row for row in _rows(capsys) if row.startswith(ending.UNTRAINED)]
    assert shown == ["untrained encoder pgd20 8/255 35.00 10.00 3.0"]
    file.write_text("damaged")
    for path in (file, tmp_path / "absent.json", None):
        ending.print_accuracies([_record("best")], 10, path)
        assert ending.UNTRAINED not in capsys.readouterr().out


def _next(tmp_path, capsys, done, classifier="finetune_laf", config=None):
    workdir = WorkDirectory(tmp_path / "my run")
    ending.print_ending(config or Config(), workdir, classifier, done)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"tensorboard --logdir '{workdir.path}/tensorboard'")
    begin = next(i for i, line in enumerate(lines) if line.startswith("next:"))
    commands = [shlex.split(line[16:]) for line in lines[begin:]]
    assert all(words[1] == "-m" for words in commands)
    return [words[2:] for words in commands], workdir


@pytest.mark.parametrize(
    ("done", "classifier", "following"),
    [
        ("pretrain", "finetune_laf", "finetune"),
        ("pretrain", "pretrain", "evaluate"),
        ("finetune", "finetune_laf", "evaluate"),
        ("evaluate", "finetune_laf", "export"),
    ],
)
def test_the_next_stage_is_named(done, classifier, following, tmp_path, capsys):
    commands, workdir = _next(tmp_path, capsys, done, classifier)
    assert commands == [["ascl_tf.train", f"--stage={following}", f"--workdir={workdir.path}"]]


def test_what_the_work_directory_does_not_say_is_in_the_command(tmp_path, capsys):
    ((*_, last),), _ = _next(tmp_path, capsys, "evaluate", config=Config(finetune="lsf"))
    assert last == "--finetune=lsf"


def test_an_exported_model_is_predicted_with_and_attacked(tmp_path, capsys):
    model = tmp_path / "my run" / "export" / "finetune_laf"
    model.mkdir(parents=True)
    config = Config(dataset="bundled", data_dir="/data sets")
    (predict, evaluate), _ = _next(tmp_path, capsys, "export", config=config)
    assert predict == ["ascl_tf.predict", f"--model={model}", "picture.png"]
    assert evaluate[:2] == ["ascl_tf.evaluate", f"--model={model}"]
    assert get_protocol(evaluate[2].removeprefix("--protocol=")).kind == "autoattack"
    # What the run has recorded of its images is taken over where they are named.
    assert evaluate[3:] == ["--dataset=bundled", "--data_dir=/data sets"]


@pytest.mark.parametrize("found", [None, sys.executable, "/usr/bin/python-of-others"])
def test_interpreter_is_called_by_its_name_where_that_finds_it(found, monkeypatch):
    monkeypatch.setattr(terminal.shutil, "which", lambda name: found)
    expected = "python" if found == sys.executable else sys.executable
    assert terminal.python_command() == expected
