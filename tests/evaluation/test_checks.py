"""Each check finds the model or the number that is broken in its way, and only that."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.evaluation.checks import MODEL_CHECKS, RECORD_CHECKS, check_model, check_records
from ascl_tf.evaluation.protocols import get_protocol
from tests.common import random_images
from tests.evaluation import models

NETWORK = models.tiny_network()
NORM = keras.layers.BatchNormalization()
IMAGES = random_images(8)
LABELS = np.argmax(NETWORK(IMAGES), axis=1)


def _noisy(images):
    logits = NETWORK(images)
    return logits + tf.random.normal(tf.shape(logits))


def _saturated(images):
    return 1e8 * tf.one_hot(LABELS, 4) + NETWORK(images)


BROKEN_MODELS = {
    "random_output": _noisy,
    "batch_dependent_output": lambda images: NORM(NETWORK(images), training=True),
    "probabilities": lambda images: tf.nn.softmax(NETWORK(images)),
    "zero_gradients": _saturated,
}


def test_every_check_has_its_broken_model():
    assert set(BROKEN_MODELS) == set(MODEL_CHECKS)


@pytest.mark.parametrize("name", BROKEN_MODELS)
def test_broken_model_is_named_and_explained(name):
    findings = {f["name"]: f["message"] for f in check_model(BROKEN_MODELS[name], IMAGES, LABELS)}
    assert set(findings) == {name} and len(findings[name]) > 40


def test_sound_model_passes_every_check():
    assert check_model(NETWORK, IMAGES, LABELS) == []


def test_few_saturated_images_are_no_finding():
    def one_saturated(images):
        scale = tf.concat([[1e8], tf.ones([39])], axis=0)[:, None]
        return scale * NETWORK(images)

    images = random_images(40)
    assert check_model(one_saturated, images, np.argmax(NETWORK(images), axis=1)) == []


def test_model_without_gradient_counts_as_zero_gradient():
    def rounded(images):
        return tf.round(4 * images[:, 0, 0, :])

    findings = check_model(rounded, IMAGES, np.argmax(rounded(IMAGES), axis=1))
    assert [f["name"] for f in findings] == ["zero_gradients"]
    assert "cross-entropy is zero for 8 of 8 images" in findings[0]["message"]


def _record(name, robust, standard=80.0):
    protocol = get_protocol(name)
    return {
        "protocol": name,
        "attack": protocol.settings(),
        "epsilon": protocol.epsilon.text,
        "standard_accuracy": standard,
        "robust_accuracy": robust,
    }


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([("pgd20", 90.0)], [["robust_above_standard"]]),
        ([("fgsm", 40.0), ("pgd20", 50.0)], [[], ["fewer_steps_stronger"]]),
        ([("pgd100", 50.0), ("pgd10", 40.0)], [["fewer_steps_stronger"], []]),
        ([("pgd20", 40.0), ("pgd20_eps16", 50.0)], [[], ["larger_radius_weaker"]]),
        ([("standard", 80.0), ("fgsm", 50.0), ("pgd20", 45.0), ("pgd100", 45.5)], [[]] * 4),
        # Other steps at another radius, or another library: no comparison.
        ([("fgsm", 10.0), ("pgd20_eps16", 20.0), ("cleverhans_pgd20", 30.0)], [[]] * 3),
    ],
)
def test_numbers_that_contradict_each_other_are_found(records, expected):
    found = check_records([_record(*arguments) for arguments in records])
    assert [[f["name"] for f in findings] for findings in found] == expected


def test_explanation_names_the_other_protocol_and_both_numbers():
    found = check_records([_record("fgsm", 40.0), _record("pgd20", 50.0)])
    assert "`fgsm` with fewer steps is stronger (40.00 % against 50.00 %)" in found[1][0]["message"]
    assert set(RECORD_CHECKS) >= {found[1][0]["name"]}
