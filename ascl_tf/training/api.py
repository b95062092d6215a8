"""Training from Python: what `python -m ascl_tf.train` does, with images and networks of a caller.

    encoder = ascl_tf.pretrain(train, method="ascl", epochs=20, workdir="runs/mine")
    classifier = ascl_tf.finetune(encoder, train, mode="laf", workdir="runs/mine")
    records = ascl_tf.evaluate_robustness(classifier, test, ["standard", "pgd20"])
    ascl_tf.export_classifier(classifier, "exported")

Every setting of the program is a keyword of the same name. Checkpoints, records, TensorBoard logs
and errors are the program's, and so is what happens in a work directory that holds a run already:
the same call goes on where it was stopped, other settings or images are refused.
"""

import os
from typing import Any

import keras

from ascl_tf import config as cfg
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.errors import ConfigError
from ascl_tf.methods.factory import choose_encoder
from ascl_tf.training import run
from ascl_tf.training.checkpoints import LAST, restore_parts
from ascl_tf.training.processes import open_work_directory
from ascl_tf.training.run_data import GivenImages
from ascl_tf.training.strategy import FLOAT32

RUNS = "runs"


def pretrain(
    train: ImageDataset,
    *,
    method: str = "ascl",
    encoder: keras.Model | None = None,
    validation: ImageDataset | None = None,
    unlabeled: ImageDataset | None = None,
    workdir: str = "",
    **settings: Any,
) -> keras.Model:
    """Pre-trains an encoder; returns it as it was after the last step.

    Args:
        train: images to train on. A tenth of them is held out where there is no `validation` and
            `validation_fraction` does not say otherwise.
        method: name, or "my_package.my_file:MyMethod".
        encoder: a Keras model from images [B, H, W, 3] in [0, 1] to features [B, F]; None: the
            network that the settings describe.
        validation: labeled images that choose the best checkpoint.
        unlabeled: further images, whose labels are not looked at.
        workdir: folder of the run; empty: runs/<name of the images>_<method>.
        **settings: of `python -m ascl_tf.train --help`, by name.

    Returns:
        Encoder, a Keras model: images [B, H, W, 3] in [0, 1] -> features [B, F], of the adversarial
        branch. For a method of one stage, such as "at", the best classifier: images -> logits
        [B, C], with an attribute `encoder`.

    Raises:
        ConfigError: if a setting is not as it must be, or a run in `workdir` has others.
        RunError: if the images do not fit the method, or a file cannot be read or written.
    """
    config = _config(train, workdir, method, encoder, method=method, **settings)
    directory, given = (
        open_work_directory(config.workdir),
        GivenImages(train, validation, unlabeled),
    )
    with run.alone_in(directory):
        run.pretrain(
            config,
            directory,
            is_finetuned_next=False,
            given=given,
            encoder=encoder,
            fixed=settings,
        )
    if config.is_one_shot:
        chosen = run.chosen_checkpoint(config, directory)
        return run.load_classifier(config, directory, train, chosen, encoder=encoder)
    trained = choose_encoder(encoder, config.network, train.image_shape)
    trained.build((None, *train.image_shape))
    restore_parts(directory.checkpoints(cfg.PRETRAIN), LAST, encoder=trained)
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
    """Trains a classifier on an encoder, which stays as it is; returns the best one.

    Args:
        encoder: of `pretrain`, or another built one.
        train: labeled images; a tenth is held out, as in `pretrain`.
        mode: "laf", "lsf", "faf" or "fsf".
        validation: labeled images that choose the best checkpoint.
        workdir: folder of the run; empty: runs/<name of the images>_<mode>.
        **settings: of `python -m ascl_tf.train --stage=finetune --help`, by name.

    Returns:
        Classifier, a Keras model: images [B, H, W, 3] in [0, 1] -> logits [B, C].

    Raises:
        ConfigError, RunError: as `pretrain`.
    """
    config = _config(train, workdir, mode, encoder, finetune=mode, **settings)
    directory = open_work_directory(config.workdir)
    encoder = choose_encoder(encoder, config.network, train.image_shape)
    with run.alone_in(directory):
        images = GivenImages(train, validation)
        run.finetune(config, directory, given=images, encoder=encoder, fixed=settings)
    chosen = run.chosen_checkpoint(config, directory)
    return run.load_classifier(config, directory, train, chosen, encoder=run.twin_of(encoder))


def _config(train, workdir, purpose, encoder, **settings):
    folder = workdir or os.path.join(RUNS, f"{train.name}_{purpose.rpartition(':')[2]}")
    config = cfg.Config(**settings, dataset=train.name, workdir=os.fspath(folder))
    if encoder is not None and config.precision != FLOAT32:
        raise ConfigError(
            field="precision",
            value=config.precision,
            expected=f"{FLOAT32} for a model that is there already; the function that makes one, "
            "as `encoder` of a command line, serves both",
        )
    return config
