"""The work directory: what it records, and what it refuses."""

import json
import os
import platform
import re

import pytest

from ascl_tf import config as cfg
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.program.flag_defs import define_flags, parse
from ascl_tf.training import workdir as module
from ascl_tf.training.workdir import WorkDirectory, recorded_config
from tests.methods.helpers import TINY

CONFIG = TINY.replace(
    epsilon=cfg.Fraction("6/255"), gaussian_blur=True, pretrained="a folder/with spaces"
)


@pytest.fixture
def workdir(tmp_path):
    directory = WorkDirectory(tmp_path / "deep" / "run")
    directory.begin_stage(cfg.PRETRAIN, cfg.identity_of(CONFIG, cfg.PRETRAIN), CONFIG)
    return directory


def test_nothing_is_made_before_a_stage_begins(tmp_path):
    WorkDirectory(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_recorded_settings_come_back_whole(workdir):
    assert recorded_config(workdir.path) == CONFIG
    assert recorded_config(workdir.path).epsilon.text == "6/255"


def test_folder_without_a_run_has_no_settings(tmp_path):
    assert recorded_config(tmp_path) is None


def test_flagfile_repeats_the_run(workdir):
    values = define_flags(*cfg.sections())
    explicit = parse(values, ["train", f"--flagfile={workdir.path / 'flags.txt'}"])
    assert cfg.Config().replace(**explicit) == CONFIG


def test_same_settings_may_begin_again(workdir):
    before = (workdir.path / "config.json").read_text()
    workdir.begin_stage(cfg.PRETRAIN, cfg.identity_of(CONFIG, cfg.PRETRAIN), CONFIG)
    assert (workdir.path / "config.json").read_text() == before


def test_other_settings_are_refused_by_name_and_nothing_is_overwritten(workdir):
    other = CONFIG.replace(learning_rate=0.75, epsilon=cfg.Fraction("4/255"))
    before = {p: p.read_bytes() for p in workdir.path.iterdir()}
    pattern = (
        r"stage pretrain: expected the flags with which it began; found "
        r"`epsilon=4/255` \(recorded: 6/255\), `learning_rate=0.75` \(recorded: 0.05\)"
    )
    with pytest.raises(ConfigError, match=pattern):
        workdir.begin_stage(cfg.PRETRAIN, cfg.identity_of(other, cfg.PRETRAIN), other)
    assert {p: p.read_bytes() for p in workdir.path.iterdir()} == before


def test_flags_of_another_stage_and_of_reporting_may_differ(workdir):
    other = CONFIG.replace(finetune_learning_rate=0.9, log_every=77, checkpoint_every=5)
    workdir.begin_stage(cfg.PRETRAIN, cfg.identity_of(other, cfg.PRETRAIN), other)
    workdir.begin_stage("finetune_laf", cfg.identity_of(other, cfg.FINETUNE), other)
    assert set(workdir.stage_identities()) == {"pretrain", "finetune_laf"}
    assert recorded_config(workdir.path).finetune_learning_rate == 0.9


def test_place_of_data_and_of_other_runs_may_change(tmp_path):
    config = CONFIG.replace(dataset="folder:/one/photos", unlabeled_dataset="folder:/one/more")
    directory = WorkDirectory(tmp_path / "run")
    directory.begin_stage("finetune_laf", cfg.identity_of(config, cfg.FINETUNE), config)
    # As versions before have recorded it, from another working directory.
    document = json.loads((directory.path / "config.json").read_text())
    document["stages"]["finetune_laf"] |= {"dataset": "folder:data/photos/", "pretrained": "a/b"}
    (directory.path / "config.json").write_text(json.dumps(document))
    moved = config.replace(dataset="folder:/two/photos", pretrained="/somewhere/else")
    directory.begin_stage("finetune_laf", cfg.identity_of(moved, cfg.FINETUNE), moved)
    assert recorded_config(directory.path).dataset == "folder:/two/photos"
    assert "/two" not in json.dumps(directory.stage_identities())
    other = config.replace(dataset="folder:/two/pictures")
    with pytest.raises(ConfigError, match="`dataset=folder:pictures` .recorded: folder:photos"):
        directory.check_stage("finetune_laf", cfg.identity_of(other, cfg.FINETUNE))


def test_environment_names_versions_and_no_host_or_user(workdir):
    text = (workdir.path / "environment.json").read_text()
    environment = json.loads(text)
    assert {"tensorflow", "keras"} <= set(environment["versions"])
    assert environment["devices"] and environment["num_cpus"] == os.cpu_count()
    commit = environment["commit"]
    assert commit is None or re.fullmatch("[0-9a-f]{40}(-dirty)?", commit)
    assert set(environment) == {"versions", "commit", "devices", "machine", "num_cpus"}
    assert platform.node() not in text.replace(environment["machine"], "")


def test_checkout_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "a" / "b" / "workdir.py"))
    assert module.describe_environment()["commit"] is None


def test_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match=r"`workdir=.*run`: expected a folder that can be written"):
        WorkDirectory(tmp_path / "run")
    with pytest.raises(RunError, match=r"`workdir=.*below`: expected a folder"):
        WorkDirectory(tmp_path / "run" / "below")
    assert (tmp_path / "run").read_text() == "mine"


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    directory = WorkDirectory(tmp_path / "run")
    (tmp_path / "run").write_text("in between")
    with pytest.raises(RunError, match=r"`workdir=.*run`: expected a folder that can be written"):
        directory.make()


@pytest.mark.parametrize(
    "text, found", [("{", "expected the settings of a run"), ("[1]", "expected a JSON object")]
)
def test_garbled_settings_are_refused(tmp_path, text, found):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=rf"config.json: {found}"):
        recorded_config(tmp_path)


def test_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "record.json"
    module.write_text(path, "old")
    monkeypatch.setattr(module.os, "replace", _fail)
    with pytest.raises(OSError, match="power cut"):
        module.write_text(path, "new")
    assert path.read_text() == "old"


def _fail(source, target):
    raise OSError("power cut")


def test_formats_of_another_type_are_refused_in_one_line(workdir):
    file = workdir.path / "config.json"
    document = json.loads(file.read_text())
    document["stages"][cfg.PRETRAIN]["formats"] = 3
    file.write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"config.json: expected `formats` to be an object; found "):
        workdir.check_stage(cfg.PRETRAIN, cfg.identity_of(CONFIG, cfg.PRETRAIN))
