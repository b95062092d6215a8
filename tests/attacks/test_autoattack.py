"""AutoAttack: closed forms, versions, batches, traces, checks, every kind of classifier."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import AutoAttack
from ascl_tf.attacks.autoattack_versions import VERSIONS, plan
from ascl_tf.attacks.model_checks import AutoAttackWarning, check_model, square_stronger
from ascl_tf.attacks.runners import batches
from tests.attacks.classifiers import (
    NUM_CLASSES,
    SIZE,
    LinearClassifier,
    images_and_labels,
    smooth_network,
)
from tests.attacks.shared_runners import shared_runners
from tests.common import random_images

ALL = ("apgd-ce", "apgd-t", "fab-t", "square")
QUICK = {
    "apgd-ce": {"num_steps": 5},
    "apgd-t": {"num_steps": 10},
    "fab-t": {"num_steps": 5},
    "square": {"num_queries": 30},
}
ONE = {"attacks": ["apgd-ce"], "settings": {"apgd-ce": QUICK["apgd-ce"]}}
EPSILON = 0.01


def _attack(classifier, **changes):
    settings = {
        "epsilon": EPSILON,
        "num_classes": NUM_CLASSES,
        "version": "custom",
        "attacks": list(ALL),
        "settings": QUICK,
    }
    return AutoAttack(classifier, **{**settings, **changes})


@pytest.fixture(scope="module")
def runners():
    """The compiled attacks of `linear`'s classifier, for `shared_runners`."""
    return {}


@pytest.fixture(scope="module")
def linear(runners):
    """A classifier, images and labels (some wrong), and of the quick ensemble: how often the
    classifier was traced after one run and after two; the first one's progress and result.
    """
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=25)
    labels[:3] = (labels[:3] + 1) % NUM_CLASSES
    classifier.num_traces, num_traces, seen = 0, [], []
    with shared_runners(runners):
        attack = _attack(classifier, batch_size=10)
        result = attack(images, labels, progress=seen.append)
        num_traces.append(classifier.num_traces)
        attack(images[:9], labels[:9])
        num_traces.append(classifier.num_traces)
    return classifier, images, labels, num_traces, seen, result


def test_linear_classifier_keeps_exactly_the_images_that_no_attack_can_move(linear):
    classifier, images, labels, *_, result = linear
    can_resist = classifier.is_robust(images, labels, EPSILON)
    np.testing.assert_array_equal(result.robust["square"], can_resist)
    assert 4 < can_resist.sum() < 20
    assert result.robust_accuracy == pytest.approx(100 * can_resist.mean())
    assert result.standard_accuracy == pytest.approx(100 * 22 / 25)
    np.testing.assert_array_equal(result.correct, np.arange(25) >= 3)


def test_adversarial_images_are_misclassified_in_ball_and_box(linear):
    classifier, images, labels, *_, result = linear
    got = result.adversarial_images
    wrong = np.argmax(classifier(got), axis=1) != labels
    np.testing.assert_array_equal(wrong, ~result.robust["square"])
    untouched = result.robust["square"] | ~result.correct
    np.testing.assert_array_equal(got[untouched], images[untouched])
    assert np.abs(got - images).max() <= EPSILON + 1e-6
    assert got.min() >= 0 and got.max() <= 1 and got.dtype == np.float32


def test_attacks_stand_in_order_and_never_raise_the_accuracy(linear):
    result = linear[-1]
    assert tuple(result.robust) == ALL == tuple(result.seconds)
    flags = np.array([result.correct, *result.robust.values()])
    assert np.all(flags[1:] <= flags[:-1])
    assert result.version == "custom" and result.warnings == {}


@pytest.mark.parametrize("batch_size", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_batch_size_changes_nothing(linear, runners, batch_size):
    classifier, images, labels, *_, want = linear
    with shared_runners(runners):
        got = _attack(classifier, batch_size=batch_size)(images, labels)
    for name in ALL:
        np.testing.assert_array_equal(got.robust[name], want.robust[name])
    np.testing.assert_allclose(got.adversarial_images, want.adversarial_images, atol=1e-5)


def test_seed_decides_the_random_attacks(linear, runners):
    classifier, images, labels, *_ = linear
    with shared_runners(runners):
        first, again, other = (
            _attack(classifier, seed=seed, **ONE)(images, labels).adversarial_images
            for seed in (0, 0, 1)
        )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_function_is_traced_a_handful_of_times_for_a_whole_run_and_not_again(linear):
    num_traces = linear[3]
    # Once for everything, and once to see whether it can be differentiated.
    assert num_traces == [2, 2]


def test_attacks_stop_when_no_image_is_left():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier)
    result = _attack(classifier, epsilon=0.3)(images, labels)
    assert tuple(result.robust) == ("apgd-ce",) and result.robust_accuracy == 0


