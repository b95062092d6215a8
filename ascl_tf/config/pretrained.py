"""Trained models that come with the package: `pretrained:NAME` in place of a path. No TensorFlow.

ascl_tf/pretrained/<name>/   classifier.keras  card.json  README.md  assets/labels.txt
"""

import hashlib
import json
import pathlib

from ascl_tf.errors import near_names

PREFIX, FILE, CARD = "pretrained:", "classifier.keras", "card.json"
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "pretrained"


def list_pretrained() -> list[str]:
    """Returns the names of the models that come with the package, for `ascl_tf.load`."""
    found = sorted(path.parent for path in FOLDER.glob(f"*/{FILE}"))
    return [folder.name for folder in found if (folder / CARD).is_file()]


def file_of(name: str) -> str:
    """Returns the file of a model that comes with the package.

    Args:
        name: one of `list_pretrained()`.

    Raises:
        ValueError: if there is no such model, or its file is not the one that its card tells of.
    """
    names = list_pretrained()
    if name not in names:
        known = ", ".join(PREFIX + known for known in names) or "no model by name: none is here"
        raise ValueError(f"expected {known}; found {name!r}{near_names(name, names)}")
    file = FOLDER / name / FILE
    if hashlib.sha256(file.read_bytes()).hexdigest() != _recorded_sha256(file.parent / CARD):
        raise ValueError(f"expected {file} as its card has it; found another file of that name")
    return str(file)


def _recorded_sha256(card: pathlib.Path) -> str:
    try:
        return str(json.loads(card.read_text(encoding="utf-8"))["files"][FILE]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"expected the card of a model in {card}; found another file") from None
