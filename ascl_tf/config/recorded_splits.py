"""Which settings of a run say what images it has trained and tested on, read from its record.

A fine-tuning that starts from the run, and an evaluation of what it has exported, find the same
split by them.
"""

import os
from collections.abc import Mapping
from typing import Any

from ascl_tf.config.config import FOLDER_PREFIX

DATASET = "dataset"
SPLIT_SETTINGS = (
    *("train_split", "validation_split", "test_split", "test_fraction", "split_seed"),
    *("image_size", "resize"),
)


def recorded_splits(recorded: Mapping[str, Any], dataset: str | None) -> dict[str, Any]:
    """Returns the settings of a run that say how its data set is split and resized.

    Args:
        recorded: its settings, as plain values.
        dataset: the data set that is asked for; None: nobody has said, which means the run's own
            where that is a folder.

    Returns:
        Empty where another data set is asked for. Folders are the same if their names are: a
        folder may have moved.

    Example:
        >>> run = {"dataset": "folder:/data/pets", "test_fraction": 0.3, "epochs": 5}
        >>> recorded_splits(run, "folder:pets")
        {'test_fraction': 0.3}
        >>> recorded_splits(run, None)
        {'dataset': 'folder:/data/pets', 'test_fraction': 0.3}
        >>> recorded_splits(run, "cifar10")
        {}
    """
    own = str(recorded.get(DATASET, ""))
    if _name(own if dataset is None else dataset) != _name(own):
        return {}
    if dataset is None and not own.startswith(FOLDER_PREFIX):
        return {}
    found = {DATASET: own} if dataset is None else {}
    return found | {name: recorded[name] for name in SPLIT_SETTINGS if name in recorded}


def _name(dataset: str) -> str:
    path = dataset.removeprefix(FOLDER_PREFIX)
    return dataset if path == dataset else FOLDER_PREFIX + os.path.basename(os.path.abspath(path))
