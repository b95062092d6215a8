"""--help and --helpfull: every flag below one heading, in a window of any width."""

import dataclasses
import re
import subprocess
import sys

import pytest

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.config.registry import method_names
from ascl_tf.program import evaluate_settings, flag_defs
from ascl_tf.program.analyze_settings import AnalyzeConfig
from ascl_tf.program.evaluate_settings import EvaluateConfig
from ascl_tf.program.export_settings import ExportConfig
from ascl_tf.program.flag_help import topics_of
from ascl_tf.program.predict_settings import PredictConfig

PROGRAMS = [EvaluateConfig, PredictConfig, ExportConfig, AnalyzeConfig]


def _flags_in(screen):
    """Returns the names of the flags that a screen explains, in order."""
    return re.findall(r"^  --(\w+)=.*:", screen, re.MULTILINE)


def _names(section):
    return [field.name for field in dataclasses.fields(section)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_helpfull_of_a_program_has_every_flag_once(program, capsys):
    assert flag_defs.parse_program(program, ["program", "--helpfull"], "usage") is None
    found = _flags_in(capsys.readouterr().out)
    assert sorted(found) == sorted([*_names(program), *flag_defs.PROGRAM_FLAGS])


def test_helpfull_of_training_has_every_flag_once_below_its_topic(capsys):
    train.main(["train", "--helpfull"])
    screen = capsys.readouterr().out
    own = ["stage", "recipe", *flag_defs.PROGRAM_FLAGS]
    assert sorted(_flags_in(screen)) == sorted([*cfg.setting_fields(), *own])
    blocks = {block.partition(":\n")[0]: _flags_in(block) for block in screen.split("\n\n")}
    assert blocks["Training and test data"] == _names(cfg.DataSettings)
    assert blocks["RoCL (--method: rocl)"] == ["rocl_lambda"]


@pytest.mark.parametrize(
    ("screen_of", "basic"),
    [
        (lambda: train.main(["train", "--help"]), train.BASIC),
        (
            lambda: flag_defs.parse_program(
                EvaluateConfig, ["evaluate", "--help"], "", basic=evaluate_settings.BASIC
            ),
            evaluate_settings.BASIC,
        ),
    ],
)
def test_help_has_the_dozen_that_a_newcomer_needs(screen_of, basic, capsys):
    screen_of()
    screen = capsys.readouterr().out
    assert sorted(_flags_in(screen)) == sorted(basic) and 12 <= len(basic) <= 15
    assert screen.endswith("All flags: --helpfull\n")


def test_help_of_training_names_stages_and_methods(capsys):
    train.main(["train", "--help"])
    screen = capsys.readouterr().out
    assert all(f"\n  {stage} " in screen for stage in cfg.STAGES)
    assert f"Methods: {', '.join(method_names())}\n" in screen


def test_help_of_other_programs_has_their_own_flags(capsys):
    flag_defs.parse_program(ExportConfig, ["export", "--help"], "usage")
    found = _flags_in(capsys.readouterr().out)
    assert "export_format" in found and "cache_dir" not in found


@pytest.mark.parametrize("columns", [40, 120])
def test_lines_are_as_wide_as_the_window(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    values = flag_defs.define_flags(*cfg.sections())
    lines = flag_defs.describe_flags(values, topics_of(*cfg.sections())).splitlines()
    # A word longer than the window is not broken.
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines)
    assert max(map(len, lines)) > 0.9 * columns


@pytest.mark.parametrize("flag", ["--help", "--recipe=list", "--protocol=help"])
def test_a_reader_that_has_gone_ends_a_list_without_a_word(flag):
    command = [sys.executable, "-m", "ascl_tf.train", flag]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
