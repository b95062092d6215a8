"""Robust accuracy: closed forms, every image counted once, and no attack believed."""

import dataclasses
import json
import types

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.evaluation import PROTOCOLS, evaluate_robustness
from ascl_tf.evaluation.protocols import Protocol
from ascl_tf.evaluation.verdicts import verdicts_of
from tests.evaluation import models

EPSILON = 8 / 255
SHORT = dataclasses.replace(PROTOCOLS["pgd20"], name="short", num_steps=5)


def _linear(**settings):
    images, labels, weights, bias = models.linear_problem(**settings)
    return models.linear_logits(weights, bias), (images, labels), weights, bias


@pytest.mark.parametrize("name", ["fgsm", "pgd20", "cleverhans_fgm", "cleverhans_pgd20"])
def test_linear_model_has_its_closed_form_robust_accuracy(name):
    logits_fn, (images, labels), weights, bias = _linear()
    clean = models.linear_survivors(images, labels, weights, bias, 0.0)
    robust = models.linear_survivors(images, labels, weights, bias, EPSILON)
    assert 0 < robust.sum() < clean.sum() < len(labels)
    (record,) = evaluate_robustness(logits_fn, (images, labels), name)
    np.testing.assert_array_equal(verdicts_of(record, "standard"), clean)
    np.testing.assert_array_equal(verdicts_of(record), robust)
    assert record["standard_accuracy"] == pytest.approx(100 * clean.mean(), abs=1e-9)
    assert record["robust_accuracy"] == pytest.approx(100 * robust.mean(), abs=1e-9)
    assert record["max_perturbation"] == pytest.approx(EPSILON, abs=1e-6)


def test_linear_model_has_its_closed_form_robust_accuracy_in_the_l2_norm():
    images, labels, weights, bias = models.linear_problem()
    # Away from the walls of the box, and scored as before but for a factor of 2.
    images, bias = 0.25 + images / 2, bias / 2 - 0.25 * weights.sum()
    logits_fn = models.linear_logits(weights, bias)
    name = "pgd20_l2@epsilon=0.1,step_size=0.05"
    (record,) = evaluate_robustness(logits_fn, (images, labels), name)
    # The margin falls by the radius times the length of the weights.
    margins = np.where(labels, -1, 1) * (np.einsum("nhwc,hwc->n", images, weights) + bias)
    robust = margins > 0.1 * np.linalg.norm(weights)
    np.testing.assert_array_equal(verdicts_of(record), robust)
    assert 0 < robust.sum() < len(labels)
    assert record["max_perturbation"] == pytest.approx(0.1, abs=1e-5)
    attack = {"kind": "l2_pgd", "epsilon": "0.1", "step_size": "0.05", "num_steps": 20}
    assert record["protocol"] == name and record["attack"].items() >= attack.items()


def test_protocols_are_named_as_a_flag_has_them():
    logits_fn, data, _, _ = _linear()
    records = evaluate_robustness(logits_fn, data, "standard, fgsm@epsilon=2/255,step_size=1/255")
    assert [record["protocol"] for record in records] == [
        "standard",
        "fgsm@epsilon=2/255,step_size=1/255",
    ]


def test_two_points_on_either_side_of_the_radius():
    # Margin of the first point is 0.5 epsilon per unit of weight, of the second 1.5 epsilon.
    weights = np.ones((1, 1, 3), np.float32)
    images = np.stack([np.full((1, 1, 3), 0.5 + k * EPSILON) for k in (0.5, 1.5)])
    logits_fn = models.linear_logits(weights, np.float32(-1.5))
    standard, attacked = evaluate_robustness(
        logits_fn, (images, np.array([0, 0])), ["standard", "pgd20"]
    )
    assert standard["robust_accuracy"] == standard["standard_accuracy"] == 100.0
    assert (attacked["standard_accuracy"], attacked["robust_accuracy"]) == (100.0, 50.0)


@pytest.mark.parametrize("batch_size", [1, 4, 22, 23, 250])
def test_every_image_counts_whatever_the_batch_size(batch_size):
    logits_fn, data, weights, bias = _linear()
    (record,) = evaluate_robustness(logits_fn, data, "standard", batch_size=batch_size)
    clean = models.linear_survivors(*data, weights, bias, 0.0)
    assert record["num_images"] == 23
    assert record["standard_accuracy"] == pytest.approx(100 * clean.sum() / 23, abs=1e-9)


