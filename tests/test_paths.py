"""`~` in flags is a home folder, and a comma in a path that exists separates nothing."""

import dataclasses
import pathlib

import pytest

from ascl_tf import analyze
from ascl_tf.config import Config, paths, sections, setting_fields
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.model_ensemble import member_paths
from ascl_tf.program import flag_defs
from ascl_tf.program.evaluate_settings import EvaluateConfig
from ascl_tf.program.named_models import named_paths

PROGRAMS = (Config, EvaluateConfig, analyze.AnalyzeConfig)


def _fields_of(program):
    return list(setting_fields().values()) if program is Config else dataclasses.fields(program)


# Flags whose text is no path although it is free.
NOT_PATHS = {
    *("decay_at", "finetune_decay_at", "num_clusters", "protocol", "validation_protocol"),
    *("memory_limit", "export_format"),
    *("method", "split", "training_split", "train_split", "validation_split", "test_split"),
}


@pytest.fixture(autouse=True)
def _home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(
    ("kind", "text", "expanded"),
    [
        (paths.PATH, "~/runs/x", "/home/me/runs/x"),
        (paths.PATH, "~", "/home/me"),
        (paths.PATH, "~root/x", "/root/x"),
        (paths.PATH, "runs/~x", "runs/~x"),
        (paths.PATH, "./~", "./~"),
        (paths.PATH, "", ""),
        (paths.DATASET, "folder:~/data/a", "folder:/home/me/data/a"),
        (paths.DATASET, "cifar10", "cifar10"),
        (paths.PATHS, "~/a,~/b", "/home/me/a,/home/me/b"),
        (paths.PATHS, "at=~/a, ascl = ~/b", "at=/home/me/a, ascl = /home/me/b"),
        (paths.PATHS, "at=/runs/rate=~1/x", "at=/runs/rate=~1/x"),
    ],
)
def test_home_folder_takes_the_place_of_a_tilde(kind, text, expanded):
    assert paths.expand(text, kind) == expanded


def test_unknown_users_and_other_encodings_are_refused():
    with pytest.raises(ValueError, match=r"known user; found '~nobody_here'"):
        paths.expand("~nobody_here/x")
    with pytest.raises(ValueError, match=r"UTF-8; found b'runs/\\xff'"):
        paths.expand("runs/\udcff")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_flag_of_free_text_says_whether_it_is_a_path(program):
    for field in _fields_of(program):
        is_free = isinstance(field.default, str) and not field.metadata["choices"]
        is_path = bool(field.metadata["path"])
        assert is_path == (is_free and field.name not in NOT_PATHS), field.name


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_path_flag_expands_what_it_is_given(program):
    values = flag_defs.define_flags(*(sections() if program is Config else [program]))
    fields = [field for field in _fields_of(program) if field.metadata["path"]]
    before = {paths.DATASET: "folder:"}
    texts = {field.name: before.get(field.metadata["path"], "") for field in fields}
    argv = [f"--{name}={text}~/x" for name, text in texts.items()]
    found = flag_defs.parse(values, ["program", *argv])
    assert found == {name: f"{text}/home/me/x" for name, text in texts.items()}
    for name, text in texts.items():
        with pytest.raises(ConfigError, match=f"--{name}: expected ~ or ~user .*~nobody_here"):
            flag_defs.parse(values, ["program", f"--{name}={text}~nobody_here/x"])


def test_argparse_arguments_get_a_path():
    assert paths.expanded_path("~/x") == pathlib.Path("/home/me/x")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "lr=0.1,wd=1e-4/export", "x,y", "c=d"):
        pathlib.Path(name).mkdir(parents=True)


def test_commas_and_equals_signs_in_paths_that_exist_are_kept(runs):
    odd = "lr=0.1,wd=1e-4/export"
    assert member_paths(f"{odd},x,y,a") == [odd, "x,y", "a"]
    assert member_paths("a, b,") == ["a", "b"]
    assert member_paths("none,nothing") == ["none", "nothing"]
    named = named_paths(f"at={odd}, ascl=x,y,acl=c=d", "models")
    assert named == {"at": odd, "ascl": "x,y", "acl": "c=d"}
    known = {"at": "a", "b": "x,y"}
    assert named_paths("at,b,new=x,y", "sources", known=known) == {**known, "new": "x,y"}


@pytest.mark.parametrize("text", ["c=d", "at=a,lr=0.1,wd=1e-4/export", "at=x,none"])
def test_a_path_without_a_label_is_refused(text, runs):
    with pytest.raises(ConfigError, match="--models: expected label=path"):
        named_paths(text, "models")
