"""`python -m ascl_tf.train`: what it says before it trains."""

import json
import re

import pytest

from ascl_tf import train
from ascl_tf.errors import ConfigError
from ascl_tf.training.run import check_protocols


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (
            "--norm=l2 --epsilon=8/255",
            "warning: --epsilon=8/255: expected more than 16/255 for --norm=l2; "
            "found a radius that is usual in l-infinity",
        ),
        (
            "--epsilon=128/255",
            "warning: --epsilon=128/255: expected less than 0.5 for --norm=linf; "
            "found a radius that is usual in l2",
        ),
        ("--norm=l2", None),
        ("--epsilon=128/255 --stage=evaluate", None),
    ],
)
def test_radius_of_the_other_norm_is_warned_of_once(flags, line, tmp_path, monkeypatch, capsys):
    configs = []
    monkeypatch.setattr(
        "ascl_tf.training.run.run_stages", lambda config, *_: configs.append(config)
    )
    train.main(["train", "--dataset=bundled", f"--workdir={tmp_path}/run", *flags.split()])
    said = [text for text in capsys.readouterr().out.splitlines() if text.startswith("warning")]
    assert said == ([line] if line else [])
    (config,) = configs
    assert config.norm == ("l2" if "l2" in flags else "linf")


@pytest.mark.parametrize("protocols", ["standard,", ",standard", "standard, ,standard"])
def test_comma_too_many_in_a_list_of_protocols_is_no_matter(protocols, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "ascl_tf.training.run.run_stages",
        lambda config, *_: asked.extend(check_protocols(config.evaluation)),
    )
    train.main(
        ["train", "--dataset=bundled", f"--workdir={tmp_path}/run", f"--protocol={protocols}"]
    )
    assert [protocol.name for protocol in asked] == ["standard"]


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The configs of the runs that began, each recorded as a run records it."""
    configs = []

    def run_stages(config, stage, workdir):
        configs.append(config)
        workdir.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"settings": config.to_json()})
        (workdir.path / "config.json").write_text(text)

    monkeypatch.setattr("ascl_tf.training.run.run_stages", run_stages)
    monkeypatch.chdir(tmp_path)
    return configs


def _train(*flags, own="--dataset=bundled"):
    train.main(["train", own, *flags])


@pytest.mark.parametrize("place", ["--workdir=run", "--num_replicas=1"])
def test_command_of_full_size_does_not_continue_a_smoke_run(place, ran):
    _train("--smoke", "--epochs=3", place)
    with pytest.raises(ConfigError, match="--workdir=.*run.*expected a run of full size"):
        _train(place)
    with pytest.raises(ConfigError, match="found no --smoke"):
        _train("--stage=all", place)
    with pytest.raises(ConfigError, match="expected a run of full size"):
        _train("--nosmoke", "--stage=finetune", place)
    _train("--smoke", "--epochs=3", place)
    assert [config.epochs for config in ran] == [3, 3]


def test_smoke_run_says_so_in_one_short_line(ran, capsys):
    _train("--smoke", "--epochs=3", "--workdir=run")
    (line,) = [s for s in capsys.readouterr().out.splitlines() if s.startswith("notice: --smoke")]
    assert re.fullmatch(
        r"notice: --smoke: (dataset=bundled, )?num_train_images=\d+, width=2, "
        r"\d+ other settings changed; config.json has all settings",
        line,
    ), line


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_smoke_run_wants_a_folder_of_its_own(stage, ran):
    _train("--epochs=3", "--workdir=run")
    with pytest.raises(ConfigError, match="--smoke: expected a --workdir of its own; found a run"):
        _train("--smoke", f"--stage={stage}", "--workdir=run")


def test_later_stages_follow_a_smoke_run_without_saying_so(ran, tmp_path):
    _train("--smoke", "--workdir=run")
    _train("--stage=evaluate", "--workdir=run", own="--num_replicas=1")
    assert ran[1].smoke and ran[1].epochs == ran[0].epochs == 1
    (tmp_path / "long.flags").write_text("--finetune_epochs=25\n--workdir=run\n")
    with pytest.raises(ConfigError, match="expected a run of full size"):
        _train("--stage=finetune", "--flagfile=long.flags")
