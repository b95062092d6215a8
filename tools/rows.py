"""The rows of the paper and beyond it: what they are, and the runs behind them.

    python tools/rows.py                    lists the rows
    python tools/rows.py table1/selfie_dpe  prints the commands that train and measure one

This is the one reader of flags/rows.toml, which says what each row is, and of the flagfiles in
flags/<table>/<row>/, which say how it is trained. A row that is another row's run has no
flagfiles of its own: it resolves to its owner here.
"""

import argparse
import contextlib
import functools
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from ascl_tf import config as cfg  # noqa: E402
from ascl_tf import train  # noqa: E402
from ascl_tf.errors import near_names  # noqa: E402
from ascl_tf.program import flag_defs, recipes  # noqa: E402

RUNS = "runs/"
ENSEMBLE = "ensemble"
ONE_SHOT = ""
ONE_EPOCH = "flags/base/one_epoch.flags"
# Settings that name the run which a pre-training starts from.
NAMES_OF_RUNS = ("pseudo_label_encoder", "initial_encoder", "pseudo_label_classifier")
# One row of every method; some start from what another, before them, has left.
METHOD_ROWS = (
    "figure2/standard",
    "table1/at",
    "table1/trades",
    "beyond/mart",
    "beyond/at_awp",
    "figure1/rotation_at",
    "table1/scl",
    "table1/simclr",
    "table1/rocl",
    "table1/selfie",
    "table1/selfie_dpe",
    "table1/acl",
    "table1/advcl",
    "table1/ascl",
    "beyond/dynacl",
    "beyond/dynacl_pp",
    "beyond/wscat",
)


class Row(NamedTuple):
    """A row as flags/rows.toml has it; see there.

    Attributes:
        folder: its name, such as table1/ascl.
        paper: protocol -> percent; or head -> such a mapping; or {"transfer": source -> percent};
            or what the paper shows in place of numbers. Empty where it shows nothing.
    """

    folder: str
    place: str
    title: str
    paper: Mapping[str, Any] | str = ""
    remark: str = ""
    run: str = ""
    pretrain: str = ""
    heads: tuple[str, ...] = ()
    encoder_parts: tuple[str, ...] = ()
    units: Mapping[str, int] = {}

    @property
    def table(self):
        """The table or figure that it belongs to, such as table1."""
        return self.folder.partition("/")[0]

    @property
    def owner(self):
        """The row whose flagfiles, records and cost are this one's: another's, or its own."""
        return self.run or self.folder


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
    """A row, `Config` and cost of its pre-training, and its classifiers."""

    row: Row
    config: cfg.Config
    units: int
    heads: tuple[Head, ...]

    @property
    def folder(self):
        """The row's name."""
        return self.row.folder


@functools.cache
def find_rows():
    """Returns name -> `Row`, in the order of flags/rows.toml, which is the paper's."""
    return {name: Row(name, **entry) for name, entry in recipes.read_rows().items()}


def folders_of(table):
    """Returns the names of the rows of a table or figure, such as table5, in order."""
    return [folder for folder, row in find_rows().items() if row.table == table]


def pretrain_file(folder):
    """Returns the flagfile of a row's pre-training, relative to the repository's root."""
    row = find_rows()[folder]
    return f"flags/{row.pretrain or row.owner}/pretrain.flags"


def evaluation_files(folder):
    """Returns the flagfiles of the evaluations of a row's classifiers."""
    row = find_rows()[folder]
    own = sorted((ROOT / "flags" / row.owner).glob("evaluate*.flags"))
    files = [path.relative_to(ROOT).as_posix() for path in own]
    for other in row.heads:
        files += evaluation_files(other)
    return files


def finetune_file(evaluation):
    """Returns the flagfile of the fine-tuning before an evaluation; "" where there is none."""
    path = evaluation.replace("/evaluate", "/finetune")
    return path if (ROOT / path).is_file() else ""


def encoder_part_flags(path):
    """Returns for each call of a fine-tuning's flagfile the flags behind it."""
    parts = find_rows()[row_of_file(path)].encoder_parts
    return [(f"--encoder_part={part}",) for part in parts] or [()]


def row_of_file(path):
    """Returns the row in whose folder a flagfile lies."""
    return str(pathlib.PurePosixPath(path).parent.relative_to("flags"))


def row_of_run(path):
    """Returns the row whose run lies at runs/<table>/<row>."""
    return path.removeprefix(RUNS)


