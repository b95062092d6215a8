"""A method of one's own: the very text of docs/methods.md, and what is wrong with others."""

import dataclasses
import json
import pathlib
import re
import shlex
import sys

import pytest

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.config import registry
from ascl_tf.errors import ConfigError
from ascl_tf.methods.cost import count_step
from ascl_tf.models import resnet
from ascl_tf.program.outside_methods import load_outside_method
from tests.common import eagerly
from tests.program_lines import line_matches
from tools import reproduce, rows
from tools.reproduction import presets
from tools.reproduction.graph import Graph

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "methods.md"
NAME = "mine:LogitPairing"


def _first_block(language):
    text = DOCUMENT.read_text(encoding="utf-8")
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in which a file can be imported; what is registered there is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_SPECS", {**{n: cfg.find_method(n) for n in cfg.method_names()}})
    yield tmp_path
    # They hold configs with the settings of what is forgotten.
    rows.load_row.cache_clear()
    rows.read_config.cache_clear()
    for name in ("mine", "broken"):
        sys.modules.pop(name, None)


@pytest.fixture
def mine(folder):
    (folder / "mine.py").write_text(_first_block("python"))
    return folder


@pytest.mark.slow  # Its parts are below.
def test_the_documents_method_is_trained_measured_and_recorded_by_its_command(mine, monkeypatch):
    # One block in place of eight: the method is new here, not the network.
    monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, 18, (0, 0, 0, 1))
    # The tests have two virtual CPUs, where a machine without GPU has one device.
    with eagerly():
        train.main(["train", *shlex.split(_first_block("sh"))[3:], "--num_replicas=1"])
    recorded = json.loads((mine / "run" / "config.json").read_text())["settings"]
    assert (recorded["method"], recorded["pairing_weight"]) == (NAME, 0.1)
    record = json.loads((mine / "run" / "results" / "pretrain.json").read_text())
    assert record["settings"]["pairing_weight"] == 0.1
    assert len(record["versions"]["method_file"]) == 64
    assert {"train/adversarial_loss", "train/pairing_loss"} <= set(record["epochs"][-1])
    (exported,) = (mine / "run" / "export").glob("*/saved_model.pb")
    assert exported.stat().st_size > 0


def test_its_settings_are_flags_wherever_the_method_is_named(mine, tmp_path):
    (tmp_path / "a.flags").write_text(f"--method={NAME}\n--pairing_weight=0.25\n")
    load_outside_method(["train", "--flagfile=a.flags"])
    assert cfg.setting_fields()["pairing_weight"].default == 0.5


def test_its_settings_are_known_from_a_work_directory(mine):
    config = cfg.Config(method=NAME, pairing_weight=2.0)
    document = {"settings": config.to_json(), "stages": {}}
    (mine / "run").mkdir()
    (mine / "run" / "config.json").write_text(json.dumps(document))
    registry._SPECS.pop(NAME)
    load_outside_method(["train", "--stage=finetune", "--workdir=run"])
    assert "pairing_weight" in cfg.setting_fields()
    again = cfg.config_from_json(json.dumps(document["settings"]), "here")
    assert again == config and again.is_one_shot
    assert cfg.settings_in(cfg.identity_of(again, cfg.PRETRAIN)) == {
        "method": NAME,
        "pairing_weight": 2.0,
    }


def test_its_cost_is_counted(mine):
    # PGD-10, two training passes, and the accuracy on natural images.
    assert count_step(cfg.Config(method=NAME)) == 10 * 2 + 2 * 3 + 1