def test_nothing_is_attacked_where_everything_is_wrong():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier)
    result = _attack(classifier)(images, (labels + 1) % NUM_CLASSES)
    assert result.robust == {} and result.robust_accuracy == result.standard_accuracy == 0
    np.testing.assert_array_equal(result.adversarial_images, images)


def test_each_attack_alone_sees_every_image(linear, runners):
    classifier, images, labels, *_, ensemble = linear
    with shared_runners(runners):
        results = _attack(classifier).individually(images, labels)
    assert tuple(results) == ALL
    for name, result in results.items():
        assert tuple(result.robust) == (name,)
    np.testing.assert_array_equal(
        np.all([result.robust[name] for name, result in results.items()], axis=0),
        ensemble.robust["square"],
    )
    # The first attack of the ensemble saw the same images with the same random numbers.
    np.testing.assert_array_equal(results["apgd-ce"].robust["apgd-ce"], ensemble.robust["apgd-ce"])


def test_progress_counts_images_and_time(linear):
    *_, seen, result = linear
    last = {step.attack: step for step in seen}
    assert tuple(last) == ALL
    for name, step in last.items():
        assert step.num_robust == result.robust[name].sum()
        assert step.robust_accuracy == pytest.approx(4 * step.num_robust)
        assert step.num_done == step.num_to_do and step.seconds_left == 0
    assert [step.num_done for step in seen if step.attack == "apgd-ce"] == [10, 20, 22]
    assert all(step.num_to_do >= step.num_done for step in seen)
    assert seen[0].seconds_left > 0


@pytest.mark.slow  # tests/evaluation/test_autoattack_protocol.py has the fast one.
def test_l2_ensemble_stays_in_its_ball():
    network = smooth_network()
    images, labels = images_and_labels(network)
    result = _attack(network, norm="l2", epsilon=0.3)(images, labels)
    length = np.sqrt(np.sum((result.adversarial_images - images) ** 2, axis=(1, 2, 3)))
    assert np.all(length <= 0.3 + 1e-5) and 0 < result.robust_accuracy < 100
    fooled = np.argmax(network(result.adversarial_images), axis=1) != labels
    np.testing.assert_array_equal(fooled, ~result.robust["square"])


# Versions.


def test_named_versions_have_the_published_numbers():
    standard = [(a.name, a.num_steps, a.num_restarts, a.num_targets) for a in VERSIONS["standard"]]
    assert standard == [
        ("apgd-ce", 100, 1, 0),
        ("apgd-t", 100, 1, 9),
        ("fab-t", 100, 1, 9),
        ("square", 100, 1, 0),
    ]
    assert VERSIONS["standard"][3].num_queries == 5000
    assert [(a.name, a.num_restarts, a.num_targets) for a in VERSIONS["plus"]] == [
        ("apgd-ce", 5, 0),
        ("apgd-dlr", 5, 0),
        ("fab", 5, 0),
        ("square", 1, 0),
        ("apgd-t", 1, 9),
        ("fab-t", 1, 9),
    ]
    assert [(a.name, a.eot_iter) for a in VERSIONS["rand"]] == [("apgd-ce", 20), ("apgd-dlr", 20)]
    assert [a.name for a in VERSIONS["fast"]] == ["apgd-ce", "apgd-t"]


@pytest.mark.parametrize(("num_classes", "num_targets"), [(4, 3), (10, 9), (1000, 9)])
def test_targets_follow_the_number_of_classes(num_classes, num_targets):
    attacks, left_out = plan("standard", attacks=None, settings=None, num_classes=num_classes)
    assert [a.num_targets for a in attacks] == [0, num_targets, num_targets, 0]
    assert left_out == {}


