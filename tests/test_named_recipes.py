"""--recipe: the flagfiles of the package by name, found from any folder."""

import pytest

from ascl_tf.errors import ConfigError
from ascl_tf.program import recipes
from ascl_tf.program.flagfiles import expand_flagfiles
from tests.flagfiles import ROOT, flag_lines

KNOWN = {"recipe": False, "seed": False, "dataset": False, "method": False}


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("argv", [["--recipe=quickstart"], ["-recipe", "quickstart"]])
def test_recipe_stands_for_the_lines_of_its_flagfile(argv):
    lines = list(flag_lines("flags/quickstart.flags"))
    assert expand_flagfiles([*argv, "--seed=3"], KNOWN) == [*lines, "--seed=3"]
    assert expand_flagfiles(["--flagfile=flags/quickstart.flags"], KNOWN) == lines


def test_row_is_a_recipe_and_brings_the_groups_that_it_includes():
    found = expand_flagfiles(["--recipe=table1/ascl"], KNOWN)
    assert {"--dataset=cifar10", "--lambda_2=0.2", "--stage=pretrain"} <= set(found)
    assert not any("flagfile" in line for line in found)


def test_row_that_is_anothers_run_is_that_rows_recipe():
    assert recipes.flagfile_of("table5/full") == "flags/table1/ascl/pretrain.flags"


def test_groups_of_a_recipe_are_the_packages_whatever_lies_here(tmp_path):
    (tmp_path / "flags/base").mkdir(parents=True)
    (tmp_path / "flags/base/cifar10.flags").write_text("--dataset=mine\n")
    assert "--dataset=cifar10" in expand_flagfiles(["--recipe=table1/ascl"], KNOWN)
    # A flagfile that the command line names is the one that is here.
    argv = ["--flagfile=flags/base/cifar10.flags"]
    assert expand_flagfiles(argv, KNOWN) == ["--dataset=mine"]


@pytest.mark.parametrize("name", ["", "quick", "../flags/quickstart", "table1", "base/cifar10/"])
def test_unknown_recipe_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match="--recipe: expected a name that --recipe=list shows"):
        expand_flagfiles([f"--recipe={name}"], KNOWN)


def test_list_has_every_recipe_and_what_it_is():
    lines = recipes.describe_recipes().splitlines()
    names = [line.split()[0] for line in lines]
    assert {"quickstart", "table1/ascl", "table5/full", "fast/ascl"} <= set(names)
    assert len(names) == len(set(names)) and all(len(line.split()) > 1 for line in lines)
    for name in names:
        assert (ROOT / recipes.flagfile_of(name)).is_file(), name


@pytest.mark.parametrize(
    ("name", "near"), [("picture", "pictures"), ("table1/asc", "table1/ascl"), ("xyz", None)]
)
def test_near_names_are_told(name, near):
    pattern = rf"found '{name}' \(near it: .*{near}" if near else f"found '{name}'$"
    with pytest.raises(ConfigError, match=pattern):
        recipes.flagfile_of(name)
