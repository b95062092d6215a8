"""Accuracies of single classes, from which images are right."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ascl_tf.attacks.autoattack_run import percent

# The entry of a record.
PER_CLASS = "per_class"


def accuracies_by_class(
    labels: np.ndarray,
    is_right: np.ndarray,
    is_robust: np.ndarray,
    class_names: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Returns an entry for each class that has images, in the order of the class ids.

    Args:
        labels: int [N].
        is_right, is_robust: bool [N], right without and under attack.
        class_names: of the data set; a class without a name is called by its number.

    Example:
        >>> labels, right = np.array([0, 0, 2]), np.array([True, True, False])
        >>> accuracies_by_class(labels, right, right & [True, False, True], ["cat", "dog"])[0]
        {'class': 'cat', 'num_images': 2, 'standard_accuracy': 100.0, 'robust_accuracy': 50.0}
    """
    names = dict(enumerate(class_names or ()))
    rows = {int(label): labels == label for label in np.unique(labels)}
    return [
        {
            "class": names.get(label, str(label)),
            "num_images": int(chosen.sum()),
            "standard_accuracy": percent(is_right[chosen]),
            "robust_accuracy": percent(is_robust[chosen]),
        }
        for label, chosen in rows.items()
    ]
