"""One row of every method, by the commands that tools/rows.py prints, shrunk by --smoke.

All in one process, first eagerly: tests/methods/test_step.py has the graph of every method's
step. The default run has one row; test_end_to_end.py has ASCL's. They run in a folder that has
nothing but a link to flags/, so that paths such as runs/table1/ascl lie there. The network has one
block in place of eight: rows differ in what is done with it. Where they run eagerly, weak views
stand for strong ones, which test_views.py has in all their settings, and test_end_to_end.py in a
run.
"""

import json
import math
import pathlib

import pytest

from ascl_tf import config as cfg
from ascl_tf import evaluate, train
from ascl_tf.evaluation.records import read_records
from ascl_tf.models import resnet
from ascl_tf.training import tensorboard
from tests.common import (
    eagerly,
    guess_durations,
    read_each_data_set_once,
    weak_views_for_strong,
)
from tests.flagfiles import ROOT, config_of, files_in
from tools.rows import commands, find_rows, pretrain_file

# In this order: some start from what another has left.
METHOD_ROWS = (
    "table1/at",
    "table1/trades",
    "table1/scl",
    "table1/simclr",
    "table1/rocl",
    "table1/rocl_rle",
    "table1/selfie",
    "table1/selfie_dpe",
    "table1/acl",
    "table1/advcl",
    "table1/ascl",
    "figure1/rotation_at",
    "figure2/standard",
    "beyond/mart",
    "beyond/dynacl",
    "beyond/dynacl_pp",
    "beyond/wscat",
    "fast/ascl",
)
# One that trains a classifier at once; that of test_end_to_end.py is fine-tuned.
QUICK_ROW = "table1/at"
# Rows whose fine-tuning and evaluation are those of another row, named here, but for the
# encoder that they start from: first they are only pre-trained.
LATER_AS_IN = {
    "table1/trades": "table1/at",
    "table1/simclr": "table1/scl",
    "table1/rocl": "table1/scl",
    "table1/selfie": "table1/ascl",
    "table1/advcl": "table1/ascl",
    "figure2/standard": "figure1/rotation_at",
    "beyond/mart": "table1/at",
    "beyond/wscat": "table1/at",
    "beyond/dynacl": "beyond/dynacl_pp",
}
PROTOCOL = "--protocol=standard,fgsm"
# The recipes' rates for LARS and large batches would leave a network of two channels dead.
SMALL = ["--smoke", "--num_replicas=1", "--learning_rate=0.1", PROTOCOL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows")
    (path / "flags").symlink_to(ROOT / "flags")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.BLOCKS_PER_STAGE, 18, (0, 0, 0, 1))
        read_each_data_set_once(patch)
        guess_durations(patch)
        # As many as a batch of --smoke has: views of another number need a graph of their own.
        patch.setattr(tensorboard, "NUM_PICTURES", 16)
        yield path


def _run(program, *arguments):
    if program == "ascl_tf.train":
        train.main(["train", *arguments, *SMALL])
    else:
        small = ["--dataset=bundled", "--image_size=16", "--num_images=20"]
        evaluate.main(["evaluate", *arguments, *small, PROTOCOL])


def _check_training_record(file):
    record = json.loads(file.read_text())
    (epoch,) = record["epochs"]
    losses = {name: value for name, value in epoch.items() if name.endswith("loss")}
    assert losses and all(map(math.isfinite, losses.values())), losses
    assert epoch["step"] == 2


def _run_row(row, *, whole):
    """Runs the pre-training of a row, and all else of its first classifier where it is `whole`."""
    for _, _, program, flagfile, *more in _first_classifier(commands(row)) if whole else ():
        _run(program, flagfile, *more)
    if not whole:
        _run("ascl_tf.train", f"--flagfile={pretrain_file(row)}")
    workdir = pathlib.Path(config_of(pretrain_file(row)).workdir)
    _check_training_record(workdir / "results" / "pretrain.json")


def _first_classifier(commands):
    """Returns the commands to the first evaluation: others differ in settings only."""
    ends = ["/evaluate" in command[3] for command in commands]
    return commands[: ends.index(True) + 1]


def _check_later_stages(row):
    results = pathlib.Path("runs", row, "results")
    for file in results.glob("finetune_*.json"):
        _check_training_record(file)
    (evaluated,) = results.glob("evaluate_*.json")
    for record in read_records(evaluated):
        assert record["num_images"] == 20
        assert 0 <= record["robust_accuracy"] <= record["standard_accuracy"] <= 100


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if row == QUICK_ROW else pytest.mark.slow) for row in METHOD_ROWS],
)
def test_row_runs_from_its_flagfiles(row, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with eagerly(), weak_views_for_strong():
        _run_row(row, whole=row not in LATER_AS_IN)
    if row not in LATER_AS_IN:
        _check_later_stages(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", LATER_AS_IN)
def test_row_runs_to_its_end(row, folder, monkeypatch):
    monkeypatch.chdir(folder)
    _run_row(row, whole=True)
    _check_later_stages(row)


@pytest.mark.parametrize("row, other", LATER_AS_IN.items())
def test_later_stages_are_those_of_the_other_row(row, other, monkeypatch):
    monkeypatch.chdir(ROOT)
    for stage in (cfg.FINETUNE, cfg.EVALUATE):
        ours, others = (_later_settings(name, stage) for name in (row, other))
        assert ours == others


def _later_settings(row, stage):
    """Returns what a stage's first flagfile sets for fine-tuning, and whether it is there."""
    configs = [config_of(path) for path in files_in(f"flags/{row}", stage)[:1]]
    return [(c.finetune, c.finetune_loss, c.finetune_natural_branch) for c in configs]


def test_one_row_of_every_method_with_rows_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    methods = {config_of(pretrain_file(row)).method for row in METHOD_ROWS}
    assert methods == {config_of(pretrain_file(row)).method for row in find_rows()}
    assert {row for row in find_rows() if row.startswith("table1/")} <= set(METHOD_ROWS)
