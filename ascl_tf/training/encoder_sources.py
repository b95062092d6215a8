"""Encoders that have been trained before: of a work directory, or of a file of a classifier."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from ascl_tf import config as cfg
from ascl_tf.config import NetworkSettings
from ascl_tf.config.paths import MODEL, expand
from ascl_tf.config.setting import AUTO
from ascl_tf.errors import ConfigError, RunError, renamed
from ascl_tf.methods.factory import make_encoder, settings_of_encoder
from ascl_tf.models import Classifier
from ascl_tf.models.averaged import copy_to_branches, copy_variables
from ascl_tf.models.own_encoder import SHARED
from ascl_tf.serving.loading import load_model
from ascl_tf.training.checkpoints import LAST, restore_parts
from ascl_tf.training.workdir import recorded_config

EXPECTED = (
    "the work directory of a pre-training, or a classifier of this package as its method save() "
    "writes it, such as pretrained:NAME"
)
_ENCODER = "encoder"


class EncoderSource(NamedTuple):
    """Where a trained encoder is.

    Attributes:
        path: of the work directory, or the file, as it was given.
        settings: the settings that make its network, by name.
        restore: callable (encoder, checkpoint="last", part="encoder") that loads into a built
            network of these settings. A file has one checkpoint, and one part.
    """

    path: str
    settings: dict[str, Any]
    restore: Callable[..., None]


def open_encoder(field: str, path: str, expected: str = EXPECTED) -> EncoderSource:
    """Returns the `EncoderSource` at `path`.

    Args:
        field: name of the setting that holds the path.
        path: work directory, .keras file whose model is a `Classifier`, or `pretrained:NAME`.
        expected: what may be there, for messages.

    Raises:
        ConfigError: if it is neither; `restore` raises it for another network.
        RunError: if the file is damaged.
    """
    try:
        place = pathlib.Path(expand(os.fspath(path), MODEL))
    except ValueError as error:
        raise ConfigError(error, field=field) from None
    if place.suffix == ".keras" and place.is_file():
        return _of_file(field, path, place, expected)
    source = recorded_config(place)
    if source is None:
        found = "no config.json there" if place.exists() else "nothing there"
        raise ConfigError(field=field, value=path, expected=expected, found=found)

    def restore(encoder: keras.Model, checkpoint: str = LAST, part: str = _ENCODER) -> None:
        folder = place / "checkpoints" / cfg.PRETRAIN
        try:
            restore_parts(folder, checkpoint, **{part: encoder})
        except RunError as error:
            raise ConfigError(error, field=field, value=path) from None

    settings = {name: getattr(source, name) for name in cfg.ENCODER_SETTINGS}
    return EncoderSource(path, settings, restore)


def start_from(source: EncoderSource, network: NetworkSettings, encoder: keras.Model) -> None:
    """Loads the encoder of the setting `initial_encoder`.

    One with shared batch norm gives each branch its statistics and parameters. Before `fit`, which
    then replaces it if the run has a checkpoint of its own.

    Args:
        source: what `open_encoder` has found.
        network: section of this run's settings.
        encoder: built, what is loaded into.

    Raises:
        ConfigError: if its network is another one, or its checkpoint is damaged.
    """
    made = settings_of_encoder(encoder)
    spreads = made is not None and source.settings["batch_norm"] == SHARED != made["batch_norm"]
    # What was made says more than what was asked for, such as a stem in place of "auto".
    wanted = made or {name: getattr(network, name) for name in source.settings}
    for name, value in source.settings.items():
        own = wanted[name]
        is_like = value == own or (name == "stem" and AUTO in (value, own))
        if not is_like and not (spreads and name == "batch_norm"):
            raise ConfigError(
                field="initial_encoder",
                value=source.path,
                expected=f"`{name}={own}` as in this run",
                found=value,
            )
    if spreads:
        _spread(source, network, encoder)
    else:
        source.restore(encoder)


def _spread(source, network, encoder):
    """Loads an encoder with one set of batch norm into each branch of one that has several."""
    settings = {"batch_norm": SHARED, "stem": encoder.stem}
    shared = make_encoder(dataclasses.replace(network, **settings), None)
    shared.build((None, None, None, 3))
    source.restore(shared)
    copy_to_branches(shared, encoder)


def _of_file(field: str, path: str, place: pathlib.Path, expected: str) -> EncoderSource:
    with renamed(path=field):
        model = load_model(str(place)).logits_fn
    settings = settings_of_encoder(model.encoder) if isinstance(model, Classifier) else None
    if settings is None:
        found = (
            f"a file of {type(getattr(model, _ENCODER, model)).__name__}, which no setting makes"
        )
        raise ConfigError(field=field, value=path, expected=expected, found=found)

    def restore(encoder: keras.Model, checkpoint: str = LAST, part: str = _ENCODER) -> None:
        if checkpoint != LAST:
            raise ConfigError(
                field="encoder_checkpoint",
                value=checkpoint,
                expected=LAST,
                found=f"`{field}={path}`, which has one",
            )
        if part != _ENCODER:
            raise ConfigError(field="encoder_part", value=part, expected=_ENCODER, found=path)
        try:
            copy_variables(model.encoder, encoder)
        except ValueError:  # Another stem.
            stem = f"`stem={settings['stem']}` as in the file"
            raise ConfigError(field=field, value=path, expected=stem, found="another") from None

    return EncoderSource(path, settings, restore)
