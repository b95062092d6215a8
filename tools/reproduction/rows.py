"""The rows of flags/ as runs: their settings, fine-tunings, protocols and costs."""

import contextlib
import functools
import pathlib
import re
import shlex
from typing import NamedTuple

from absl import flags

from ascl_tf import config as cfg
from ascl_tf import flag_defs, train
from tools import rows_table

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = "runs/"
ENSEMBLE = "ensemble"
# Settings that name the run which a pre-training starts from.
NAMES_OF_RUNS = ("pseudo_label_encoder", "initial_encoder")
ONE_SHOT = ""
_COST = re.compile(r"^# Cost: (\d+) forward passes", re.MULTILINE)
_PROGRAM = re.compile(r"^# Run:  python -m ascl_tf\.(\w+) (.*)$", re.MULTILINE)


class Head(NamedTuple):
    """A classifier of a row.

    Attributes:
        name: mode of fine-tuning, "ensemble", or "" where pre-training gives the classifier.
        parts: `Config` of each fine-tuning; several for an ensemble, none for "".
        protocols: of the row's own evaluation.
        units: forward passes per image and step of a fine-tuning.
    """

    name: str
    parts: tuple[cfg.Config, ...]
    protocols: tuple[str, ...]
    units: int


class RowRun(NamedTuple):
    """A row: `Config` and cost of its pre-training, and its classifiers."""

    folder: str
    title: str
    place: str
    paper: str
    config: cfg.Config
    units: int
    heads: tuple[Head, ...]


@functools.cache
def find_rows():
    """Returns folder -> `rows_table.Row`, in the paper's order."""
    return {row.folder: row for row in rows_table.find_rows(ROOT)}


def folders_of(table):
    """Returns the rows of a table or figure, such as table5, in order."""
    return [folder for folder in find_rows() if folder.partition("/")[0] == table]


@functools.cache
def load_row(folder):
    """Returns the `RowRun` of a folder such as table1/acl."""
    row, path = find_rows()[folder], f"flags/{folder}/pretrain.flags"
    evaluations = sorted((ROOT / "flags" / folder).glob("evaluate*.flags"))
    heads = [_load_head(folder, file.name) for file in evaluations]
    return RowRun(
        folder,
        row.title,
        row.place,
        row.paper,
        read_config(path),
        _units(path),
        # The paper's order: linear before full, standard before adversarial.
        tuple(sorted(heads, key=lambda head: ("lsf", "laf", "fsf", "faf").index(head.name)))
        if len(heads) > 1
        else tuple(heads),
    )


def row_of_run(path):
    """Returns the row whose run lies at runs/<table>/<row>."""
    return path.removeprefix(RUNS)


@functools.cache
def read_config(path, *more):
    """Returns the `Config` that a flagfile of ascl_tf.train gives, `more` flags behind it."""
    values = flag_defs.define_flags(*cfg.SECTIONS)
    flag_defs.define_program_flags(values)
    flags.DEFINE_enum("stage", cfg.PRETRAIN, [*cfg.STAGES, cfg.ALL], "", flag_values=values)
    with contextlib.chdir(ROOT):  # Nested flagfiles are named from there.
        explicit = flag_defs.parse(values, ["train", f"--flagfile={path}", *more])
    explicit.pop("stage", None)
    return train.config_from(cfg.Config(), explicit)


def _load_head(folder, evaluation):
    path = f"flags/{folder}/{evaluation}"
    finetune = f"flags/{folder}/{evaluation.replace('evaluate', 'finetune', 1)}"
    protocols = tuple(_settings(path)["protocol"].split(","))
    if not (ROOT / finetune).exists():
        return Head(ONE_SHOT, (), protocols, 0)
    parts = tuple(read_config(finetune, *more) for more in _finetune_calls(finetune))
    name = parts[0].finetune if len(parts) == 1 else ENSEMBLE
    return Head(name, parts, protocols, _units(finetune))


def _finetune_calls(path):
    """Returns the flags behind --flagfile= of each call in a header that trains."""
    calls = [shlex.split(arguments) for _, arguments in _PROGRAM.findall(_text(_owner(path)))]
    more = [tuple(flag for flag in call if not flag.startswith("--flagfile=")) for call in calls]
    return [call for call in more if not any(flag.startswith("--stage=") for flag in call)]


def _units(path):
    found = _COST.search(_text(_owner(path)))
    if found is None:
        raise ValueError(f"{path}: expected a header with the cost in forward passes")
    return int(found[1])


def _owner(path):
    """Returns the file whose run this file's is: another row's, or its own."""
    lines = [line for line in _text(path).splitlines() if line.startswith("--")]
    shares = len(lines) == 1 and lines[0].startswith("--flagfile=flags/")
    return lines[0].removeprefix("--flagfile=") if shares else path


def _settings(path):
    """Returns the flags of a file of any program and of those that it includes: name -> text."""
    settings = {}
    for line in _text(path).splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        if line.startswith("--flagfile="):
            settings |= _settings(value)
        elif line.startswith("--"):
            settings[name] = value
    return settings


@functools.cache
def _text(path):
    return (ROOT / path).read_text(encoding="utf-8")
