"""Each check finds the model or the number that is broken in its way, and only that."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.evaluation.checks import (
    MODEL_CHECKS,
    RECORD_CHECKS,
    add,
    attach,
    check_model,
    check_records,
)
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


def _record(name, robust, standard=80.0, **fields):
    protocol = get_protocol(name)
    return {
        "protocol": name,
        "attack": protocol.settings(),
        "epsilon": protocol.epsilon.text,
        "standard_accuracy": standard,
        "robust_accuracy": robust,
        "checks": [],
        **fields,
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
        ([("pgd20", 60.0), ("autoattack", 40.0)], [["far_above_autoattack"], []]),
        ([("pgd20", 54.0), ("autoattack", 40.0)], [[], []]),
        ([("standard", 80.0), ("autoattack", 40.0)], [[], []]),
    ],
)
def test_numbers_that_contradict_each_other_are_found(records, expected):
    found = check_records([_record(*arguments) for arguments in records])
    assert [[f["name"] for f in findings] for findings in found] == expected


def test_explanation_names_the_other_protocol_and_both_numbers():
    found = check_records([_record("fgsm", 40.0), _record("pgd20", 50.0)])
    assert "`fgsm` with fewer steps is stronger (40.00 % against 50.00 %)" in found[1][0]["message"]
    assert set(RECORD_CHECKS) >= {found[1][0]["name"]}


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [
        ("8/255", []),
        ("0.03", []),
        ("1/255", []),
        ("0", []),
        # 255 times too large, and 255 times too small.
        ("8", ["epsilon_unit"]),
        ("8/65025", ["epsilon_unit"]),
        ("0.5", ["epsilon_unit"]),
    ],
)
def test_epsilon_in_another_unit_is_found(epsilon, expected):
    (found,) = check_records([_record("pgd20", 40.0, epsilon=epsilon)])
    assert [f["name"] for f in found] == expected


def test_perturbation_out_of_the_ball_is_found():
    inside = _record("pgd20", 40.0, max_perturbation=8 / 255 + 1e-7)
    outside = _record("pgd20", 40.0, max_perturbation=9 / 255)
    found = check_records([inside, outside])
    assert [[f["name"] for f in findings] for findings in found] == [
        [],
        ["perturbation_out_of_ball"],
    ]
    assert "a pixel moved by 0.03529412 where epsilon is 8/255" in found[1][0]["message"]


def test_square_that_does_better_than_gradients_is_found():
    attacks = {
        name: {"robust_accuracy": accuracy}
        for name, accuracy in {"clean": 80.0, "apgd-ce": 60.0, "square": 30.0}.items()
    }
    (found,) = check_records([_record("autoattack", 30.0, attacks=attacks)])
    assert [f["name"] for f in found] == ["square_stronger"]
    attacks["square"]["robust_accuracy"] = 59.9
    assert check_records([_record("autoattack", 59.9, attacks=attacks)]) == [[]]


def test_check_without_anything_to_compare_is_not_said_to_have_passed():
    (alone,) = attach([_record("pgd20", 40.0)], [])
    assert not {"fewer_steps_stronger", "larger_radius_weaker"} & set(alone["checks_passed"])
    assert {"robust_above_standard", "epsilon_unit"} <= set(alone["checks_passed"])
    fgsm, pgd20 = attach([_record("fgsm", 50.0), _record("pgd20", 40.0)], [])
    assert "fewer_steps_stronger" not in fgsm["checks_passed"]
    assert "fewer_steps_stronger" in pgd20["checks_passed"]


def test_outcome_of_one_more_check_is_added_to_every_record():
    records = attach([_record("pgd20", 40.0)], [])
    (passed,) = add([dict(records[0])], "seen_in_training", "")
    assert passed["checks"] == [] and passed["checks_passed"][-1] == "seen_in_training"
    (raised,) = add([dict(records[0])], "seen_in_training", "3 of 4 images")
    assert raised["checks"] == [{"name": "seen_in_training", "message": "3 of 4 images"}]
    assert "seen_in_training" not in raised["checks_passed"]