@pytest.mark.parametrize(
    ("num_classes", "attacks"),
    [pytest.param(2, ALL, marks=pytest.mark.slow), (3, ("apgd-ce", "apgd-t"))],
)
def test_few_classes_leave_out_what_is_not_defined_and_say_so(num_classes, attacks):
    classifier = LinearClassifier(num_classes=num_classes)
    images, labels = images_and_labels(classifier)
    with pytest.warns(
        AutoAttackWarning,
        match=f"apgd-t needs at least 4 classes and was left out; the classifier has {num_classes}",
    ):
        attack = _attack(
            classifier,
            num_classes=num_classes,
            attacks=attacks,
            settings={name: QUICK[name] for name in attacks},
        )
        result = attack(images, labels)
    assert "apgd-t" not in result.robust and "apgd-ce" in result.robust
    assert list(result.warnings) == ["left_out_apgd-t"]


@pytest.mark.slow  # test_fab.py and test_apgd.py have either by itself.
def test_untargeted_fab_and_dlr_with_restarts():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier, num_images=12)
    settings = {name: {"num_steps": 8, "num_restarts": 2} for name in ("apgd-dlr", "fab")}
    result = _attack(classifier, attacks=["apgd-dlr", "fab"], settings=settings)(images, labels)
    can_resist = classifier.is_robust(images, labels, EPSILON)
    just_resists = classifier.is_robust(images, labels, EPSILON / 1.06)
    assert np.all(result.robust["fab"][can_resist])
    assert not np.any(result.robust["fab"][~just_resists])


# Kinds of classifiers.


def test_keras_model_runs_in_inference_mode():
    network = keras.Sequential([smooth_network(), keras.layers.Dropout(0.5)])
    images, labels = images_and_labels(network)
    result = _attack(network, **ONE)(images, labels)
    assert result.warnings == {} and result.standard_accuracy == 100


@pytest.fixture(scope="module")
def smooth():
    """A Keras network, images and labels, and the result of an attack."""
    network = smooth_network()
    images, labels = images_and_labels(network)
    return network, images, labels, _attack(network, **ONE)(images, labels)


def test_saved_model_signature(smooth, tmp_path):
    network, images, labels, want = smooth
    network.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    got = _attack(loaded.signatures["serving_default"], **ONE)(images, labels)
    np.testing.assert_array_equal(got.robust["apgd-ce"], want.robust["apgd-ce"])


def test_keras_2_model():
    tf_keras = pytest.importorskip("tf_keras", reason="the package tf_keras is not installed")
    network = tf_keras.Sequential(
        [
            tf_keras.layers.Conv2D(6, 3, activation="softplus", input_shape=(SIZE, SIZE, 3)),
            tf_keras.layers.Dropout(0.5),
            tf_keras.layers.Flatten(),
            tf_keras.layers.Dense(NUM_CLASSES),
        ]
    )
    images, labels = images_and_labels(network)
    result = _attack(network, **ONE)(images, labels)
    assert result.warnings == {} and result.standard_accuracy == 100


def test_compiled_function(smooth):
    network, images, labels, want = smooth
    got = _attack(tf.function(lambda x: network(x, training=False)), **ONE)(images, labels)
    np.testing.assert_array_equal(got.robust["apgd-ce"], want.robust["apgd-ce"])


# Checks of the classifier.


def _warnings_of(classifier, *, num_images=12, labels=None, **changes):
    images = random_images(num_images, SIZE)
    if labels is None:
        labels = np.argmax(classifier(images), axis=1)
    settings = {"attacks": ["apgd-ce"], "settings": {"apgd-ce": {"num_steps": 1}}} | changes
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        result = _attack(classifier, **settings)(images, labels)
    texts = [str(w.message) for w in shown if w.category is AutoAttackWarning]
    assert texts == [f"{name}: {text}" for name, text in result.warnings.items()]
    return result.warnings


def test_random_output_is_reported():
    network = smooth_network()
    found = _warnings_of(lambda x: network(x) + 0.1 * tf.random.normal([NUM_CLASSES]))
    assert list(found) == ["random_output"]
    assert "use the version `rand`" in found["random_output"]


def test_random_output_is_expected_by_the_version_for_it():
    network = smooth_network()
    images, labels = images_and_labels(network, num_images=2)
    attack = AutoAttack(
        lambda x: network(x) + 0.1 * tf.random.normal([NUM_CLASSES]),
        epsilon=0.3,
        num_classes=NUM_CLASSES,
        version="rand",
    )
    result = attack(images, labels)
    assert result.warnings == {} and result.robust_accuracy == 0


