"""`python -m ascl_tf.evaluate --compare=a.json,b.json`: a table, a file, one line on bad input."""

import json
import os
import re

import numpy as np
import pytest

from ascl_tf import evaluate
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.comparison import compare_files
from ascl_tf.evaluation.records import read_records, write_records
from ascl_tf.program import flag_defs
from tests.evaluation import models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of two linear models, a.json and b.json; of one without verdicts, old.json."""
    place = tmp_path_factory.mktemp("records, of two")
    images, labels, weights, bias = models.linear_problem(num_images=40, seed=3)
    noise = np.random.default_rng(0).normal(size=weights.shape).astype(np.float32)
    for name, chosen in (("a", weights), ("b", weights + noise / 4)):
        logits_fn = models.linear_logits(chosen, bias)
        measured = evaluate_robustness(logits_fn, (images, labels), ["standard", "fgsm"])
        write_records(place / f"{name}.json", measured)
    old = [{k: v for k, v in r.items() if k != "verdicts"} for r in measured]
    write_records(place / "old.json", old)
    write_records(place / "pgd.json", [measured[0] | {"protocol": "pgd20"}])
    return place


@pytest.fixture
def _there(folder, tmp_path, monkeypatch):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")


def _run(*flags):
    evaluate.main(["ascl-evaluate", *[f"--{flag}" for flag in flags]])


@pytest.mark.usefixtures("_there")
def test_table_has_a_row_for_each_protocol_that_both_files_have(capsys, monkeypatch):
    # A comparison works in any process of a cluster.
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    _run("compare=a.json,b.json")
    printed = capsys.readouterr().out
    assert printed.startswith("A: a.json\nB: b.json\n") and "arrays, 40 images" in printed
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    for comparison in compare_files("a.json", "b.json"):
        low, high = comparison["interval"]
        assert rows[comparison["a"]["protocol"]] == [
            f"{comparison['a']['accuracy']:.2f}",
            f"{comparison['b']['accuracy']:.2f}",
            f"{comparison['difference']:+.2f}",
            f"{low:+.2f}",
            "to",
            f"{high:+.2f}",
            f"{comparison['p_value']:.2g}",
        ]
    assert sorted(os.listdir()) == ["a.json", "b.json", "old.json", "pgd.json"]


@pytest.mark.usefixtures("_there")
def test_comparisons_are_written_and_replaced_and_nothing_else_is(folder):
    path = folder / "a.json"
    for _ in range(2):
        # A comma in a path that exists separates nothing.
        _run(f"compare={path},b.json", "output=c.json")
    with open("c.json", encoding="utf-8") as file:
        assert json.load(file) == {"comparisons": compare_files(path, "b.json")}


@pytest.mark.usefixtures("_there")
def test_checkpoints_are_shown(capsys):
    records = [r | {"checkpoint": "best"} for r in read_records("a.json")]
    write_records("a.json", records)
    _run("compare=b.json,a.json")
    assert "fgsm, best" in capsys.readouterr().out


@pytest.mark.usefixtures("_there")
@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (["compare=a.json"], 2, r"--compare: expected two record files, .*; found 1"),
        (["compare=a.json,b.json,a.json"], 2, r"--compare: expected two record files, .*; found 3"),
        (
            ["compare=a.json,b.json", "model=x"],
            2,
            r"--compare: expected no flag beside it but --output; found --model",
        ),
        (["compare=a.json,b.json", "seed=0"], 2, r"--compare: expected .*; found --seed"),
        (["compare=a.json,pgd.json"], 1, r"pgd\.json: expected a record with a protocol of a\.js"),
        (["compare=a.json,old.json"], 1, r"old\.json, standard: expected a verdict on each of its"),
        (["compare=a.json,absent.json"], 1, r"absent\.json: expected a record file; no such file"),
        (["compare=a.json,b.json", "output=a.json"], 1, r"a\.json: expected a new file, or compa"),
        (["compare=a.json,b.json", "output=."], 1, r"--output=\.: expected a file; found a folder"),
    ],
)
def test_bad_input_gives_one_line_and_its_status(flags, status, message, capsys):
    before = {name: os.path.getsize(name) for name in os.listdir()}
    argv = ["ascl-evaluate", *[f"--{flag}" for flag in flags]]
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, argv)
    assert exit_info.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error), error
    assert {name: os.path.getsize(name) for name in os.listdir()} == before
