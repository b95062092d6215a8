"""What changes while a stage is stopped: other inputs are refused, other surroundings recorded."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.errors import RunError
from ascl_tf.training import fitting, provenance, run, run_data, tensorboard, trained
from ascl_tf.training.checkpoints import LAST, StageCheckpoints, read_spans
from ascl_tf.training.workdir import WorkDirectory
from tests.bad_input.case import contents
from tests.common import eagerly
from tests.methods import helpers

INPUTS = {"data_set": "photos", "data_sha256": "a", "validation_sha256": "b"}
OLD, NEW = ({"versions": {"keras": v, "python": "3.11"}, "num_replicas": 1} for v in "12")


def _begin(spans, inputs, surroundings, step):
    return provenance.begin_span(spans, inputs, surroundings, step=step, steps_per_epoch=10)


def test_span_begins_where_something_has_changed():
    spans = []
    assert _begin(spans, INPUTS, OLD, 0) == ""
    assert spans == [{"from_step": 1, "from_epoch": 1, **INPUTS, **OLD}]
    assert _begin(spans, INPUTS, OLD, 20) == "" and len(spans) == 1
    assert _begin(spans, INPUTS, NEW, 20) == "keras 2 (before: 1)"
    assert spans[1] == {"from_step": 21, "from_epoch": 3, **INPUTS, **NEW}
    assert _begin(spans, INPUTS, {**NEW, "num_replicas": 2}, 25) == "num_replicas 2 (before: 1)"
    assert (spans[2]["from_step"], spans[2]["from_epoch"]) == (26, 3)
    gone = {**NEW, "versions": {"keras": "2"}, "num_replicas": 2}
    assert _begin(spans, INPUTS, gone, 26) == "python unknown (before: 3.11)"


def test_steps_of_a_version_that_recorded_nothing_have_a_span_of_their_own():
    spans = []
    assert "keras 1 (before: unknown)" in _begin(spans, INPUTS, OLD, 7)
    assert spans[0] == {"from_step": 1, "from_epoch": 1}
    assert (spans[1]["from_step"], spans[1]["data_sha256"]) == (8, "a")
    provenance.check_inputs(spans[:1], INPUTS, "here")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"data_sha256": "c"}, r"training images of SHA-256 c \(recorded: a\)"),
        ({"validation_sha256": "c"}, r"validation images of SHA-256 c \(recorded: b\)"),
        ({"encoder_sha256": "d"}, r"encoder of SHA-256 d \(recorded: None\)"),
        ({"pseudo_labels_sha256": "e"}, r"pseudo labels of SHA-256 e \(recorded: None\)"),
    ],
)
def test_other_inputs_are_refused_with_both_hashes(changes, found):
    with pytest.raises(RunError, match=rf"here: expected .*; found {found}\. ") as error:
        provenance.check_inputs([{**INPUTS, **OLD}], {**INPUTS, **changes}, "here")
    assert len(str(error.value).splitlines()) == 1


def test_pseudo_labels_count_once_there_are_some():
    dataset = helpers.make_dataset(6)
    labels = np.arange(6, dtype=np.int32)[:, None]
    both = [
        provenance.with_pseudo_labels(INPUTS, dataclasses.replace(dataset, pseudo_labels=rows))
        for rows in (labels, labels[::-1])
    ]
    assert both[0] != both[1]
    assert provenance.with_pseudo_labels(INPUTS, dataset) == INPUTS
    provenance.check_inputs([both[0]], INPUTS, "before they are read")
    with pytest.raises(RunError, match="pseudo labels of SHA-256"):
        provenance.check_inputs([both[0]], both[1], "here")


def _load_other(name, split, **settings):
    return helpers.make_dataset(30 if split == "train" else 12, seed=7)


def test_run_refuses_other_data_and_records_other_versions(
    tiny_world, tmp_path, monkeypatch, capsys
):
    config = tiny_world.replace(method="standard", epochs=2, checkpoint_every=3)
    path = tmp_path / "run"

    def go_on():
        with eagerly():
            run.run_stages(config, cfg.PRETRAIN, WorkDirectory(path))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tensorboard.TensorBoardScalars, "on_train_batch_end", _stop_at_step_five)
        go_on()
    before = contents(path)
    expected = run.load_training_data(config)[0].sha256
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "load_dataset", _load_other)
        found = run.load_training_data(config)[0].sha256
        with pytest.raises(RunError, match=rf"stage pretrain: .* {found} \(recorded: {expected}"):
            go_on()
    assert contents(path) == before

    versions = {"python": "3.99", "tensorflow": "9"}
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "environment_versions", lambda: versions)
        go_on()
    out = capsys.readouterr().out
    assert out.count("warning: pretrain: continuing after step 4 with python 3.99 (before: ") == 1
    first, second = read_spans(path / "checkpoints" / cfg.PRETRAIN)
    assert (first["from_step"], first["from_epoch"]) == (1, 1)
    assert (second["from_step"], second["from_epoch"]) == (5, 2)
    assert second["versions"] == versions and second["num_replicas"] == 1
    assert first["data_sha256"] == second["data_sha256"] == expected
    record = json.loads((path / "results" / "pretrain.json").read_text())
    assert record["spans"] == [first, second] and record["data_sha256"] == expected

    go_on()  # To its end it has come already: the record stays that of what trained it.
    assert json.loads((path / "results" / "pretrain.json").read_text()) == record
    assert record["versions"] == versions and "warning:" not in capsys.readouterr().out


def _stop_at_step_five(self, batch, logs=None):
    if int(self.model.optimizer.iterations.numpy()) == 5:
        raise KeyboardInterrupt


@pytest.mark.slow  # Other data is refused above.
def test_fine_tuning_refuses_another_encoder(tiny_world, tmp_path):
    config = tiny_world.replace(
        method="standard", finetune="lsf", finetune_epochs=1, pretrained=str(tmp_path / "one")
    )
    for name, change in (("one", 0.0), ("two", 0.1)):
        start = WorkDirectory(tmp_path / name)
        start.begin_stage(cfg.PRETRAIN, cfg.identity_of(config, cfg.PRETRAIN), config)
        method = helpers.compile_tiny(helpers.make_method(config))
        method.encoder.conv.kernel.assign_add(tf.fill(method.encoder.conv.kernel.shape, change))
        StageCheckpoints(start.checkpoints(cfg.PRETRAIN), method).save(LAST)
    workdir = WorkDirectory(tmp_path / "run")
    run.run_stages(config, cfg.FINETUNE, workdir)
    (span,) = read_spans(workdir.checkpoints("finetune_lsf"))
    with pytest.raises(RunError, match=rf"encoder of SHA-256 .*recorded: {span['encoder_sha256']}"):
        run.run_stages(config.replace(pretrained=str(tmp_path / "two")), cfg.FINETUNE, workdir)
    # The same encoder elsewhere is the same.
    shutil.move(tmp_path / "one", tmp_path / "moved")
    moved = config.replace(pretrained=str(tmp_path / "moved"))
    run.run_stages(moved, cfg.FINETUNE, workdir)
    assert str(tmp_path) not in workdir.results("finetune_lsf").read_text()


def test_check_of_seen_images_knows_that_the_training_images_are_others(tiny_world, monkeypatch):
    test = trained.load_test_data(tiny_world)
    trained_on = run.load_training_data(tiny_world)[0].sha256
    assert run_data.explain_seen(tiny_world.data, tiny_world.run, test, trained_on) == ""
    monkeypatch.setattr(datasets, "load_dataset", _load_other)
    found = run_data.explain_seen(tiny_world.data, tiny_world.run, test, trained_on)
    assert trained_on in found and "cannot tell whether" in found
