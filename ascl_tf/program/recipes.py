"""Recipes: the flagfiles that come with the package, in a checkout and in a wheel, by name.

`--recipe=quickstart` stands for the flagfile flags/quickstart.flags, and `--recipe=table1/ascl` for
that of the row's pre-training, flags/table1/ascl/pretrain.flags, which says how the other stages
go on, too. A row of flags/rows.toml that is another row's run is that row's recipe.
"""

import functools
import pathlib
import tomllib
from typing import Any

from ascl_tf.errors import ConfigError, near_names

FLAG, LIST = "recipe", "list"
# What the paths of these flagfiles begin with, whatever the working directory is.
PREFIX = "flags/"
_PRETRAIN = "pretrain"
_SUFFIX = ".flags"


@functools.cache
def folder() -> pathlib.Path:
    """Returns the folder `flags` of a checkout, or its copy in the installed package."""
    package = pathlib.Path(__file__).resolve().parents[1]
    checkout = package.parent / "flags"
    return checkout if (checkout / "rows.toml").is_file() else package / "flags"


@functools.cache
def read_rows() -> dict[str, dict[str, Any]]:
    """Returns the rows of the paper and beyond it, by name, in its order: flags/rows.toml."""
    with open(folder() / "rows.toml", "rb") as file:
        return tomllib.load(file)


def flagfile_of(name: str) -> str:
    """Returns the path of a recipe's flagfile, which begins with `PREFIX`.

    Raises:
        ConfigError: if there is no such recipe.

    Example:
        >>> flagfile_of("quickstart"), flagfile_of("table1/ascl")
        ('flags/quickstart.flags', 'flags/table1/ascl/pretrain.flags')
    """
    row = read_rows().get(name, {})
    row_name = row.get(_PRETRAIN) or row.get("run") or name
    for path in (f"{name}{_SUFFIX}", f"{row_name}/{_PRETRAIN}{_SUFFIX}"):
        if name and ".." not in name and (folder() / path).is_file():
            return PREFIX + path
    expected = f"a name that --{FLAG}={LIST} shows, such as quickstart or table1/ascl"
    hint = near_names(name, [*_flagfiles(), *read_rows()])
    raise ConfigError(f"--{FLAG}: expected {expected}; found {name!r}{hint}")


def _flagfiles() -> dict[str, pathlib.Path]:
    """Returns the flagfiles that are recipes by themselves, by name."""
    return {file.stem: file for file in sorted(folder().glob(f"*{_SUFFIX}"))}


def place_of(path: str) -> pathlib.Path:
    """Returns where a path that begins with `PREFIX` lies in the package."""
    return folder().parent / path


def describe_recipes() -> str:
    """Returns a line for each recipe: its name, and what it is."""
    named = {name: _first_comment(file) for name, file in _flagfiles().items()}
    rows = {name: f"{row['place']}: {row['title']}" for name, row in read_rows().items()}
    others = {
        file.parent.relative_to(folder()).as_posix(): _first_comment(file)
        for file in sorted(folder().glob(f"*/*/{_PRETRAIN}{_SUFFIX}"))
    }
    found = {**named, **rows, **{n: text for n, text in others.items() if n not in rows}}
    width = max(map(len, found))
    return "\n".join(f"{name:{width}}  {text}" for name, text in found.items())


def _first_comment(file: pathlib.Path) -> str:
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
