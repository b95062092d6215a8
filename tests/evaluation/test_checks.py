"""Each check finds the model or the number that is broken in its way, and only that."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks.model_checks import spread_rows
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.black_box import transfer_matrix
from ascl_tf.evaluation.checks import (
    MODEL_CHECKS,
    RECORD_CHECKS,
    add,
    attach,
    check_model,
)
from ascl_tf.evaluation.common_corruptions import evaluate_corruptions
from ascl_tf.evaluation.model_ensemble import mean_probability_logits
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
from tests.common import random_images
from tests.evaluation import models

IMAGES = random_images(8)
_UNCENTERED = models.tiny_network()
_MEAN_LOGITS = tf.reduce_mean(_UNCENTERED(IMAGES), axis=0)
NORM = keras.layers.BatchNormalization()


def NETWORK(images):
    """A sound model, whose answers to `IMAGES` are of several classes."""
    return _UNCENTERED(images) - _MEAN_LOGITS


LABELS = np.argmax(NETWORK(IMAGES), axis=1)


def _noisy(images):
    logits = NETWORK(images)
    return logits + tf.random.normal(tf.shape(logits))


def _saturated(images):
    return 1e8 * tf.one_hot(LABELS, 4) + NETWORK(images)


BROKEN_MODELS = {
    "constant_output": lambda images: NETWORK(images) + [0.0, 0.0, 5.0, 0.0],
    "random_output": _noisy,
    "batch_dependent_output": lambda images: NORM(NETWORK(images), training=True),
    "probabilities": lambda images: tf.nn.softmax(NETWORK(images)),
    "zero_gradients": _saturated,
    # Of a data set that declares three classes.
    "class_count": lambda images: NETWORK(images),
}


def _raised(*arguments, **settings):
    """Returns what `check_model` finds suspicious."""
    outcomes = check_model(*arguments, **settings)
    return {name: message for name, message in outcomes.items() if message}


def test_every_check_has_its_broken_model():
    assert set(BROKEN_MODELS) == set(MODEL_CHECKS)


@pytest.mark.parametrize("name", BROKEN_MODELS)
def test_broken_model_is_named_and_explained(name):
    num_classes = 3 if name == "class_count" else 4
    findings = _raised(BROKEN_MODELS[name], IMAGES, LABELS, num_classes=num_classes)
    assert set(findings) == {name} and len(findings[name]) > 40


def test_sound_model_passes_every_check():
    outcomes = check_model(NETWORK, IMAGES, LABELS, num_classes=4)
    assert outcomes == dict.fromkeys(MODEL_CHECKS, "")


@pytest.mark.parametrize("name", ["random_output", "batch_dependent_output"])
def test_huge_logits_hide_nothing_and_overflow_nowhere(name):
    def huge(images):
        return 5e37 * BROKEN_MODELS[name](images)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert name in _raised(huge, IMAGES, LABELS)


def test_few_saturated_images_are_no_finding():
    def one_saturated(images):
        scale = tf.concat([[1e8], tf.ones([39])], axis=0)[:, None]
        return scale * NETWORK(images)

    images = random_images(40)
    assert not _raised(one_saturated, images, np.argmax(NETWORK(images), axis=1))


def test_model_without_gradient_counts_as_zero_gradient():
    def rounded(images):
        return tf.round(4 * images[:, 0, 0, :])

    findings = _raised(rounded, IMAGES, np.argmax(rounded(IMAGES), axis=1))
    assert list(findings) == ["zero_gradients"]
    assert "cross-entropy is zero for 8 of 8 images" in findings["zero_gradients"]


@pytest.mark.parametrize(("num_classes", "line"), [(3, "3 classes"), (5, "5 classes")])
def test_classes_of_the_data_set_are_compared_with_the_logits(num_classes, line):
    findings = _raised(NETWORK, IMAGES, LABELS, num_classes=num_classes)
    assert f"the data set has {line} but the model has 4 logits" in findings["class_count"]
    # Labels alone declare nothing: images of one class are a subset of a larger set.
    assert "class_count" not in check_model(NETWORK, IMAGES, np.zeros_like(LABELS))


def _meant_for_bytes(images):
    """A perfect classifier by color of pixels in 0..255 that gets them in [0, 1]."""
    return tf.reduce_mean(images, axis=[1, 2]) - [-100.0, 0.0, 0.0]


def _with_integer_input():
    """Keras casts what is below 1 to 0."""
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    pixels = keras.layers.Rescaling(1 / 255, dtype="float32")(inputs)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(pixels))


@pytest.mark.parametrize("make_model", [lambda: _meant_for_bytes, _with_integer_input])
def test_one_answer_for_all_images_is_found(make_model):
    images = _colored_images(12)
    findings = _raised(make_model(), images, np.arange(12) % 3)
    expected = "all 12 images tried, of 3 classes, get the same prediction (class 0)"
    assert expected in findings["constant_output"]


def _colored_images(num_images):
    """Returns images whose brightest channel is their place modulo three."""
    images = 0.5 * random_images(num_images)
    images[np.arange(num_images), ..., np.arange(num_images) % 3] += 0.4
    return images


def test_one_answer_for_images_of_one_class_is_no_finding():
    outcomes = check_model(_meant_for_bytes, _colored_images(12)[::3], np.zeros(4, int))
    assert "constant_output" not in outcomes


def test_images_of_every_class_are_looked_at_however_they_are_sorted():
    labels = np.repeat([0, 1, 2], [500, 300, 2])
    images = _colored_images(3)[labels]
    outcomes = check_model(lambda x: 9 * tf.reduce_mean(x, axis=[1, 2]), images, labels)
    assert outcomes["constant_output"] == ""
    rows = spread_rows(labels)
    assert len(rows) == 64 and np.all(np.diff(rows) > 0)
    assert np.bincount(labels[rows]).tolist() == [31, 31, 2]
    np.testing.assert_array_equal(spread_rows(np.zeros(5, int)), np.arange(5))


def test_images_without_label_count_as_what_the_model_says():
    unlabeled = np.full(8, -1)
    assert not _raised(NETWORK, IMAGES, unlabeled)
    assert set(_raised(_saturated, IMAGES, unlabeled)) == {"zero_gradients"}


def test_uint8_images_are_looked_at_as_floats():
    images = np.round(255 * IMAGES).astype(np.uint8)
    seen = []

    def watching(images):
        seen.append((images.dtype, float(tf.reduce_max(images))))
        return NETWORK(images)

    check_model(watching, images, LABELS)
    assert all(dtype == tf.float32 and largest <= 1 for dtype, largest in seen)


def test_output_that_is_not_finite_is_left_to_whoever_measures():
    assert check_model(lambda x: NETWORK(x) * np.nan, IMAGES, LABELS) == {}


def test_each_member_of_an_ensemble_is_looked_at():
    softmax = BROKEN_MODELS["probabilities"]
    ensemble = mean_probability_logits([NETWORK, softmax, softmax])
    findings = _raised(ensemble, IMAGES, LABELS)
    assert list(findings) == ["probabilities"]
    assert findings["probabilities"].startswith("members 2, 3 of 3: every row of the output is")
    sound = check_model(mean_probability_logits([NETWORK, NETWORK]), IMAGES, LABELS)
    assert set(sound.values()) == {""}


DECLARED = ImageDataset("three", np.uint8(255 * IMAGES), np.int32(LABELS % 3), 3, ("a", "b", "c"))


@pytest.mark.parametrize(
    "measure",
    [
        lambda model, data: evaluate_robustness(model, data, ["standard", "fgsm"]),
        # Of the sweeps one: both check a model in the same place.
        pytest.param(
            lambda model, data: sweep_steps(model, data, num_steps=1), marks=pytest.mark.slow
        ),
        lambda model, data: sweep_epsilons(model, data, epsilons=["0", "1/255"], num_steps=1),
        lambda model, data: evaluate_corruptions(
            model, data, corruptions=["contrast"], severities=[1]
        ),
        lambda model, data: transfer_matrix({"a": model, "b": model}, data, protocol="fgsm"),
        lambda model, data: evaluate_robustness(
            mean_probability_logits([model, model]), data, "standard"
        ),
    ],
)
def test_everything_that_measures_a_model_makes_the_same_checks(measure):
    broken = {"class_count", "probabilities"}
    for record in measure(BROKEN_MODELS["probabilities"], DECLARED):
        assert broken <= {check["name"] for check in record["checks"]}
        others = set(MODEL_CHECKS) - broken - {"constant_output"}
        assert others <= set(record["checks_passed"])
    # An array of images declares no classes, so that nothing was looked at.
    for record in measure(NETWORK, (DECLARED.images, DECLARED.labels)):
        names = {check["name"] for check in record["checks"]} | set(record["checks_passed"])
        assert "class_count" not in names and "probabilities" in record["checks_passed"]


def test_part_of_a_declared_set_is_still_that_set():
    part = dataclasses.replace(DECLARED, num_classes=4, class_names=("a", "b", "c", "d")).take(
        np.flatnonzero(DECLARED.labels == DECLARED.labels[0])
    )
    (record,) = evaluate_robustness(NETWORK, part, "standard")
    assert "class_count" in record["checks_passed"]


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


def _found(records):
    """Returns what is suspicious about each of several records of one model."""
    return [record["checks"] for record in attach(records, {})]


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
        # Another ball says nothing, although its radius is larger.
        ([("pgd20_l2", 70.0), ("autoattack", 40.0)], [[], []]),
        ([("pgd20_l2", 70.0), ("autoattack_l2", 40.0)], [["far_above_autoattack"], []]),
        ([("pgd20_l2", 50.0), ("pgd20_l2@num_steps=5", 40.0)], [["fewer_steps_stronger"], []]),
    ],
)
def test_numbers_that_contradict_each_other_are_found(records, expected):
    found = _found([_record(*arguments) for arguments in records])
    assert [[f["name"] for f in findings] for findings in found] == expected


def test_explanation_names_the_other_protocol_and_both_numbers():
    found = _found([_record("fgsm", 40.0), _record("pgd20", 50.0)])
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
    (found,) = _found([_record("pgd20", 40.0, epsilon=epsilon)])
    assert [f["name"] for f in found] == expected


@pytest.mark.parametrize(
    ("epsilon", "expected"),
    [
        ("128/255", []),
        ("17/255", []),
        ("8/255", ["epsilon_unit"]),
        ("0.5", []),
        ("3", []),
        ("15", ["epsilon_unit"]),
        ("1/65025", ["epsilon_unit"]),
    ],
)
def test_l2_epsilon_in_another_unit_is_found(epsilon, expected):
    for name in ("pgd20_l2", "autoattack_l2"):
        (found,) = _found([_record(name, 40.0, epsilon=epsilon)])
        assert [f["name"] for f in found] == expected


def test_perturbation_out_of_the_l2_ball_is_found():
    inside = _record("pgd20_l2", 40.0, max_perturbation=128 / 255 + 5e-6)
    outside = _record("pgd20_l2", 40.0, max_perturbation=0.51)
    good, bad = _found([inside, outside])
    assert good == [] and "an image moved by 0.51000000 but epsilon is 128/255" in bad[0]["message"]


def test_perturbation_out_of_the_ball_is_found():
    inside = _record("pgd20", 40.0, max_perturbation=8 / 255 + 1e-7)
    outside = _record("pgd20", 40.0, max_perturbation=9 / 255)
    found = _found([inside, outside])
    assert [[f["name"] for f in findings] for findings in found] == [
        [],
        ["perturbation_out_of_ball"],
    ]
    assert "a pixel moved by 0.03529412 but epsilon is 8/255" in found[1][0]["message"]


def test_square_that_does_better_than_gradients_is_found():
    attacks = {
        name: {"robust_accuracy": accuracy}
        for name, accuracy in {"clean": 80.0, "apgd-ce": 60.0, "square": 30.0}.items()
    }
    (found,) = _found([_record("autoattack", 30.0, attacks=attacks)])
    assert [f["name"] for f in found] == ["square_stronger"]
    attacks["square"]["robust_accuracy"] = 59.9
    assert _found([_record("autoattack", 59.9, attacks=attacks)]) == [[]]


def test_check_without_anything_to_compare_is_not_said_to_have_passed():
    (alone,) = attach([_record("pgd20", 40.0)], {})
    assert not {"fewer_steps_stronger", "larger_radius_weaker"} & set(alone["checks_passed"])
    assert {"robust_above_standard", "epsilon_unit"} <= set(alone["checks_passed"])
    fgsm, pgd20 = attach([_record("fgsm", 50.0), _record("pgd20", 40.0)], {})
    assert "fewer_steps_stronger" not in fgsm["checks_passed"]
    assert "fewer_steps_stronger" in pgd20["checks_passed"]


def test_outcome_of_one_more_check_is_added_to_every_record():
    records = attach([_record("pgd20", 40.0)], {})
    (passed,) = add([dict(records[0])], "seen_in_training", "")
    assert passed["checks"] == [] and passed["checks_passed"][-1] == "seen_in_training"
    (raised,) = add([dict(records[0])], "seen_in_training", "3 of 4 images")
    assert raised["checks"] == [{"name": "seen_in_training", "message": "3 of 4 images"}]
    assert "seen_in_training" not in raised["checks_passed"]
