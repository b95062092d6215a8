"""Classifier: normalization inside, features, and .keras files that give back the same logits."""

import keras
import numpy as np
import pytest

from ascl_tf.models import (
    BRANCHES,
    Classifier,
    LinearHead,
    ProjectionHead,
    ResNet,
    resnet,
    resnet18,
)
from tests.common import random_images
from tests.models.oracles import policy, randomize

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch):
    """One that keeps the shape, and one that changes it."""
    for depth in (18, 34):
        monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, depth, (1, 0, 0, 1))


def _classifier(image_size=8, **settings):
    classifier = Classifier(resnet18(width=2), LinearHead(3), **settings)
    classifier.build((None, image_size, image_size, 3))
    randomize(classifier)
    return classifier


def test_logits_are_the_linear_head_of_the_features():
    classifier = _classifier()
    features = classifier.features(random_images())
    assert features.shape == (4, 16)
    np.testing.assert_array_equal(features, classifier.encoder(random_images()))
    np.testing.assert_array_equal(classifier(random_images()), classifier.linear_head(features))


def test_normalization_is_inside():
    classifier = _classifier(input_mean=MEAN, input_std=STD)
    plain = Classifier(classifier.encoder, classifier.linear_head)
    images = random_images()
    want = plain(((images - np.array(MEAN)) / np.array(STD)).astype(np.float32))
    np.testing.assert_allclose(classifier(images), want, rtol=1e-4, atol=1e-5)
    assert np.abs(classifier(images) - plain(images)).max() > 1e-2


def test_calls_default_to_the_adversarial_branch_and_move_nothing():
    classifier = _classifier()
    before = [v.numpy() for v in classifier.variables]
    clean, adversarial = [classifier(random_images(), branch=branch) for branch in BRANCHES]
    np.testing.assert_array_equal(classifier(random_images()), adversarial)
    assert np.any(clean != adversarial)
    for variable, value in zip(classifier.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_parts_that_have_weights_keep_them():
    encoder = resnet18(width=1)
    encoder.build((None, 8, 8, 3))
    before = [v.numpy() for v in encoder.variables]
    classifier = Classifier(encoder, LinearHead(3))
    classifier.build((None, 8, 8, 3))
    assert len(classifier.variables) == len(before) + 2
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("settings", [{}, {"input_mean": MEAN, "input_std": STD}])
def test_saved_and_reloaded_model_gives_equal_logits(tmp_path, settings):
    classifier = _classifier(**settings)
    classifier.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    for branch in BRANCHES:
        want = classifier(random_images(), branch=branch)
        np.testing.assert_array_equal(reloaded(random_images(), branch=branch), want)
        assert np.ptp(want, axis=0).min() > 1e-3


@pytest.mark.parametrize("name", ["float64", "mixed_float16"])
def test_reloaded_model_keeps_its_policy_under_another(tmp_path, name):
    with policy(name):
        classifier = _classifier()
        want = classifier(random_images())
        classifier.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    got = reloaded(random_images())
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_saved_encoder_and_projection_head_give_equal_outputs(tmp_path):
    encoder = ResNet(depth=34, width=1, batch_norm="shared")
    head = ProjectionHead(hidden_dim=4, projection_dim=3, batch_norm="shared")
    projections = head(encoder(random_images()))
    for part, name in ((encoder, "encoder.keras"), (head, "head.keras")):
        part.save(tmp_path / name)
    encoder, head = [keras.models.load_model(tmp_path / f"{n}.keras") for n in ("encoder", "head")]
    np.testing.assert_array_equal(head(encoder(random_images())), projections)
    assert (encoder.depth, encoder.batch_norm, head.hidden_dim) == (34, "shared", 4)


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"input_mean": MEAN},
            r"`input_mean` and `input_std` must be given together; received .* and None\.",
        ),
        (
            {"input_mean": MEAN, "input_std": (1, 0, 1)},
            r"`input_std` must be > 0 in each channel; received \(1, 0, 1\)\.",
        ),
    ],
)
def test_wrong_normalization_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Classifier(resnet18(width=1), LinearHead(3), **settings)
