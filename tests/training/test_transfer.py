"""A frozen encoder of a one-shot run under a new linear layer, as in the paper's Table 3."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.training import run, stages
from ascl_tf.training.workdir import WorkDirectory
from tests.training.worlds import eager_world


def _part(path, stage, part):
    """Returns name -> array of one part of a stage's last checkpoint."""
    prefix = tf.train.latest_checkpoint(str(path / "checkpoints" / stage / "last"))
    reader = tf.train.load_checkpoint(prefix)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(f"{part}/")
    }


@pytest.fixture
def config():
    with eager_world() as config:
        yield config.replace(method="at", finetune_epochs=1)


@pytest.mark.slow  # Three stages.
def test_one_shot_encoder_gets_a_new_linear_layer_and_stays_as_it_is(config, tmp_path):
    run.run_stages(config, cfg.PRETRAIN, WorkDirectory(tmp_path / "at"))
    before = _part(tmp_path / "at", cfg.PRETRAIN, "encoder")
    transfer = config.replace(pretrained=str(tmp_path / "at"), finetune="laf", protocol="standard")
    workdir = WorkDirectory(tmp_path / "transfer")
    for stage in (cfg.FINETUNE, cfg.EVALUATE):
        run.run_stages(transfer, stage, workdir)
    after = _part(tmp_path / "transfer", "finetune_laf", "encoder")
    assert set(after) == set(before) and len(before) > 5
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    heads = [
        _part(tmp_path / folder, stage, "linear_head")
        for folder, stage in (("at", cfg.PRETRAIN), ("transfer", "finetune_laf"))
    ]
    assert set(heads[0]) == set(heads[1])
    assert all(np.any(heads[0][name] != heads[1][name]) for name in heads[0])
    records = json.loads(workdir.results("evaluate_finetune_laf").read_text())["records"]
    assert {record["stage"] for record in records} == {"finetune_laf"}
    assert {record["checkpoint"] for record in records} == {"best", "last"}


def test_one_shot_method_without_pretrained_is_not_fine_tuned(tmp_path):
    config = cfg.Config(method="at")
    assert stages.classifier_stage(config) == cfg.PRETRAIN
    assert stages.classifier_stage(config.replace(pretrained=str(tmp_path))) == "finetune_laf"
