"""What is killed loses nothing: runs and reproductions; and how that is counted and shown."""

import ast
import json
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.training.checksums import write_checksums
from tools import chaos
from tools.endurance import document, injected
from tools.endurance.reproduction_kills import ReproductionKills
from tools.endurance.snapshot import differences, take_snapshot

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _chaos(*arguments):
    command = [sys.executable, "tools/chaos.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_three_kills_change_nothing(tmp_path):
    # There is no terminal, and the path has spaces and letters beyond ASCII.
    folder = tmp_path / "läufe von heute"
    done = _chaos(
        *("--kills=3", "--method=simclr", "--phases=training,checkpoint,evaluation"),
        *("--parts=runs", f"--folder={folder}"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills in 1 runs" in done.stdout
    assert "1 of 1 runs ended as the undisturbed one, bit for bit" in done.stdout
    log = (folder / "run_1.log").read_text()
    assert log.count("has left its run.lock; taking over") == 3


def test_reproduction_that_is_killed_ends_as_the_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.txt"))
    fake = str(ROOT / "tests" / "tools" / "fake_reproduction.py")
    command = (sys.executable, fake, "--preset=cpu", "--artifact=table8")
    kills = ReproductionKills(tmp_path, random.Random(0), command)
    kills.kill(3)
    assert kills.kills.total() == 3 and kills.faults == []
    table8 = tmp_path / "undisturbed_reproduction" / "results" / "cpu" / "table8"
    found = (table8 / "records.json").read_text()
    assert len(json.loads(found)["records"]) > 10


@pytest.mark.parametrize("flag", ["--phases=training,lunch", "--parts=training,lunch"])
def test_unknown_phase_or_part_is_refused(flag, capsys):
    with pytest.raises(SystemExit) as exit_info:
        chaos.parse([flag])
    assert exit_info.value.code == 2 and "found 'training,lunch'" in capsys.readouterr().err


def test_kills_are_shared_out():
    assert chaos.kills_of_parts(100, chaos.PARTS) == {"runs": 90, "reproductions": 10}
    assert chaos.kills_of_parts(7, ("runs", "faults")) == {"runs": 7}
    assert chaos.kills_of_parts(7, ("faults",)) == {}


def test_every_fault_names_tests_that_there_are():
    for test in [test for fault in injected.FAULTS for test in fault.tests] + [injected.BAD_INPUTS]:
        file, _, function = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, test


def _write_report(path, *cases):
    lines = []
    for test, outcome in cases:
        module, _, name = test.partition("::")
        module = module.removesuffix(".py").replace("/", ".")
        inner = f"<{outcome}/>" if outcome else ""
        lines.append(f'<testcase classname="{module}" name="{name}">{inner}</testcase>')
    path.write_text(f"<testsuites><testsuite>{''.join(lines)}</testsuite></testsuites>")


def test_outcomes_of_tests_are_counted_by_fault_and_group(tmp_path):
    first = injected.FAULTS[0].tests[0]
    _write_report(
        tmp_path / "report.xml",
        (f"{first}[flipped]", ""),
        (f"{first}[emptied]", "failure"),
        (f"{first}[elsewhere]", "skipped"),
        (f"{injected.BAD_INPUTS}[flags-0]", ""),
        (f"{injected.BAD_INPUTS}[flags-1]", ""),
        (f"{injected.BAD_INPUTS}[data_directories-0]", "error"),
    )
    faults, bad_inputs = injected.read(tmp_path / "report.xml")
    assert (faults[0]["cases"], faults[0]["passed"], faults[1]["cases"]) == (2, 1, 0)
    counted = [(row["name"], row["passed"], row["cases"]) for row in bad_inputs]
    assert counted == [("flags", 2, 2), ("data directories", 0, 1)]
    # A fault that no test has injected is as bad as one that a test has not survived.
    troubles = chaos.troubles_of({}, (faults, bad_inputs))
    assert len(troubles) == len(faults) + 1
    assert troubles[-1] == "data directories: 0 of 1 tests passed"


def test_page_shows_the_record():
    text = document.PAGE.read_text(encoding="utf-8")
    assert document.with_tables(text, document.read_record()) == text


def test_tables_hold_what_the_record_says(tmp_path):
    runs = {"kills": 3, "places": {"export": 1, "training": 2}, "ended": 2, "alike": 1}
    fault = {"name": "a", "gives": "b", "cases": 4, "passed": 3, "tests": ["t.py"]}
    record = {
        "command": "python tools/chaos.py --kills=3",
        "wall_seconds": 90,
        "versions": dict.fromkeys(("tensorflow", "keras", "python"), "1"),
        "kills": {"runs": runs},
        "faults": [fault],
        "bad_inputs": [{"name": "flags", "gives": "c", "cases": 2, "passed": 2}],
    }
    page, path = tmp_path / "page.md", tmp_path / "record.json"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    document.write_record(record, path, page)
    text = page.read_text()
    assert document.with_tables(text, document.read_record(path)) == text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    for line in (
        "| a tiny run of all stages | 3 | training 2, export 1 | 1 of 2 |",
        "| `tools/reproduce.py` (Table 7, smoke) | -- | -- | -- |",
        "| a | 4 | 3 of 4: b | `t.py` |",
        "| flags | 2 | c |",
        "| together | 4 |  |  |",
        "Found by `python tools/chaos.py --kills=3` in 2 minutes, with TensorFlow 1, Keras 1, ",
    ):
        assert line in text


@pytest.fixture
def workdir(tmp_path):
    """Returns a function that writes what a run might leave."""

    def write(name, weight=1.0, train_seconds=1.0, accuracy=50.0, event="a"):
        path = tmp_path / name
        for folder in ("results", "tensorboard/pretrain", "checkpoints/pretrain/last"):
            (path / folder).mkdir(parents=True)
        (path / "config.json").write_text("{}")
        (path / "flags.txt").write_text("--seed=1\n")
        (path / "tensorboard" / "pretrain" / f"events.{event}").write_text(event)
        record = {"epochs": [{"accuracy": accuracy}], "train_seconds": train_seconds}
        (path / "results" / "pretrain.json").write_text(json.dumps(record))
        prefix = str(path / "checkpoints" / "pretrain" / "last" / "ckpt-1")
        tf.train.Checkpoint(weight=tf.Variable(np.float32(weight))).write(prefix)
        write_checksums(prefix)
        return path

    return write


def test_runs_that_differ_in_times_and_names_of_events_are_equal(workdir):
    one = take_snapshot(workdir("one"))
    other = take_snapshot(workdir("other", train_seconds=2.0, event="b"))
    assert differences(one, other) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            {"weight": np.nextafter(np.float32(1), np.float32(2))},
            "checkpoints/pretrain/last/ckpt-1",
        ),
        ({"accuracy": 50.1}, "results/pretrain.json"),
    ],
)
def test_difference_of_one_bit_is_found(workdir, change, name):
    one, other = take_snapshot(workdir("one")), take_snapshot(workdir("other", **change))
    assert differences(one, other) == [name]


def test_file_left_behind_is_found(workdir):
    one, path = take_snapshot(workdir("one")), workdir("other")
    (path / "results" / ".pretrain.json.77.tmp").write_text("half")
    assert differences(one, take_snapshot(path)) == ["files"]