def _first_pixels(seen):
    def attack(logits_fn, images, labels, protocol, seed):
        seen.append((images[:, 0, 0, 0].numpy(), seed.numpy()))
        return images

    return attack


def test_random_numbers_belong_to_places_in_the_data_set(protocol_of, eagerly):
    logits_fn, data, *_ = _linear()
    seeds = []
    for batch_size in (3, 23):
        seen = []
        protocol = protocol_of(_first_pixels(seen))
        evaluate_robustness(logits_fn, data, protocol, batch_size=batch_size, seed=7)
        seeds.append({p: tuple(s) for batch in seen for p, s in zip(*batch, strict=True)})
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == len(seeds[0]) > 5


def test_batch_size_changes_no_number_of_a_network():
    model, (images, labels) = models.tiny_network(), _network_data(13)
    results = [
        evaluate_robustness(model, (images, labels), SHORT, batch_size=size)[0] for size in (5, 13)
    ]
    assert results[0]["verdicts"] == results[1]["verdicts"]
    assert results[0]["max_perturbation"] == pytest.approx(results[1]["max_perturbation"], abs=1e-6)


def _network_data(num_images):
    rng = np.random.default_rng(3)
    images = rng.uniform(size=(num_images, 8, 8, 3)).astype(np.float32)
    labels = np.argmax(models.tiny_network()(images), axis=1)
    return images, labels


def test_image_counts_as_robust_only_if_it_survives_every_restart(protocol_of, eagerly):
    logits_fn, (images, labels), weights, bias = _linear(num_images=200)
    clean = models.linear_survivors(images, labels, weights, bias, 0.0)
    draws = []

    def noise(logits_fn, images, labels, protocol, seed):
        sign = tf.map_fn(
            lambda s: tf.sign(tf.random.stateless_normal([2, 2, 3], s)),
            seed,
            fn_output_signature=tf.float32,
        )
        return tf.clip_by_value(images + sign * float(protocol.epsilon), 0.0, 1.0)

    def recorded(logits_fn, images, labels, protocol, seed):
        adversarial = noise(logits_fn, images, labels, protocol, seed)
        is_right = np.argmax(logits_fn(adversarial), axis=1) == labels.numpy()
        draws.append(dict(zip(images[:, 0, 0, 0].numpy().tolist(), is_right, strict=True)))
        return adversarial

    protocol = protocol_of(recorded, num_restarts=4)
    (record,) = evaluate_robustness(logits_fn, (images, labels), protocol)
    expected = [
        int(c and all(draw.get(float(i[0, 0, 0]), True) for draw in draws))
        for c, i in zip(clean, images, strict=True)
    ]
    assert len(draws) == 4
    assert verdicts_of(record).tolist() == expected
    survivors_of_first = sum(draws[0].get(float(i[0, 0, 0]), False) for i in images)
    assert sum(expected) < survivors_of_first < clean.sum()


def test_image_that_is_wrong_without_attack_is_not_robust(protocol_of):
    logits_fn, (images, labels), weights, bias = _linear()

    def helpful(logits_fn, images, labels, protocol, seed):
        sign = tf.where(labels == 0, 1.0, -1.0)[:, None, None, None]
        return tf.clip_by_value(images + EPSILON * sign * tf.sign(weights), 0.0, 1.0)

    protocol = protocol_of(helpful)
    (record,) = evaluate_robustness(logits_fn, (images, labels), protocol)
    assert record["robust_accuracy"] == record["standard_accuracy"] < 100


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (lambda images: images * 0 + 0.5, r"protocol mine: expected \|perturbation\| <= 8/255"),
        (lambda images: images + EPSILON + 2e-6, r"\|perturbation\| <= 8/255"),
        (lambda images: images * np.nan, r"protocol mine: expected finite images.*NaN"),
    ],
)
def test_attack_that_breaks_its_promise_is_caught(attack, message, protocol_of):
    logits_fn, data, *_ = _linear()
    protocol = protocol_of(lambda model, images, *rest: attack(images))
    with pytest.raises(RunError, match=message):
        evaluate_robustness(logits_fn, data, protocol)


