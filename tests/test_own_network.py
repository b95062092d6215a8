"""A network of one's own through every stage, and the text of docs/own_network.md."""

import json
import pathlib

import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf.data import datasets
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.export import load_model
from ascl_tf.models.own_encoder import OwnEncoder
from ascl_tf.training import run
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly, random_images
from tests.training.worlds import make_tiny_world

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "own_network.md"
OWN = "tests.models.own_networks:"


@pytest.fixture
def world(monkeypatch):
    """A config of one epoch of two steps; stages see synthetic images, and any encoder."""
    from ascl_tf.methods import factory

    make_encoder = factory.make_encoder
    config = make_tiny_world(monkeypatch)
    monkeypatch.setattr(factory, "make_encoder", make_encoder)
    with eagerly():
        yield config.replace(epochs=1, finetune_epochs=1, global_batch_size=12, method="acl")


def _images_of(size, monkeypatch):
    def load(name, split, **settings):
        count = 30 if split == "train" else 12
        images = (random_images(count, size, seed=len(split)) * 255).astype(np.uint8)
        labels = np.arange(count, dtype=np.int32) % 3
        return ImageDataset("noise", images, labels, 3, ("a", "b", "c"))

    monkeypatch.setattr(datasets, "load_dataset", load)


@pytest.mark.parametrize(
    "encoder, batch_norm, size",
    [
        (f"{OWN}make_sequential", "separate", 8),
        (f"{OWN}make_functional", "separate", 8),
        (f"{OWN}Subclassed", "shared", 8),
        (f"{OWN}make_mobile_net", "separate", 32),
    ],
)
def test_any_network_goes_through_every_stage(
    encoder, batch_norm, size, world, tmp_path, monkeypatch
):
    _images_of(size, monkeypatch)
    method = "acl" if size == 8 else "at"  # One pass of the large one is a second.
    config = world.replace(
        encoder=encoder, batch_norm=batch_norm, protocol="fgsm", method=method, finetune="laf"
    )
    if method == "at":
        config = config.replace(pretrained=str(tmp_path))
    workdir = WorkDirectory(tmp_path)
    for stage in cfg.STAGES:
        run.run_stages(config, stage, workdir)
    record = json.loads(workdir.results("pretrain").read_text())
    assert (
        record["settings"]["encoder"] == encoder and len(record["versions"]["encoder_file"]) == 64
    )
    (evaluated, _) = json.loads(workdir.results("evaluate_finetune_laf").read_text())["records"]
    assert 0 <= evaluated["robust_accuracy"] <= 100
    images = random_images(5, size)
    classifier = run.load_classifier(config, workdir, datasets.load_dataset("", "test"), "best")
    assert isinstance(classifier.encoder, OwnEncoder)
    exported = load_model(workdir.export("finetune_laf"))
    want = classifier(images, training=False)
    np.testing.assert_allclose(exported.logits_fn(images)["logits"], want, atol=1e-5)
    np.testing.assert_allclose(exported.features_fn(images), classifier.features(images), atol=1e-5)
