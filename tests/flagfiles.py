"""The flagfiles of the checkout, read as the programs read them.

A nested flagfile is looked up from the working directory: call from the repository root.
"""

import functools
import pathlib
import re

from absl import flags

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.config import Config
from ascl_tf.program import flag_defs
from tools.rows import program_of

ROOT = pathlib.Path(__file__).resolve().parents[1]
ALL_FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "flags").rglob("*"))
FLAGFILES = [path for path in ALL_FILES if path.endswith(".flags")]
BASE = [path for path in FLAGFILES if path.startswith("flags/base/")]
RUNS = [path for path in FLAGFILES if path not in BASE]
# The folders of rows that train something of their own.
ROWS = sorted({str(pathlib.PurePath(p).parent) for p in RUNS if p.count("/") > 2})


@functools.cache
def parse(*argv):
    """Returns the config and the stage that a command line of ascl_tf.train asks for."""
    values = flag_defs.define_flags(*cfg.sections())
    flag_defs.define_program_flags(values)
    stages = [*cfg.STAGES, cfg.ALL]
    flags.DEFINE_enum("stage", cfg.PRETRAIN, stages, "What to do.", flag_values=values)
    explicit = flag_defs.parse(values, ["train", *argv])
    stage = explicit.pop("stage", cfg.PRETRAIN)
    return train.config_from(Config(), explicit), stage


def config_of(path):
    """Returns the config that a flagfile alone gives."""
    return parse(f"--flagfile={path}")[0]


@functools.cache
def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


def flag_lines(path):
    return [line for line in text_of(path).splitlines() if line.startswith("-")]


def groups_in(path):
    """Returns the files that a flagfile includes itself."""
    return re.findall(r"^--?flagfile=(.*)$", text_of(path), re.MULTILINE)


def is_of_train(path):
    """Whether a flagfile is one of ascl_tf.train's."""
    return path in BASE or program_of(path) == "train"


def files_in(folder, stage=""):
    """Returns the flagfiles right in a folder, those of one stage if it is named."""
    names = sorted((ROOT / folder).glob(f"{stage}*.flags"))
    return [path.relative_to(ROOT).as_posix() for path in names]


def train_files_in(folder, stage=""):
    return [path for path in files_in(folder, stage) if is_of_train(path)]