def test_probabilities_are_reported():
    network = smooth_network()
    found = _warnings_of(lambda x: tf.nn.softmax(network(x)))
    assert list(found) == ["probabilities"]


def test_training_mode_is_reported():
    network = keras.Sequential([keras.layers.BatchNormalization(), smooth_network()])
    found = _warnings_of(lambda x: network(x, training=True))
    assert "batch_dependent_output" in found
    assert "training mode" in found["batch_dependent_output"]


def test_zero_gradients_are_reported():
    network = smooth_network()
    found = _warnings_of(lambda x: network(tf.round(4 * x) / 4 + 0.0 * x))
    assert found["zero_gradients"].startswith("the gradient of the DLR loss is zero for 12 of 12")


def test_zero_gradients_of_few_images_are_not():
    network = smooth_network()

    def one_dead(images):
        is_first = tf.reshape(tf.range(tf.shape(images)[0]) == 0, [-1, 1])
        return tf.where(is_first, tf.stop_gradient(network(images)), network(images))

    images, labels = images_and_labels(network, num_images=40)
    assert check_model(one_dead, one_dead, images, labels, loss="dlr") == {}
    found = check_model(one_dead, one_dead, images[:12], labels[:12], loss="dlr")
    assert "is zero for 1 of 12 images" in found["zero_gradients"]


def test_square_beating_the_others_is_reported():
    network = smooth_network()
    found = _warnings_of(
        lambda x: network(tf.round(16 * x) / 16 + 0.0 * x),
        attacks=["apgd-ce", "square"],
        settings={"apgd-ce": {"num_steps": 1}, "square": {"num_queries": 300}},
        epsilon=0.1,
    )
    assert "square_stronger" in found and "masks its gradients" in found["square_stronger"]


@pytest.mark.parametrize(
    ("accuracies", "is_suspicious"),
    [
        ({"apgd-ce": 50.0, "square": 49.9}, False),
        ({"apgd-ce": 50.0, "square": 49.7}, True),
        ({"apgd-ce": 50.0, "fab-t": 48.0, "square": 47.9}, False),
        ({"square": 10.0}, False),
        ({"apgd-ce": 50.0}, False),
    ],
)
def test_square_may_be_better_by_two_tenths_of_a_point(accuracies, is_suspicious):
    assert bool(square_stronger(accuracies)) == is_suspicious


# Batches.


@pytest.mark.parametrize(("num_rows", "batch_size"), [(1, 1), (10, 4), (250, 250), (333, 100)])
def test_batches_cover_every_row_once_in_few_sizes(num_rows, batch_size):
    rows = np.arange(num_rows) * 3
    found = list(batches(rows, batch_size))
    np.testing.assert_array_equal(np.concatenate([b[:real] for b, real in found]), rows)
    for batch, real in found:
        assert np.all(batch[real:] == batch[0]) and len(batch) <= batch_size


def test_a_shrinking_set_has_few_sizes_and_little_padding():
    sizes = [[len(batch) for batch, _ in batches(np.arange(n), 1000)] for n in range(1, 1001)]
    padded = np.concatenate(sizes)
    assert len(set(padded)) <= 32 + 5 * 16 and padded.max() == 1000
    assert np.max(padded / np.arange(1, 1001)) <= 1 + 1 / 16