def test_reproduction_takes_it_as_a_row_beside_table_1(mine, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    reproduce.main(["reproduce", "--artifact=table1", f"--method={NAME}", "--dry_run"])
    listed = [line for line in capsys.readouterr().out.splitlines() if "LogitPairing" in line]
    kinds = ("pretrain", "evaluate", "export", "autoattack")
    titles = [re.search(rf"({'|'.join(kinds)}) table1/mine\.LogitPairing", line) for line in listed]
    assert {title[1] for title in titles} >= {"pretrain", "evaluate"}
    row = Graph(presets.PRESETS["cpu"]).row("table1/at")
    own = dataclasses.replace(presets.CPU, extra_rows=(presets.row_of_method(NAME),))
    found = Graph(own).row("table1/mine.LogitPairing")
    # Two training passes where AT has one.
    assert found.units == row.units + 3 and found.config.method == NAME
    node = Graph(own).pretrain(found, seed=0)
    assert f"--method={NAME}" in node.arguments and node.settings["formats"][NAME]


HEAD = "import dataclasses\nfrom ascl_tf.config import setting\nfrom ascl_tf.methods import *\n"
SETTINGS = "@dataclasses.dataclass(frozen=True)\nclass S:\n    {}\n"
CLASS = "@register_method(settings=[S])\nclass M(Method):\n    pass\n"
REGISTERED = "@register_method({})\nclass M(Method):\n    pass\n"
SUBCLASS = "--method={}: expected a subclass '{}' of ascl_tf.methods.Method in {}; found {}"
REGISTER = "--method=broken:M: register_method: expected "
WEIGHT = "label_free_weight to be one of its settings if labels are optional, else empty; found "
SHARED = "from ascl_tf.config import DataSettings\n"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("absent:M", "", "--method=absent:M: expected a module 'absent' .*; found: ModuleNotFound"),
        ("broken:M", "1 / 0", "--method=broken:M: expected a module .*; found: ZeroDivisionError"),
        ("broken:M", "exit(3)", "--method=broken:M: expected a module .*; found: SystemExit: 3"),
        ("broken:M", "x = 1", SUBCLASS.format("broken:M", "M", "broken", "none")),
        ("broken:M", "M = 3", SUBCLASS.format("broken:M", "M", "broken", "int")),
        ("builtins:int", "", SUBCLASS.format("builtins:int", "int", "builtins", "int")),
        (
            "broken:M",
            HEAD + SETTINGS.format("epochs: int = setting(1, 'Epochs.')") + CLASS,
            r"broken\.S: expected names that no other setting has; found epochs",
        ),
        (
            "broken:M",
            HEAD + SHARED + CLASS.replace("S]", "DataSettings]"),
            "ascl_tf.config.sections.DataSettings: expected names that no other setting has; found",
        ),
        (
            "broken:M",
            HEAD + SETTINGS.format("weight: float = 1.0") + CLASS,
            REGISTER + "ascl_tf.config.setting to make S.weight; found another field",
        ),
        (
            "broken:M",
            HEAD + REGISTERED.format("settings=[3]"),
            REGISTER + "dataclasses as settings; found 3",
        ),
        (
            "broken:M",
            HEAD + REGISTERED.format("labels='some'"),
            REGISTER + "labels to be one of required, optional, none; found 'some'",
        ),
        ("broken:M", HEAD + REGISTERED.format("labels='optional'"), REGISTER + WEIGHT + "''"),
        ("broken:M", HEAD + REGISTERED.format("label_free_weight='w'"), REGISTER + WEIGHT + "'w'"),
        (3, "", "--method: expected one of acl, .*; found 3"),
    ],
)
def test_what_is_no_method_is_refused_in_one_line_and_not_remembered(folder, name, text, line):
    (folder / "broken.py").write_text(text)
    with line_matches(ConfigError, f"^{line}"):
        cfg.Config(method=name)
    assert name not in registry._SPECS and cfg.Config(epochs=3).epochs == 3


def test_subclass_of_a_registered_method_has_its_settings(mine):
    (mine / "broken.py").write_text("import mine\nclass M(mine.LogitPairing):\n    pass\n")
    config = cfg.Config(method="broken:M", pairing_weight=2.0)
    assert config.is_one_shot and config.pairing_weight == 2.0


def test_settings_of_an_outside_method_make_no_other_config_another(mine):
    before = cfg.Config(method="at")
    cfg.find_method(NAME)
    after = cfg.Config(method="at")
    assert before == after and hash(before) == hash(after) and after.pairing_weight == 0.5
    assert before.replace(epochs=3) == after.replace(epochs=3) != after
