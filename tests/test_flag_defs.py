"""Flags made from fields: one each, with default and help; what a command line sets."""

import inspect

import pytest
from absl import flags

from ascl_tf import config as cfg
from ascl_tf.config import Fraction
from ascl_tf.config.setting import AUTO
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.program import flag_defs

FIELDS = list(cfg.setting_fields().values())


def _values():
    values = flag_defs.define_flags(*cfg.sections())
    flag_defs.define_program_flags(values)
    return values


def _parse(*argv):
    return flag_defs.parse(_values(), ["program", *argv])


def test_each_field_has_one_flag_with_its_default_and_help():
    values = _values()
    assert set(values) == {field.name for field in FIELDS} | {"?", *flag_defs.PROGRAM_FLAGS}
    for field in FIELDS:
        is_auto = field.metadata["is_auto"]
        assert values[field.name].default == (AUTO if is_auto else field.default)
        assert field.metadata["help"] in values[field.name].help


def test_help_names_the_stages_of_a_flag_that_not_all_stages_use():
    values = _values()
    for field in FIELDS:
        stages = field.metadata["stages"]
        suffix = f"(stage: {', '.join(stages)})"
        assert values[field.name].help.endswith(suffix) == (set(stages) != set(cfg.STAGES))


def test_defaults_exist_once():
    source = inspect.getsource(flag_defs)
    for field in FIELDS:
        assert f'"{field.name}"' not in source


def test_defining_flags_leaves_absls_global_ones_alone():
    before = set(flags.FLAGS)
    _values()
    assert set(flags.FLAGS) == before


def test_two_programs_can_share_a_flag():
    first = flag_defs.define_flags(cfg.DataSettings)
    second = flag_defs.define_flags(cfg.DataSettings)
    flag_defs.parse(first, ["program", "--dataset=stl10"])
    assert (first["dataset"].value, second["dataset"].value) == ("stl10", "auto")


def test_parsing_returns_only_what_the_command_line_sets():
    assert _parse() == {}
    assert _parse("--width=64") == {"width": 64}  # Also where it is the default.
    assert _parse("--nosmoke", "--download") == {"smoke": False, "download": True}


def test_values_have_the_type_of_their_field():
    got = _parse("--epsilon=16/255", "--temperature=1", "--epochs=3", "--dataset=folder:/a b")
    assert got == {"epsilon": 16 / 255, "temperature": 1.0, "epochs": 3, "dataset": "folder:/a b"}
    assert isinstance(got["temperature"], float)
    assert isinstance(got["epsilon"], Fraction) and got["epsilon"].text == "16/255"


def test_last_setting_wins_over_flagfiles_and_command_line(tmp_path):
    base, row = tmp_path / "base.flags", tmp_path / "row.flags"
    base.write_text("# a comment\n--width=8\n--epochs=5\n--seed=1\n\n// another\n")
    row.write_text(f"--flagfile={base}\n--epochs=7\n")
    assert _parse(f"--flagfile={row}") == {"width": 8, "epochs": 7, "seed": 1}
    assert _parse(f"--flagfile={row}", "--epochs=9")["epochs"] == 9
    assert _parse("--epochs=9", f"--flagfile={row}")["epochs"] == 7


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--wigth=3", r"--wigth: expected a known flag \(near it: --width\); found an unknown one"),
        ("--qqqqqq=3", r"--qqqqqq: expected a known flag; found an unknown one"),
        ("--epochs=ten", r"--epochs: expected an integer; found 'ten'"),
        ("--epochs=1.5", r"--epochs: expected an integer; found '1.5'"),
        ("--temperature=hot", r"--temperature: expected a number; found 'hot'"),
        (
            "--epsilon=8:255",
            r"--epsilon: expected a number or a fraction such as 8/255, or auto; found",
        ),
        (
            "--epsilon=1/0",
            r"--epsilon: expected a number or a fraction such as 8/255, or auto; found",
        ),
        ("--smoke=maybe", r"--smoke: expected true or false; found 'maybe'"),
        ("--epochs", r"Missing value for flag --epochs"),
        ("width=3", r"expected only flags such as --seed=1; found 'width=3'"),
        ("--flagfile=no.flags", r"--flagfile=no\.flags: expected a readable file; found: No such"),
        ("--flagfile=.", r"--flagfile=\.: expected a readable file; found: Is a directory"),
        ("--flagfile", r"--flagfile=: expected a readable file; found no name"),
        ("--workdir --smoke", r"--workdir: expected a value; found the flag --smoke"),
    ],
)
def test_what_is_no_flag_is_one_line(argument, message):
    with pytest.raises(ConfigError, match=message) as error:
        _parse(*argument.split())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"--wigth=3\n", r"--wigth: expected a known flag"),
        (b"width=3\n--epochs=3\n", r"row\.flags, line 1: expected only flags.*found 'width=3'"),
        (b"\xff\xfe\x00\x00", r"--flagfile=.*row\.flags, line 1: expected text.*found a NUL"),
    ],
)
def test_garbled_flagfile_is_refused(content, message, tmp_path):
    (tmp_path / "row.flags").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        _parse(f"--flagfile={tmp_path}/row.flags")


@pytest.mark.parametrize("flag", ["--help", "-?", "--helpfull"])
def test_help_is_printed_if_it_is_asked_for(flag, capsys):
    values = _values()
    assert not flag_defs.wants_help(values, "usage")
    flag_defs.parse(values, ["program", flag])
    assert flag_defs.wants_help(values, "usage", basic=["seed"])
    printed = capsys.readouterr().out
    assert printed.startswith("usage\n") and "--seed=0: " in printed
    assert ("--epochs" in printed) == (flag == "--helpfull")


def _raise(error):
    raise error


@pytest.mark.parametrize(("error", "status"), [(ConfigError("a\n b"), 2), (RunError("a\n b"), 1)])
def test_mistakes_become_one_line_and_their_status(error, status, capsys):
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(lambda argv: _raise(error), ["program"])
    assert exit_info.value.code == status
    assert capsys.readouterr() == ("", "error: a b\n")


def test_debug_shows_where_a_mistake_was_found(capsys):
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(lambda argv: _raise(ConfigError("a")), ["program", "--debug"])
    assert exit_info.value.code == ConfigError.exit_status
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and "in _raise" in error and error.endswith("error: a\n")


def test_a_fault_of_the_program_is_never_hidden():
    with pytest.raises(ValueError, match="inner"):
        flag_defs.run_program(lambda argv: _raise(ValueError("inner")), ["program"])
