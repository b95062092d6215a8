"""The pages made from the code: what --help says, all of it, in tables that hold together."""

import importlib
import re

import pytest

import ascl_tf
from ascl_tf.evaluation.protocols import PROTOCOLS, SERIES
from tools import reference_pages


def _rows(page):
    """Returns the cells of each line of a page's tables, without the lines below headings."""
    lines = [line for line in page.splitlines() if line.startswith("|") and "---" not in line]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def _flags_on(page):
    return [re.match(r" `--(\w+)` ", row[0])[1] for row in _rows(page) if "--" in row[0]]


@pytest.mark.parametrize("program", reference_pages.PROGRAMS)
def test_a_page_has_each_flag_that_help_prints_once(program, capsys):
    importlib.import_module(f"ascl_tf.{program}").main([program, "--helpfull"])
    printed = re.findall(r"^  --(\w+)=", capsys.readouterr().out, re.MULTILINE)
    page = reference_pages.flags_page(program)
    assert len(printed) > 10
    assert sorted(_flags_on(page)) == sorted(printed)
    assert {len(row) for row in _rows(page)} == {4}


@pytest.mark.parametrize(
    ("flag", "default", "takes", "says"),
    [
        ("epsilon", "auto", "a number or a fraction such as 8/255, or auto", "Radius of the ball"),
        ("seed", "0", "an integer, at least 0, at most 2147483647", "Seed for"),
        ("temperature", "0.5", "a number, > 0", "Temperature of"),
        ("download", "false", "true or false", ""),
        ("norm", "linf", "one of linf, l2", "Norm"),
    ],
)
def test_a_row_has_default_range_and_help(flag, default, takes, says):
    page = reference_pages.flags_page("train")
    (row,) = [row for row in _rows(page) if row[0] == f" `--{flag}` "]
    assert row[1:3] == [f" `{default}` ", f" {reference_pages.html.escape(takes)} "]
    assert row[3].startswith(f" {says}")


def test_methods_settings_have_sections_of_their_own():
    page = reference_pages.flags_page("train")
    section = page.partition("\n## RoCL (--method: rocl)\n")[2].partition("\n## ")[0]
    assert _flags_on(section)


def test_every_protocol_is_listed_once():
    named = [row[0].strip(" `") for row in _rows(reference_pages.protocols_page())]
    assert sorted(named) == sorted([*PROTOCOLS, *SERIES, "name", "name"])


def test_the_whole_public_interface_is_asked_for():
    paths = re.findall(r"^::: ([\w.]+)$", reference_pages.api_page(), re.MULTILINE)
    assert [path.rpartition(".")[2] for path in paths] == ascl_tf.__all__
    for path in paths:
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        assert found is getattr(ascl_tf, name) and found.__doc__


def test_cells_show_text_as_it_is():
    escaped = reference_pages._escape("a|b <c> *d* _e_ [f] `<g>_h|i`")
    assert escaped == r"a\|b &lt;c&gt; \*d\* \_e\_ \[f\] `<g>_h\|i`"
