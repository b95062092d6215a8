"""What a program that measures takes from the record of the run that has exported its model."""

import json
import pathlib

from ascl_tf.config import CONFIG_FILE, FOLDER_PREFIX, setting_fields
from ascl_tf.config.recorded_splits import DATASET, recorded_splits
from ascl_tf.config.setting import value_from_json
from ascl_tf.errors import RunError
from ascl_tf.serving.card import read_card

# A work directory has its models in export/<stage>.
_EXPORT = "export"
# The flags here that are called otherwise there.
_FLAGS = {"test_split": "split", "train_split": "training_split"}
_AUTO = "auto"


def with_settings_of_run(chosen, models, flags):
    """Returns what a command line sets, and beside it what the run of its model says of the data.

    The flags that it sets stay. Where a value other than the default is taken over, a line says
    so.

    Of a model elsewhere its card says how pictures are brought to its size.

    Args:
        chosen: dictionary from flag to value.
        models: paths of the models; the first that lies in a work directory counts.
        flags: dataclass of the program's flags.
    """
    run = next(filter(None, map(_find_run, models)), None)
    if run is None:
        source, found = "on the model's card", _of_cards(models)
    else:
        source = "in the run that exported the model"
        found = recorded_splits(_read(run), chosen.get(DATASET))
        found = {_FLAGS.get(name, name): value for name, value in found.items()}
    fields = flags.__dataclass_fields__
    taken = {
        name: value
        for name, value in found.items()
        if name in fields and name not in chosen and value not in (_AUTO, fields[name].default)
    }
    if taken:
        told = " ".join(f"--{name}={_shown(value)}" for name, value in taken.items())
        print(f"notice: {told}, as {source}", flush=True)
    return {**chosen, **taken}


def _of_cards(models):
    """Returns the settings on the cards of models; none where they differ or are damaged."""
    try:
        cards = [read_card(model) for model in models]
    except RunError:
        return {}  # What others keep under that name says nothing here.
    ways = {card["resize"] if card else None for card in cards} - {None}
    return {"resize": ways.pop()} if len(ways) == 1 else {}


def _find_run(model):
    """Returns the file of settings of the run that has exported a model, or None."""
    path = pathlib.Path(model).absolute()
    file = path.parent.parent / CONFIG_FILE
    return file if path.parent.name == _EXPORT and file.is_file() else None


def _read(file):
    """Returns the settings in a file; those that say nothing about images are not looked at."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8")).get("settings", {})
        fields = setting_fields()
        return {
            name: value_from_json(fields[name], value, str(file))
            for name, value in settings.items()
            if name in fields
        }
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise RunError(f"{file}: expected the settings of a run; found {error}") from None


def _shown(value):
    # The folder's own place is known to the run; its name is enough here.
    text = str(value)
    return (
        text if not text.startswith(FOLDER_PREFIX) else f"{FOLDER_PREFIX}{pathlib.Path(text).name}"
    )