def test_attack_that_leaves_the_box_is_caught(protocol_of):
    images = np.zeros((3, 2, 2, 3), np.float32)
    logits_fn = models.linear_logits(np.ones((2, 2, 3), np.float32), np.float32(1))
    protocol = protocol_of(lambda model, images, *rest: images - EPSILON)
    with pytest.raises(RunError, match=r"expected images in \[0, 1\].*from -0\.031"):
        evaluate_robustness(logits_fn, (images, np.zeros(3, int)), protocol)


def test_model_that_returns_nan_is_refused():
    _, data, *_ = _linear()

    def logits_fn(images):
        return tf.where(images[:, 0, 0, :2] > 0.9, np.float32(np.nan), images[:, 0, 0, :2])

    with pytest.raises(RunError, match=r"protocol standard: expected finite logits"):
        evaluate_robustness(logits_fn, data, "standard")


def test_one_trace_serves_all_batches_and_restarts_of_a_protocol():
    logits, data, *_ = _linear()
    num_traced = [0]

    def logits_fn(images):
        num_traced[0] += tf.inside_function()
        return logits(images)

    protocol = dataclasses.replace(SHORT, num_restarts=2)
    evaluate_robustness(logits_fn, data, [protocol], batch_size=23)
    whole, num_traced[0] = num_traced[0], 0
    evaluate_robustness(logits_fn, data, [protocol], batch_size=4)
    assert num_traced[0] == whole > 0


def test_uint8_images_are_scaled_and_equal_their_float_twins():
    logits_fn, (images, labels), *_ = _linear()
    as_bytes = np.round(images * 255).astype(np.uint8)
    (a,) = evaluate_robustness(logits_fn, (as_bytes, labels), SHORT)
    as_floats = as_bytes / 255.0
    (b,) = evaluate_robustness(logits_fn, (as_floats, labels), SHORT)
    assert a["verdicts"] == b["verdicts"]


def test_record_is_json_and_says_where_the_number_comes_from():
    logits_fn, (images, labels), *_ = _linear()
    dataset = types.SimpleNamespace(
        images=np.round(images * 255).astype(np.uint8),
        labels=labels,
        name="cifar10",
        num_classes=2,
        sha256="abc",
    )
    calls = []
    (record,) = evaluate_robustness(
        logits_fn,
        dataset,
        ["fgsm"],
        num_images=20,
        batch_size=8,
        seed=5,
        model_sha256="f00d",
        progress=lambda *call: calls.append(call),
    )
    assert json.loads(json.dumps(record)) == record
    assert (record["data_set"], record["data_sha256"]) == ("cifar10", "abc")
    assert (record["protocol"], record["epsilon"], record["seed"]) == ("fgsm", "8/255", 5)
    assert record["attack"] == PROTOCOLS["fgsm"].settings()
    assert (record["num_images"], record["model_sha256"]) == (20, "f00d")
    assert record["checks"] == [] and "zero_gradients" in record["checks_passed"]
    assert record["wall_seconds"] > 0 and "tensorflow" in record["versions"]
    assert calls[:3] == [("standard", 8, 20), ("standard", 16, 20), ("standard", 20, 20)]
    assert calls[-1][0] == "fgsm" and calls[-1][1] == calls[-1][2]


def test_keras_model_is_named_by_the_hash_of_its_weights():
    data = _network_data(3)
    hashes = {
        evaluate_robustness(models.tiny_network(seed=s), data, "standard")[0]["model_sha256"]
        for s in (0, 0, 1)
    }
    assert len(hashes) == 2 and None not in hashes


