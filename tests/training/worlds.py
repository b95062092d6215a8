"""The tiny encoder and 30 synthetic images in place of the real ones."""

from ascl_tf.data import datasets
from ascl_tf.methods import factory
from tests.methods import helpers


def make_tiny_world(monkeypatch):
    """Patches encoder and data set; returns a config of three epochs of four steps."""
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    monkeypatch.setattr(datasets, "load_dataset", _load_dataset)
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
