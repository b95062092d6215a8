"""How methods compare where few images have a label, at equal compute: a question of our own.

Each method has as many epochs as a fixed number of forward passes pays for, its teacher and its
fine-tuning included, rounded to whole epochs. No run sees a label beyond its share: none is held
out, and the last epoch counts. AT, WSCAT and ASCL attack by one step in pre-training.
"""

from tools.reproduction.extra_rows import ExtraRow

# Per training image, about those of four epochs of AT with ten steps: whole epochs of each method
# come within 5 % of them.
PASSES = 98.0
SHARES = (0.01, 0.1, 1.0)
_COMMON = {"validation_fraction": 0.0, "weight_averaging": 0.995}
_COSINE = {"schedule": "cosine"}
_ONE_STEP = {"at_attack": "fgsm_rs"}
_LINEAR = {"finetune_epochs": 5, "finetune_num_steps": 4}
# Of the method, not the share: `like`, title, settings, units, and what else an `ExtraRow` has.
_METHODS = {
    "at": ("table1/at", "AT on labeled images", _COSINE | _ONE_STEP, 6, {}),
    "at_pseudo": ("table1/at", "AT on pseudo-labels", _COSINE | _ONE_STEP, 6, {}),
    "at_kl": (
        "table1/at",
        "AT, KL of unlabeled images",
        _COSINE | _ONE_STEP | {"unlabeled_kl_weight": 5.0},
        10,
        {},
    ),
    "wscat": ("beyond/wscat", "WSCAT", {"num_steps_at": 1, "step_size": "10/255"}, 10, {}),
    "ascl": ("fast/ascl", "ASCL", _LINEAR, 13, {"finetune_units": {"laf": 10}}),
    "ascl_pseudo": (
        "fast/ascl",
        "ASCL on pseudo-labels",
        _LINEAR,
        12,
        {"finetune_units": {"laf": 10}},
    ),
    "dynacl": (
        "beyond/dynacl",
        "DynACL",
        _LINEAR,
        28,
        {"finetune_units": {"laf": 10}, "heads": ("lsf", "laf")},
    ),
}
_TITLES = {"teacher": "standard training, the teacher"} | {
    name: entry[1] for name, entry in _METHODS.items()
}
# A teacher labels what has no label; where all images have one, there is nothing to do for it.
_TAUGHT = ("at_pseudo", "wscat", "ascl_pseudo")
_NEED_UNLABELED = ("at_pseudo", "at_kl", "ascl_pseudo")


def folder_of(name, share):
    """Returns what the row of a method at a share of the labels is called."""
    return f"few_labels/{name}_{100 * share:g}"


def share_of(folder):
    """Returns (method, share of the labels) of a row."""
    name, _, percent = folder.removeprefix("few_labels/").rpartition("_")
    return name, float(percent) / 100


def label_of(name, head):
    """Returns what a method is called in the figure; a head stands there where it has several."""
    title = _TITLES.get(name, name)
    _, _, _, _, more = _METHODS.get(name, (None,) * 4 + ({},))
    return f"{title} ({head})" if "heads" in more else title


def _teacher(share):
    settings = {**_COMMON, "labeled_fraction": share}
    return ExtraRow(
        folder_of("teacher", share), "figure2/standard", _title(_TITLES["teacher"], share), settings
    )


def _row(name, share):
    like, title, settings, units, more = _METHODS[name]
    settings = {**_COMMON, **settings, "labeled_fraction": share}
    if name in _TAUGHT and share < 1:
        settings["pseudo_label_classifier"] = f"runs/{folder_of('teacher', share)}"
    if name == "ascl" and share == 1:
        units -= 1  # No natural logits for the attack on images without a label.
    fields = {"passes": PASSES, "units": units, **more}
    return ExtraRow(folder_of(name, share), like, _title(title, share), settings, **fields)


def _title(title, share):
    return f"{title}, {100 * share:g} % of the labels"


def _rows(share):
    names = [name for name in _METHODS if share < 1 or name not in _NEED_UNLABELED]
    teachers = [_teacher(share)] if share < 1 else []
    return [*teachers, *(_row(name, share) for name in names)]


ROWS = tuple(row for share in SHARES for row in _rows(share))
SEVERAL_SEEDS = tuple(row.folder for row in ROWS if share_of(row.folder)[1] < 1)