# Errors.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0}, r"`epsilon` must be > 0; received 0"),
        ({"epsilon": -0.1}, r"`epsilon` must be > 0; received -0\.1"),
        ({"norm": "l1"}, r"`norm` must be one of linf, l2; received 'l1'"),
        ({"num_classes": 1}, r"`num_classes` must be an integer >= 2; received 1"),
        ({"batch_size": 0}, r"`batch_size` must be an integer >= 1; received 0"),
        ({"seed": 0.5}, r"`seed` must be an integer.*received 0\.5"),
        ({"version": "best"}, r"`version` must be one of standard, plus.*custom; received 'best'"),
        ({"version": "standard"}, r"`attacks` and `settings` belong to `version='custom'`"),
        ({"attacks": ["apgd-ce", "pgd"]}, r"`attacks` must only hold apgd-ce.*received 'pgd'"),
        ({"attacks": None}, r"`attacks` must be a list of attack names; received None"),
        ({"attacks": "square"}, r"`attacks` must be a list of attack names; received 'square'"),
        ({"attacks": ["square"] * 2, "settings": {}}, r"`attacks` must name each attack once"),
        ({"attacks": ["square"]}, r"`settings` must only hold square; received 'apgd-ce'"),
        ({"seed": 2**31}, r"`seed` must be an integer from -2147483648 to 2147483647; received 2"),
        (
            {"settings": {"square": {"num_steps": 3}}},
            r"`settings\['square'\]` must only hold num_queries, num_restarts; rec.*'num_steps'",
        ),
        ({"settings": {"apgd-ce": {"num_targets": 3}}}, r"must only hold num_steps.*'num_targets'"),
        ({"settings": {"square": {"num_queries": 0}}}, r"must be an integer >= 1; received 0"),
        ({"attacks": ["apgd-t"], "settings": {}, "num_classes": 3}, r"needs more classes.*=3"),
    ],
)
def test_bad_setting_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        _attack(LinearClassifier(), **changes)


def _nan_beyond(points):
    is_bright = points[:, 0, 0, :1] > 0.5
    return tf.where(is_bright, np.nan, points[:, 0, 0, :1]) * tf.ones([1, NUM_CLASSES])


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (lambda x: x, r"`logits_fn` must return logits of shape.*\(None, 8, 8, 3\)"),
        (lambda x: tf.zeros([3, 5]) + 0 * x[0, 0, 0, 0], r"`logits_fn` must return.*\(3, 5\)"),
        (lambda x: tf.round(x[:, 0])[:, :5, 0], r"`logits_fn` must be differentiable.*is None"),
        (lambda x: x[:, 0, 0], r"`logits_fn` must return 5 logits per image.*received 3"),
        (lambda x: np.asarray(x), r"`logits_fn` must be a TensorFlow function.*NotImplemented"),
        (lambda x: {"a": x, "b": x}, r"`logits_fn` must return.*'logits'.*\['a', 'b'\]"),
        (_nan_beyond, r"`logits_fn` must return finite logits; received NaN"),
        ("model", r"`logits_fn` must be a callable.*received str"),
    ],
)
def test_unfit_function_is_named(classifier, message):
    with pytest.raises(ValueError, match=message):
        _attack(classifier)(random_images(), np.zeros(4, np.int32))


def test_network_for_other_images_is_named():
    with pytest.raises(ValueError, match=r"`logits_fn` must be a TensorFlow function.*\(None, 9,"):
        _attack(smooth_network())(random_images(size=9), np.zeros(4, np.int32))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (random_images(), np.full(4, 7), r"`labels` must be from 0 to 4.*from 7 to 7"),
        (random_images(), np.full(4, -1), r"`labels` must be from 0 to 4"),
        (random_images(), np.zeros(5, int), r"`labels` must have shape \[batch\].*\(5,\)"),
        (random_images(), np.zeros(4), r"`labels` must be integers"),
        (random_images()[0], np.zeros(8, int), r"`images` must have shape.*\(8, 8, 3\)"),
        (random_images() * np.nan, np.zeros(4, int), r"`images` must be finite"),
        (255 * random_images(), np.zeros(4, int), r"`images` must be in \[0, 1\]; received"),
        (np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, int), r"`images` must be floating point"),
        (random_images()[:0], np.zeros(0, int), r"`images` must hold at least one image"),
        ([[0.5], [0.5, 0.5]], np.zeros(2, int), r"`images` must be an array; received \[\[0\.5"),
    ],
)
def test_bad_images_and_labels_are_named(images, labels, message):
    with pytest.raises(ValueError, match=message):
        _attack(LinearClassifier())(images, labels)


def test_gradients_that_stop_being_finite_are_named():
    classifier = LinearClassifier()
    images, labels = images_and_labels(classifier)

    def fragile(points):
        moved = tf.reduce_any(points != tf.round(points * 256) / 256, axis=[1, 2, 3])
        return tf.where(moved[:, None], np.nan, classifier(points))

    images = np.round(images * 256) / 256
    labels = np.argmax(classifier(images), axis=1)
    with pytest.raises(ValueError, match=r"`logits_fn` must return finite logits.*apgd-ce met NaN"):
        _attack(fragile)(images.astype(np.float32), labels)
