"""Training from Python: what `python -m ascl_tf.train` does, on your own images and networks.

    encoder = ascl_tf.pretrain(train, method="ascl", epochs=20, workdir="runs/mine")
    classifier = ascl_tf.finetune(encoder, train, mode="laf", workdir="runs/mine")
    records = ascl_tf.evaluate_robustness(classifier, test, ["standard", "pgd20"])
    ascl_tf.export_classifier(classifier, "exported")

Every flag of the program is a keyword argument of the same name. Checkpoints, records, TensorBoard
logs and errors are the same as the program's. So is the behavior in a work directory that already
holds a run: the same call continues where it stopped, settings that you leave out are those of the
run, and different settings or images are refused.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from ascl_tf import config as cfg
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.errors import ConfigError, renamed
from ascl_tf.methods.factory import choose_encoder
from ascl_tf.process import signals
from ascl_tf.training import run, trained
from ascl_tf.training.checkpoints import LAST, restore_parts
from ascl_tf.training.given import Given, take_encoder, twin_of
from ascl_tf.training.processes import open_work_directory
from ascl_tf.training.run_data import GivenImages, check_size
from ascl_tf.training.strategy import FLOAT32
from ascl_tf.training.workdir import recorded_config

RUNS = "runs"
# Settings of a command line that an argument stands in for.
_ARGUMENTS = {
    "dataset": "train",
    "train_split": "train",
    "validation_split": "validation",
    "image_size": "",
    "pretrained": "encoder",
}
_ARGUMENTS_OF_FINETUNE = {"encoder_checkpoint": "encoder", "encoder_part": "encoder"}


def pretrain(
    train: ImageDataset,
    *,
    method: str = "ascl",
    encoder: keras.Model | Callable[[], keras.Model] | str | None = None,
    validation: ImageDataset | None = None,
    unlabeled: ImageDataset | None = None,
    workdir: str = "",
    **settings: Any,
) -> keras.Model:
    """Pre-trains an encoder and returns it as it is after the last step.

    Args:
        train: images to train on. If `validation` is None, a tenth of them is held out, or the
            share in `validation_fraction`.
        method: name of a method, or "my_package.my_file:MyMethod".
        encoder: a Keras model from images [B, H, W, 3] in [0, 1] to features [B, F], of which a
            copy is trained; a function that makes one; a string as for `--encoder`; or None for
            the network that the settings describe.
        validation: labeled images that select the best checkpoint.
        unlabeled: additional images. Their labels are ignored.
        workdir: folder of the run. Empty: runs/<name of the images>_<method>.
        **settings: flags of `python -m ascl_tf.train --helpfull`, by name.

    Returns:
        Encoder, a Keras model: images [B, H, W, 3] in [0, 1] -> features [B, F] from the
        adversarial branch. For a one-shot method such as "at", the best classifier: images ->
        logits [B, C], with an attribute `encoder`.

    Raises:
        ConfigError: if a setting is invalid, or differs from that of the run in `workdir`.
        RunError: if the images do not fit the method, or a file cannot be read or written.
    """
    images = GivenImages(train, validation, unlabeled)
    config, given = _prepare(images, workdir, method, encoder, settings, method=method)
    if unlabeled is not None and not config.uses_unlabeled_images:
        expected = "a method with a term that needs no labels, or `pseudo_label_classifier`"
        raise ConfigError(field="unlabeled", expected=expected, found=f"`method={method}`")
    directory = open_work_directory(config.workdir)
    with _running(directory):
        run.pretrain(config, directory, is_finetuned_next=False, given=images, encoder=given)
    unbuilt = None if given is None else twin_of(given.encoder)
    if config.is_one_shot:
        return _classifier(config, directory, train, unbuilt)
    trained = choose_encoder(unbuilt, config.network, train.image_shape)
    trained.build((None, *train.image_shape))
    restore_parts(directory.checkpoints(cfg.PRETRAIN), LAST, encoder=trained)
    trained.network_settings = config.network
    return trained


def finetune(
    encoder: keras.Model,
    train: ImageDataset,
    *,
    mode: str = "laf",
    validation: ImageDataset | None = None,
    workdir: str = "",
    **settings: Any,
) -> keras.Model:
    """Trains a classifier on a copy of an encoder and returns the best one.

    Args:
        encoder: the result of `pretrain`, the attribute `encoder` of a classifier, or a Keras model
            as in `pretrain`. It is not changed.
        train: labeled images. A tenth is held out, as in `pretrain`.
        mode: "laf", "lsf", "faf" or "fsf".
        validation: labeled images that select the best checkpoint.
        workdir: folder of the run. Empty: runs/<name of the images>_<mode>.
        **settings: flags of `python -m ascl_tf.train --helpfull`, by name.

    Returns:
        Classifier, a Keras model: images [B, H, W, 3] in [0, 1] -> logits [B, C].

    Raises:
        ConfigError, RunError: as in `pretrain`.
    """
    images = GivenImages(train, validation)
    _check_not_named(settings, _ARGUMENTS_OF_FINETUNE)
    if encoder is None or isinstance(encoder, str):
        expected = "the model that is to be fine-tuned"
        raise ConfigError(field="encoder", expected=expected, found=repr(encoder))
    config, given = _prepare(images, workdir, mode, encoder, settings, finetune=mode)
    assert given is not None
    directory = open_work_directory(config.workdir)
    with _running(directory):
        run.finetune(config, directory, given=images, encoder=given)
    return _classifier(config, directory, train, twin_of(given.encoder))


def _classifier(
    config: cfg.Config, directory: Any, train: ImageDataset, encoder: keras.Model | None
) -> keras.Model:
    chosen = trained.chosen_checkpoint(config, directory)
    classifier = trained.load_classifier(config, directory, train, chosen, encoder=encoder)
    classifier.encoder.network_settings = config.network
    return classifier


def _prepare(
    images: GivenImages,
    workdir: str,
    purpose: str,
    encoder: Any,
    settings: dict[str, Any],
    **chosen: str,
) -> tuple[cfg.Config, Given | None]:
    """Returns the config of a call, and its encoder where one is given."""
    train = images.train
    for name, value in images._asdict().items():
        if name == "train" or value is not None:
            _check_dataset(name, value)
    _check_not_named(settings, _ARGUMENTS)
    folder = workdir or os.path.join(RUNS, f"{train.name}_{purpose.rpartition(':')[2]}")
    named = {**settings, **chosen}
    if isinstance(encoder, str):
        named, encoder = cfg.with_absolute_places({**named, "encoder": encoder}), None
    config = (recorded_config(folder) or cfg.Config()).replace(
        **named, dataset=train.name, workdir=os.fspath(folder)
    )
    config = config.with_chosen(settings)
    if named.get("smoke"):
        config = cfg.shrink(config, kept={*named, "dataset", "workdir", *cfg.ENCODER_SETTINGS})
    if encoder is not None and config.precision != FLOAT32:
        raise ConfigError(
            field="precision",
            value=config.precision,
            expected=f"{FLOAT32} for a model that is there already; a function that makes one, by "
            "name (`encoder=my_package.my_file:make_encoder`), serves both",
            found="`encoder` with a model",
        )
    given = None
    if encoder is not None:
        given, config = take_encoder(encoder, config, train.image_shape, settings)
    else:
        with renamed(dataset="train"):
            check_size(train, "dataset", train.name)
    _tell(config, train)
    return config, given


def _check_dataset(name: str, value: object) -> None:
    if not isinstance(value, ImageDataset):
        expected = "an ImageDataset, such as ImageDataset.from_arrays(images, labels)"
        raise ConfigError(field=name, expected=expected, found=type(value).__name__)


def _check_not_named(settings: dict[str, Any], arguments: dict[str, str]) -> None:
    for name in sorted(set(settings) & set(arguments)):
        argument = arguments[name]
        expected = f"the argument `{argument}` in its place" if argument else "images of that size"
        found = f"{settings[name]!r}, of a command line"
        raise ConfigError(field=name, expected=expected, found=found)


def _tell(config: cfg.Config, train: ImageDataset) -> None:
    """Says what is allowed and may be a mistake."""
    if config.attack.doubt is not None:
        print(f"warning: {config.attack.doubt}", flush=True)
    empty = np.setdiff1d(np.arange(train.num_classes), train.labels)
    if train.num_labeled and len(empty):
        print(
            f"notice: `train`: {len(empty)} of {train.num_classes} classes have no images, such as "
            f"{train.class_names[empty[0]]}",
            flush=True,
        )


@contextlib.contextmanager
def _running(directory: Any) -> Iterator[None]:
    """Holds the work directory; names arguments in errors; a first Ctrl-C waits for the step."""
    arguments = {name: argument for name, argument in _ARGUMENTS.items() if argument}
    with signals.listening(), run.alone_in(directory):
        with renamed(**arguments, unlabeled_dataset="unlabeled"):
            yield
