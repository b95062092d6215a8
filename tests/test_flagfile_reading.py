"""Flagfiles: every line counts, in whatever encoding, or is refused with file and line."""

import codecs

import pytest

from ascl_tf.errors import ConfigError
from ascl_tf.program.flagfiles import check_values, expand_flagfiles

KNOWN = {"seed": False, "dataset": False, "workdir": False, "smoke": True}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _read(*argv):
    return expand_flagfiles(argv, KNOWN)


TEXT = "# Umlaut: ü\r\n--seed=3\r\n\r\n  // also a comment\n--smoke\r--dataset=folder:/ä b\n"
FLAGS = ["--seed=3", "--smoke", "--dataset=folder:/ä b"]


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        # As `cat` puts two files together.
        b"--seed=3\n" + codecs.BOM_UTF8 + "--smoke\n--dataset=folder:/ä b".encode(),
    ],
)
def test_encodings_and_line_ends_of_other_systems_are_read(content, tmp_path):
    (tmp_path / "a.flags").write_bytes(content)
    assert _read("--flagfile=a.flags") == FLAGS


def test_lines_stand_where_their_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "inner.flags").write_text("--seed=2\n")
    (tmp_path / "outer.flags").write_text("--smoke\n--flagfile=~/inner.flags\n--seed 3\n")
    twice = "--flagfile=inner.flags\n-flagfile=inner.flags\n--nosmoke"
    (tmp_path / "twice.flags").write_text(twice)
    with pytest.raises(ConfigError, match="outer.flags, line 3: expected --seed=<value>"):
        _read("--flagfile=outer.flags")
    argv = ("--seed=1", "--flagfile", "twice.flags", "--dataset", "x")
    assert _read(*argv) == ["--seed=1", "--seed=2", "--seed=2", "--nosmoke", "--dataset", "x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"--dataset=x --seed=3\n", r"line 1: expected one flag on each line; found --seed too"),
        (b"\n--dataset=x -seed=3\n", r"line 2: expected one flag on each line; found -seed too"),
        (b"--dataset=x --nosmoke\n", r"line 1: expected one flag on each line; found --nosmoke"),
        (b"--smoke --seed=3\n", r"line 1: expected one flag on each line; found --seed too"),
        (b"--dataset=x --typo=3\n", r"line 1: expected one flag on each line; found --typo too"),
        (b"--workdir\n--smoke\n", r"line 1: expected --workdir=<value>; found '--workdir'"),
        (b"--smoke true\n", r"line 1: expected --smoke=<value>; found '--smoke true'"),
        (b"--flagfile b.flags\n", r"line 1: expected --flagfile=<value>; found"),
        (b"--workdir=x # mine\n", r"line 1: expected comments on lines of their own; found"),
        (b"--seed=3\n--workdir=x \\\n", r"line 2: expected one flag on each line, without a back"),
        (b'--workdir="x y"\n', r"line 1: expected a value without quotes"),
        (b"--seed=3\nseed: 3\n", r"line 2: expected only flags such as --seed=1; found 'seed: 3'"),
        (b"--seed=3\n--\n", r"line 2: expected only flags such as --seed=1; found '--'"),
        (b"--seed=3\n--dataset=\xff\n", r"line 2: expected text in UTF-8.*; found byte 0xff"),
        (b"--seed=3\n--dataset=a\0b\n", r"line 2: expected text in UTF-8.*; found a NUL"),
        ("--seed=3".encode("utf-16-le"), r"line 1: expected text in UTF-8.*; found a NUL"),
        ("--seed=3".encode("utf-32"), r"line 1: expected text in UTF-8.*; found a NUL"),
        (codecs.BOM_UTF16_LE + b"x", r"line 1: expected text in UTF-8.*truncated"),
        (b"--seed=3\n--flagfile=a.flags\n", r"line 2: --flagfile=a.flags: .*not include itself"),
        (b"--flagfile=none.flags\n", r"line 1: --flagfile=none.flags: expected a read.* No such"),
        (b"--flagfile=.\n", r"line 1: --flagfile=.: expected a readable file; found: Is a dir"),
        (b"--flagfile=\n", r"line 1: --flagfile=: expected a readable file; found no name"),
        (b"--flagfile=~nobody_here/x\n", r"line 1: --flagfile=~nobody_here/x: expected ~ or ~us"),
    ],
)
def test_what_would_be_lost_is_refused_with_file_and_line(content, message, tmp_path):
    (tmp_path / "a.flags").write_bytes(content)
    with pytest.raises(ConfigError, match=f"^--flagfile=a.flags, {message}") as error:
        _read("--flagfile=a.flags")
    assert "\n" not in str(error.value)


def test_files_that_include_each_other_are_refused(tmp_path):
    (tmp_path / "a.flags").write_text("--flagfile=b.flags")
    (tmp_path / "b.flags").write_text("--flagfile=./a.flags")
    with pytest.raises(ConfigError, match="--flagfile=./a.flags: .*does not include itself"):
        _read("--flagfile=a.flags")


def test_a_long_chain_of_files_is_refused(tmp_path):
    for number in range(60):
        (tmp_path / f"{number}.flags").write_text(f"--flagfile={tmp_path}/{number + 1}.flags\n")
    with pytest.raises(ConfigError, match=r"50.flags: expected at most 50 files around one"):
        expand_flagfiles([f"--flagfile={tmp_path}/0.flags"], {})


@pytest.mark.parametrize(
    "value",
    ["a # b", "a // b", "'a'", "a --seed", "a \\", " a", "a ", "a\nb", "\ufeffa", " \ufeff a"],
)
def test_values_that_no_line_can_hold_are_refused(value, tmp_path):
    with pytest.raises(ConfigError, match="^--workdir"):
        check_values({"workdir": value}, {"workdir": False, "seed": False})


@pytest.mark.parametrize("value", ["a b", "a#b", "it's", "a=b", "é", "a-seed", "", "-1"])
def test_other_values_come_back_from_a_line(value, tmp_path):
    known = {"workdir": False, "seed": False}
    check_values({"workdir": value}, known)
    (tmp_path / "a.flags").write_text(f"--workdir={value}\n", encoding="utf-8")
    read = expand_flagfiles([f"--flagfile={tmp_path / 'a.flags'}"], known)
    assert read == [f"--workdir={value}"]


@pytest.mark.parametrize("argv", [["--flagfile"], ["--flagfile="]])
def test_no_name_is_refused(argv):
    with pytest.raises(ConfigError, match="--flagfile=: expected a readable file; found no name"):
        _read(*argv)


def test_hyphens_inside_values_are_no_flags(tmp_path):
    line = "--dataset=folder:/my -- old/a - b/x -y"
    (tmp_path / "a.flags").write_text(line)
    assert _read("--flagfile=a.flags") == [line]
