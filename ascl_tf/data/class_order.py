"""Whether data have the classes, by place and name, that a classifier was trained on."""

from collections.abc import Sequence
from typing import Any

from ascl_tf.errors import RunError


def compare_classes(own: Sequence[str], found: Sequence[str], **parts: Any) -> str:
    """Returns a line on classes with different names; empty if all names are the same.

    Args:
        own: names of the classifier's classes; their numbers, or none, fit all.
        found: those of the data.
        **parts: of the error, such as `field` and `value`.

    Raises:
        RunError: if a class of the classifier has another number in the data.

    Example:
        >>> compare_classes(["car", "cat"], ["automobile", "cat"])
        "1 of 2 classes have different names: class 0 is 'automobile', to the classifier 'car'"
    """
    if any(list(names) == list(map(str, range(len(names)))) for names in (own, found)):
        return ""
    others = [i for i, name in enumerate(found[: len(own)]) if name != own[i]]
    moved = [i for i in others if found[i] in own]
    told = [f"class {i} is {found[i]!r}, to the classifier {own[i]!r}" for i in moved or others]
    if moved:
        expected = "the classifier's classes, in their order"
        raise RunError(**parts, expected=expected, found=told[0])
    return f"{len(others)} of {len(own)} classes have different names: {told[0]}" if others else ""
