"""How methods compare where few images have a label, at equal compute: a question of our own.

Each method has as many epochs as a fixed number of forward passes pays for, its teacher and its
fine-tuning included, rounded to whole epochs. No run sees a label beyond its share: none is held
out, and the last epoch counts. AT, WSCAT and ASCL attack by one step in pre-training.
"""

import dataclasses
from collections.abc import Mapping

from tools.reproduction.extra_rows import ExtraRow

# Per training image, about those of four epochs of AT with ten steps: whole epochs of each method
# come within 5 % of them.
PASSES = 98.0
SHARES = (0.01, 0.1, 1.0)
_COMMON = {"validation_fraction": 0.0, "weight_averaging": 0.995}
_LINEAR = {"finetune_epochs": 5, "finetune_num_steps": 4}


@dataclasses.dataclass(frozen=True)
class _Method:
    """A method, whatever the share of the labels.

    Attributes:
        like, title, settings, units, finetune_units, heads: as of an `ExtraRow`.
        is_taught: whether a teacher labels what has no label.
        needs_unlabeled: whether there is nothing of it where all images have a label.
    """

    like: str
    title: str
    settings: Mapping[str, object]
    units: int
    finetune_units: Mapping[str, int] = dataclasses.field(default_factory=dict)
    heads: tuple[str, ...] = ()
    is_taught: bool = False
    needs_unlabeled: bool = False


_AT = _Method(
    "table1/at", "AT on labeled images", {"schedule": "cosine", "at_attack": "fgsm_rs"}, 6
)
_ASCL = _Method("fast/ascl", "ASCL", _LINEAR, 12, {"laf": 10})
_METHODS = {
    "teacher": _Method("figure2/standard", "standard training, the teacher", {}, 4),
    "at": _AT,
    "at_pseudo": dataclasses.replace(
        _AT, title="AT on pseudo-labels", is_taught=True, needs_unlabeled=True
    ),
    "at_kl": dataclasses.replace(
        _AT,
        title="AT, KL of unlabeled images",
        settings={**_AT.settings, "unlabeled_kl_weight": 5.0},
        units=10,
        needs_unlabeled=True,
    ),
    "wscat": _Method(
        "beyond/wscat", "WSCAT", {"num_steps_at": 1, "step_size": "10/255"}, 10, is_taught=True
    ),
    "ascl": _ASCL,
    "ascl_pseudo": dataclasses.replace(
        _ASCL, title="ASCL on pseudo-labels", is_taught=True, needs_unlabeled=True
    ),
    "dynacl": _Method("beyond/dynacl", "DynACL", _LINEAR, 28, {"laf": 10}, heads=("lsf", "laf")),
}


def folder_of(name, share):
    """Returns what the row of a method at a share of the labels is called."""
    return f"few_labels/{name}_{100 * share:g}"


def share_of(folder):
    """Returns (method, share of the labels) of a row."""
    name, _, percent = folder.removeprefix("few_labels/").rpartition("_")
    return name, float(percent) / 100


def label_of(name, head):
    """Returns what a method is called in the figure; a head stands there where it has several."""
    method = _METHODS[name]
    return f"{method.title} ({head})" if method.heads else method.title


def _row(name, share):
    method = _METHODS[name]
    settings = {**_COMMON, **method.settings, "labeled_fraction": share}
    if method.is_taught and share < 1:
        settings["pseudo_label_classifier"] = f"runs/{folder_of('teacher', share)}"
    # Of images without a label the attack needs the natural logits.
    units = method.units + (name == "ascl" and share < 1)
    return ExtraRow(
        folder_of(name, share),
        method.like,
        f"{method.title}, {100 * share:g} % of the labels",
        settings,
        passes=0.0 if name == "teacher" else PASSES,
        units=units,
        finetune_units=method.finetune_units,
        heads=method.heads,
    )


def _names(share):
    """Returns the methods at a share; where all images have a label, nobody needs a teacher."""
    few = [name for name in _METHODS if name != "teacher" and not _METHODS[name].needs_unlabeled]
    return _METHODS if share < 1 else few


ROWS = tuple(_row(name, share) for share in SHARES for name in _names(share))
SEVERAL_SEEDS = tuple(row.folder for row in ROWS if share_of(row.folder)[1] < 1)