IMAGES, LABELS = np.full((2, 2, 2, 3), 0.5), np.array([0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": (IMAGES * 255, LABELS)}, r"`images` must be in \[0, 1\].*127\.5"),
        ({"dataset": (IMAGES * np.nan, LABELS)}, r"`images` must be finite"),
        ({"dataset": (IMAGES.astype(int), LABELS)}, r"`images` must be uint8 or floating"),
        ({"dataset": (IMAGES[0], LABELS)}, r"`images` must have shape .*\(2, 2, 3\)"),
        ({"dataset": (IMAGES[:0], LABELS[:0])}, r"`images` must have shape .*without a zero"),
        ({"dataset": (IMAGES, LABELS[:1])}, r"`labels` must be 2 integers.*\(1,\)"),
        ({"dataset": (IMAGES, LABELS * 1.0)}, r"`labels` must be 2 integers.*float64"),
        ({"dataset": (IMAGES, LABELS - 1)}, r"`labels` must be class ids >= 0; received -1"),
        (
            {"dataset": (IMAGES, LABELS + 2**32)},
            r"`labels` must be .*2\*\*31; .*4294967297",
        ),
        ({"dataset": (IMAGES, LABELS.astype(np.uint64) + 2**63)}, r"`labels` must be .*9223372"),
        ({"dataset": (IMAGES, LABELS - 2**32)}, r"`labels` must be class ids >= 0; .*-4294967296"),
        ({"dataset": (IMAGES, [0.0, np.nan])}, r"`labels` must be 2 integers.*float64"),
        ({"dataset": (IMAGES, LABELS > 0)}, r"`labels` must be 2 integers.*bool"),
        ({"dataset": (IMAGES, ["a", "b"])}, r"`labels` must be 2 integers.*<U1"),
        ({"dataset": (IMAGES, LABELS + 1)}, r"`labels` must be below the 2 classes.*received 2"),
        ({"num_images": 3}, r"`num_images` must be from 1 to the 2 images.*received 3"),
        ({"num_images": 0}, r"`num_images` must be from 1 to .*received 0"),
        ({"num_classes": 10}, r"`logits_fn` must return 10 logits per image; received 2"),
        ({"batch_size": 0}, r"`batch_size` must be an integer >= 1; received 0"),
        ({"seed": 1.5}, r"`seed` must be an integer .*received 1.5"),
        ({"seed": 2**31}, r"`seed` must be an integer .*received 2147483648"),
        ({"dataset": IMAGES}, r"`dataset` must be what .*or a pair .*received ndarray"),
        ({"dataset": None}, r"`dataset` must be what .*or a pair .*received NoneType"),
        ({"dataset": {"images": IMAGES, "labels": LABELS}}, r"`dataset` must be .*received dict"),
        (
            {"dataset": tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))},
            r"`dataset` must be what .*or a pair .*received _TensorSliceDataset",
        ),
        ({"protocols": 20}, r"`protocols` must be a name, .*received int"),
        ({"protocols": None}, r"`protocols` must be a name, .*received NoneType"),
        ({"protocols": [["pgd20"]]}, r"`protocol`: expected one of .*found \['pgd20'\]"),
        ({"protocols": []}, r"`protocols` must name at least one"),
        ({"protocols": " "}, r"`protocols` must name at least one"),
        ({"protocols": "pgd21"}, r"`protocol`: expected one of .*found 'pgd21'"),
        ({"protocols": Protocol(name="x", kind="y")}, r"`kind` of protocol 'x' must be one of"),
        ({"logits_fn": 3}, r"`logits_fn` must be a callable.*received int"),
        ({"logits_fn": lambda x: x}, r"`logits_fn` must return logits of shape.*\(1, 2, 2, 3\)"),
        ({"logits_fn": lambda x: {"a": x, "b": x}}, r"the key 'logits'; received.*\['a', 'b'\]"),
    ],
)
def test_argument_that_does_not_fit_is_named(change, message):
    arguments = {
        "logits_fn": models.linear_logits(np.ones((2, 2, 3), np.float32), np.float32(0)),
        "dataset": (IMAGES, LABELS),
        "protocols": "standard",
    }
    with pytest.raises(ValueError, match=message):
        evaluate_robustness(**(arguments | change))


def test_records_so_far_are_handed_out_as_each_protocol_ends():
    logits_fn, data, *_ = _linear()
    seen = []
    names = ["standard", "pgd10", "pgd20"]
    measured = evaluate_robustness(logits_fn, data, names, on_records=seen.append)
    assert [[r["protocol"] for r in records] for records in seen] == [
        names[:count] for count in (1, 2, 3)
    ]
    assert seen[-1] == measured
    # What compares protocols is in the records as soon as there are two.
    assert "fewer_steps_stronger" not in seen[0][0]["checks_passed"]
    assert "fewer_steps_stronger" in seen[2][2]["checks_passed"]
    for records in seen:
        for record in records:
            assert len(record["checks_passed"]) == len(set(record["checks_passed"]))
