"""The rows' flagfiles, as the other tools read them."""

import contextlib
import pathlib

from absl import flags

from ascl_tf import config as cfg
from ascl_tf import flag_defs, train

ROOT = pathlib.Path(__file__).resolve().parents[1]
ONE_EPOCH = "flags/base/one_epoch.flags"
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
)
NAMES_OF_RUNS = ("pseudo_label_encoder", "initial_encoder")


def find_rows(names):
    """Returns folders such as table1/acl for `names` such as acl; () gives `METHOD_ROWS`.

    Raises:
        ValueError: naming the first one that has no pretrain.flags.
    """
    return [_find_row(name) for name in names] or list(METHOD_ROWS)


def _find_row(name):
    known = [row for row in METHOD_ROWS if name == row.partition("/")[2]]
    row = known[0] if known else name
    if not (ROOT / pretrain_file(row)).is_file():
        raise ValueError(
            f"--rows: expected a folder such as table1/acl below flags/, with a pretrain.flags; "
            f"found {name!r}"
        )
    return row


def pretrain_file(row):
    """Returns the flagfile of a row's pre-training, relative to the repository's root."""
    return f"flags/{row}/pretrain.flags"


def row_config(row, *more):
    """Returns the `Config` of a row's pre-training, `more` flags put behind its own."""
    values = flag_defs.define_flags(*cfg.SECTIONS)
    flag_defs.define_program_flags(values)
    stages = [*cfg.STAGES, cfg.ALL]
    flags.DEFINE_enum("stage", cfg.PRETRAIN, stages, "What to do.", flag_values=values)
    with contextlib.chdir(ROOT):  # Nested flagfiles are named from there.
        explicit = flag_defs.parse(values, ["train", f"--flagfile={pretrain_file(row)}", *more])
    explicit.pop("stage", None)
    return train.config_from(cfg.Config(), explicit)


def rows_before(row):
    """Returns option -> the row whose run a row starts from."""
    config = row_config(row)
    found = {name: getattr(config, name) for name in NAMES_OF_RUNS}
    return {name: path.removeprefix("runs/") for name, path in found.items() if path}
