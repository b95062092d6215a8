"""Names that the terminal cannot show are escaped; they end no program in a traceback."""

import contextlib
import io
import sys

import pytest
from rich.console import Console

from ascl_tf.evaluation.display import print_records
from ascl_tf.process.terminal import encodable
from ascl_tf.program import flag_defs

NAMES = "caf\u00e9 \u5b57 \udcff"
ESCAPED = "caf\\xe9 \\u5b57 \\udcff"


def _printed_in_ascii(program):
    """Returns what a program prints where standard output is as under LANG=C, strict."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with contextlib.redirect_stdout(stream):
        with pytest.raises(UnicodeEncodeError):
            print(NAMES)
        flag_defs.run_program(lambda argv: program(), ["program"])
        stream.flush()
    return stream.buffer.getvalue().decode("ascii")


def test_a_program_prints_names_that_its_terminal_lacks():
    assert _printed_in_ascii(lambda: print(NAMES)) == f"{ESCAPED}\n"


def test_so_does_a_table():
    record = {
        "data_set": NAMES,
        "num_images": 3,
        "protocol": "standard",
        "epsilon": "0",
        "standard_accuracy": 1.0,
        "robust_accuracy": 1.0,
        "wall_seconds": 0.1,
        "checks": [],
    }
    assert ESCAPED in _printed_in_ascii(lambda: print_records([record], Console(width=80)))


def test_streams_without_an_encoding_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    flag_defs.run_program(lambda argv: print(NAMES), ["program"])
    assert sys.stdout.getvalue() == f"{NAMES}\n"


def test_a_file_gets_what_utf8_can_hold():
    assert encodable(NAMES) == "caf\u00e9 \u5b57 \\udcff"