@functools.cache
def load_row(folder):
    """Returns the `RowRun` of a row."""
    row, path = find_rows()[folder], pretrain_file(folder)
    heads = [_load_head(file) for file in evaluation_files(folder)]
    if len(heads) > 1:
        # The paper's order: linear before full, standard before adversarial.
        heads.sort(key=lambda head: ("lsf", "laf", "fsf", "faf").index(head.name))
    return RowRun(row, read_config(path), units_of(path), tuple(heads))


def _load_head(evaluation):
    protocols = tuple(cfg.split_protocols(settings_of(evaluation)["protocol"]))
    finetune = finetune_file(evaluation)
    if not finetune:
        return Head(ONE_SHOT, (), protocols, 0)
    parts = tuple(read_config(finetune, *more) for more in encoder_part_flags(finetune))
    name = parts[0].finetune if len(parts) == 1 else ENSEMBLE
    return Head(name, parts, protocols, units_of(finetune))


def units_of(path):
    """Returns what a training's flagfile costs, in forward passes per image and step."""
    return find_rows()[row_of_file(path)].units[pathlib.PurePosixPath(path).stem]


@functools.cache
def read_config(path, *more):
    """Returns the `Config` that a flagfile of ascl_tf.train gives, `more` flags behind it."""
    values = flag_defs.define_flags(*cfg.sections())
    flag_defs.define_program_flags(values)
    flags.DEFINE_enum("stage", cfg.PRETRAIN, [*cfg.STAGES, cfg.ALL], "", flag_values=values)
    with contextlib.chdir(ROOT):  # Nested flagfiles are named from there.
        explicit = flag_defs.parse(values, ["train", f"--flagfile={path}", *more])
    explicit.pop("stage", None)
    return train.config_from(cfg.Config(), explicit)


def row_config(folder, *more):
    """Returns the `Config` of a row's pre-training, `more` flags behind its own."""
    return read_config(pretrain_file(folder), *more)


def rows_before(folder):
    """Returns setting -> the row whose run a row's pre-training starts from."""
    config = row_config(folder)
    found = {name: getattr(config, name) for name in NAMES_OF_RUNS}
    return {name: row_of_run(path) for name, path in found.items() if path}


def settings_of(path):
    """Returns the flags of a flagfile, and of those that it includes: name -> text."""
    settings = {}
    for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        if line.startswith("--flagfile="):
            settings |= settings_of(value)
        elif line.startswith("--"):
            settings[name] = value
    return settings


def program_of(path):
    """Returns the program that a flagfile is for: train or evaluate."""
    return "evaluate" if "model" in settings_of(path) else "train"


def commands(folder):
    """Returns the command lines that train and measure a row, in order, as lists of arguments.

    Of the runs that it starts from, `rows_before` tells.
    """
    found = [_command(pretrain_file(folder))]
    for evaluation in evaluation_files(folder):
        finetune = finetune_file(evaluation)
        for more in encoder_part_flags(finetune) if finetune else ():
            found.append(_command(finetune, *more))
            if program_of(evaluation) == "evaluate":  # It measures exported models.
                found.append(_command(finetune, *more, "--stage=export"))
        found.append(_command(evaluation))
    return found


def _command(path, *more):
    return ["python", "-m", f"ascl_tf.{program_of(path)}", f"--flagfile={path}", *more]


def named_rows(names):
    """Returns rows such as table1/acl for `names` such as acl; () gives `METHOD_ROWS`.

    Raises:
        ValueError: naming the first one that is no row.
    """
    return [_named_row(name) for name in names] or list(METHOD_ROWS)


def _named_row(name):
    known = [row for row in METHOD_ROWS if name == row.partition("/")[2]]
    row = known[0] if known else name
    if row not in find_rows():
        raise ValueError(
            f"--rows: expected a row of flags/rows.toml such as table1/acl; found {name!r}"
        )
    return row


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", nargs="?", help="such as table1/ascl; none: list all")
    row = parser.parse_args(argv).row
    if row is None:
        for folder, found in find_rows().items():
            shared = f" (the run of {found.run})" if found.run else ""
            print(f"{folder:<32}{found.place}: {found.title}{shared}")
        return
    if row not in find_rows():
        found = f"{row!r}{near_names(row, find_rows())}"
        parser.error(f"row: expected one of flags/rows.toml, such as table1/ascl; found {found}")
    for other in rows_before(row).values():
        print(f"# after the pre-training of {other}")
    print("\n".join(" ".join(command) for command in commands(row)))


if __name__ == "__main__":
    flag_defs.run_program(lambda argv: main(argv[1:]), sys.argv)
