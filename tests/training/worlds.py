"""The tiny encoder and 30 synthetic images in place of the real ones."""

import contextlib

import pytest

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.methods import factory
from ascl_tf.models import Classifier, LinearHead
from ascl_tf.serving.exporting import export_classifier
from ascl_tf.training import run
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly, guess_durations, weak_views_for_strong
from tests.methods import helpers


def make_tiny_world(monkeypatch):
    """Patches encoder and data set; returns a config of three epochs of four steps."""
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    monkeypatch.setattr(datasets, "load_dataset", _load_dataset)
    guess_durations(monkeypatch)
    return helpers.TINY.replace(
        dataset="bundled",  # Never loaded.
        num_replicas=1,
        epochs=3,
        finetune_epochs=3,
        validation_fraction=0.2,
        validation_protocol="fgsm",
        evaluation_batch_size=6,
        num_steps_at=1,
        num_steps_cl=1,
        num_steps_ascl=1,
        finetune_num_steps=1,
        log_every=2,
    )


def _load_dataset(name, split, **settings):
    return helpers.make_dataset(30 if split == "train" else 12, seed=split == "test")


@contextlib.contextmanager
def eager_world():
    """As `make_tiny_world`, until it is closed; one epoch, step by step, of weak views alone."""
    with pytest.MonkeyPatch.context() as monkeypatch, eagerly(), weak_views_for_strong():
        yield make_tiny_world(monkeypatch).replace(epochs=1)


def pretrain_with(config, path):
    """Returns the work directory `path` after the pre-training of `config`."""
    run.run_stages(config, cfg.PRETRAIN, WorkDirectory(path))
    return path


def export_tiny_classifier(path, num_classes=3):
    """Exports a classifier of the tiny world's images to the folder `path`; returns it."""
    classifier = Classifier(
        helpers.TinyEncoder("separate", name="encoder"), LinearHead(num_classes), name="classifier"
    )
    classifier.build((None, *helpers.IMAGE_SHAPE))
    export_classifier(classifier, path, image_shape=helpers.IMAGE_SHAPE)
    return classifier
