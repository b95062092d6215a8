"""The examples in docstrings run, and the names that callers of the library begin with have one."""

import doctest
import importlib
import pathlib

import pytest

from ascl_tf import attacks, config, data, losses

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _modules_with_examples():
    for file in sorted((ROOT / "ascl_tf").rglob("*.py")):
        if ">>> " in file.read_text(encoding="utf-8"):
            yield ".".join(file.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("name", _modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(name, capsys):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0
    assert outcome.failed == 0, capsys.readouterr().out


PUBLIC = [
    *(getattr(room, name) for room in (attacks, data, losses) for name in room.__all__),
    *(config.Config, config.Fraction, config.config_from_json, config.setting),
    *(config.find_differences, config.identity_of, config.settings_in),
]


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__name__)
def test_a_public_name_has_an_example(public):
    assert ">>> " in public.__doc__
