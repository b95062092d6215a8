"""A classifier in Keras' own layers gives the same logits, and its file needs nothing else."""

import keras
import numpy as np
import pytest

from ascl_tf.errors import RunError
from ascl_tf.models import (
    ADVERSARIAL,
    Classifier,
    LinearHead,
    PreActResNet,
    ResNet,
    WideResNet,
    preactivation,
    resnet,
)
from ascl_tf.models.own_encoder import OwnEncoder
from ascl_tf.models.plain import as_plain_model
from tests.common import random_images
from tests.models.own_networks import Subclassed, make_functional, make_sequential

SHAPE = (16, 16, 3)
BUILT_IN = {
    "resnet": lambda: ResNet(18, 2, batch_norm="shared"),
    "bottleneck, imagenet stem": lambda: ResNet(50, 1, stem="imagenet"),
    "preact, imagenet stem": lambda: PreActResNet(18, 2, stem="imagenet"),
    "preact of others": lambda: PreActResNet(18, 2, shortcut="input", final_batch_norm=False),
    "wide": lambda: WideResNet(10, 2, 2),
}


def _randomized(classifier, shape=SHAPE):
    """Builds it, with other weights and statistics in each layer and branch."""
    classifier.build((None, *shape))
    rng = np.random.default_rng(0)
    for variable in classifier.variables:
        size = (np.prod(variable.shape[:-1]) / 2) ** -0.5 if len(variable.shape) > 1 else 0.2
        value = rng.normal(size=variable.shape) * size
        is_scale = variable.path.endswith(("gamma", "moving_variance"))
        variable.assign(1 + 0.3 * np.tanh(value) if is_scale else value)
    return classifier


def _check(classifier, size):
    """Compares a classifier with its plain form; returns that."""
    plain, images = as_plain_model(classifier, (size, size, 3)), random_images(3, size)
    logits = classifier(images, training=False, branch=ADVERSARIAL)
    assert np.abs(logits).max() > 0.1
    np.testing.assert_allclose(plain(images), logits, rtol=1e-5, atol=1e-5)
    features = keras.Model(plain.input, plain.get_layer("features").output)(images)
    np.testing.assert_allclose(features, classifier.features(images), rtol=1e-5, atol=1e-5)
    for layer in plain._flatten_layers():
        assert type(layer).__module__.startswith("keras."), layer
    return plain


@pytest.mark.parametrize("name", BUILT_IN)
def test_networks_of_the_package(name, monkeypatch):
    for module in (resnet, preactivation):  # A block of each kind is enough.
        few = dict.fromkeys(module.BLOCKS_PER_STAGE, (1, 1, 1, 1))
        monkeypatch.setattr(module, "BLOCKS_PER_STAGE", few)
    mean_and_std = {"input_mean": [0.4, 0.5, 0.6], "input_std": [0.2, 0.25, 0.3]}
    _check(_randomized(Classifier(BUILT_IN[name](), LinearHead(3), **mean_and_std)), 16)


@pytest.mark.parametrize("make", [make_functional, make_sequential])
@pytest.mark.parametrize("batch_norm", ["separate", "shared"])
def test_own_networks(make, batch_norm):
    encoder = OwnEncoder(make, (8, 8, 3), batch_norm)
    plain = _check(_randomized(Classifier(encoder, LinearHead(3)), (8, 8, 3)), 8)
    norms = [m for m in plain._flatten_layers() if isinstance(m, keras.layers.BatchNormalization)]
    assert norms and not any(norm.synchronized for norm in norms)


def test_plain_model_trains_further():
    plain = as_plain_model(_randomized(Classifier(BUILT_IN["wide"](), LinearHead(3))), SHAPE)
    kernels = [layer for layer in plain.layers if isinstance(layer, keras.layers.Conv2D)]
    assert all(layer.trainable_weights for layer in kernels)


def test_the_model_keeps_its_branches():
    encoder = OwnEncoder(make_functional, (8, 8, 3))
    classifier = _randomized(Classifier(encoder, LinearHead(3)), (8, 8, 3))
    before = classifier.get_weights()
    as_plain_model(classifier, (8, 8, 3))
    for one, other in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@keras.saving.register_keras_serializable("test_plain")
class Doubled(keras.layers.Layer):
    """A layer of one's own."""

    def call(self, inputs):
        return 2 * inputs


def test_what_keras_alone_cannot_read_is_refused_in_one_line():
    images = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()
    for model, found in (
        (Classifier(OwnEncoder(Subclassed, (8, 8, 3), "shared"), LinearHead(3)), "Subclassed"),
        (keras.Model(images, pooled(Doubled(name="twice")(images))), "twice, a Doubled"),
        (keras.Model(images, pooled(keras.layers.Lambda(abs, name="f")(images))), "f, a Lambda"),
    ):
        model.build((None, 8, 8, 3))
        with pytest.raises(RunError, match="^keras: expected a network of this pack") as caught:
            as_plain_model(model, (8, 8, 3))
        assert found.lower() in str(caught.value).lower() and "\n" not in str(caught.value)
