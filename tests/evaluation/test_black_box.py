"""Transfer matrix: made once per source, counted on the target, diagonal as white-box."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.black_box import makes_examples, matrix_of, transfer_matrix
from ascl_tf.evaluation.protocols import PROTOCOLS
from ascl_tf.evaluation.records import write_records
from tests.evaluation import models

EPSILON = 8 / 255


def _two_networks(num_images=40):
    """Returns two small networks and data on which both are right on most, often by little."""
    images = np.random.default_rng(3).uniform(size=(num_images, 8, 8, 3)).astype(np.float32)
    networks = [models.tiny_network(seed=seed) for seed in (0, 1)]
    biases = [tf.reduce_mean(network(images), axis=0) for network in networks]
    first, second = (
        lambda batch, n=n, b=b: n(batch) - b for n, b in zip(networks, biases, strict=True)
    )
    labels = np.argmax(first(images) + second(images), axis=1)
    return {"first": first, "second": second}, (images, labels)


def _linear_pair(num_images=60):
    """Returns two linear models of different weights, and data that both see from both sides."""
    rng = np.random.default_rng(5)
    images = rng.uniform(size=(num_images, 2, 2, 3)).astype(np.float32)
    weights, biases = [], []
    shared = rng.normal(size=(2, 2, 3))
    for _ in range(2):
        own = (shared + 0.7 * rng.normal(size=(2, 2, 3))).astype(np.float32)
        weights.append(own)
        biases.append(np.float32(-np.median(np.einsum("nhwc,hwc->n", images, own))))
    labels = (np.einsum("nhwc,hwc->n", images, shared) < np.sum(shared) / 2).astype(int)
    return images, labels, weights, biases


def _margins(images, labels, weights, bias):
    """Returns the signed score of the true label, by a loop in float64."""
    margins = []
    for image, label in zip(images.astype(np.float64), labels, strict=True):
        score = float(bias)
        for pixel, weight in zip(image.ravel(), weights.ravel(), strict=True):
            score += pixel * float(weight)
        margins.append(score if label == 0 else -score)
    return np.array(margins)


def _by_pair(records):
    return {(record["target"], record["source"]): record for record in records}


def test_linear_models_have_the_closed_form_of_each_others_examples():
    images, labels, weights, biases = _linear_pair()
    pair = {
        name: models.linear_logits(w, b)
        for name, w, b in zip(("a", "b"), weights, biases, strict=True)
    }
    found = _by_pair(transfer_matrix(pair, (images, labels), diagonal=True))
    sign = np.where(labels == 0, 1.0, -1.0)[:, None, None, None]
    numbers = set()
    for s, source in enumerate("ab"):
        # Against a linear model every start ends in the corner that it likes least.
        moved = np.clip(images.astype(np.float64) - EPSILON * sign * np.sign(weights[s]), 0, 1)
        for t, target in enumerate("ab"):
            clean = _margins(images, labels, weights[t], biases[t]) > 0
            still = _margins(moved, labels, weights[t], biases[t]) > 0
            record = found[target, source]
            assert record["standard_accuracy"] == pytest.approx(100 * clean.mean())
            assert record["robust_accuracy"] == pytest.approx(100 * (clean & still).mean())
            assert record["transferred_accuracy"] == pytest.approx(100 * still.mean())
            numbers.add(record["robust_accuracy"])
    assert len(numbers) > 2


def test_image_that_the_attack_puts_right_counts_only_as_transferred():
    weights = np.ones((1, 1, 3), np.float32)
    # The target looks the other way: what moves the source off its label moves it onto it.
    pair = {
        "source": models.linear_logits(weights, np.float32(-1.5)),
        "target": models.linear_logits(-weights, np.float32(1.5)),
    }
    images = np.stack([np.full((1, 1, 3), 0.5 + k * EPSILON, np.float32) for k in (0.5, 1.5)])
    (record,) = transfer_matrix(
        pair, (images, np.array([0, 0])), sources=["source"], targets=["target"]
    )
    assert (record["standard_accuracy"], record["robust_accuracy"]) == (0.0, 0.0)
    assert record["transferred_accuracy"] == 50.0


@pytest.mark.slow  # The closed form of linear models is in the default run.
def test_diagonal_equals_the_white_box_number_and_is_left_out_unless_asked_for():
    pair, data = _two_networks()
    settings = {"seed": 2, "batch_size": 7}
    found = _by_pair(transfer_matrix(pair, data, diagonal=True, **settings))
    for label, network in pair.items():
        (white_box,) = evaluate_robustness(network, data, "pgd20", **settings)
        for name in ("robust_accuracy", "standard_accuracy", "epsilon", "attack", "seed"):
            assert found[label, label][name] == white_box[name]
        assert 0 < white_box["robust_accuracy"] < white_box["standard_accuracy"] < 100
    off = _by_pair(transfer_matrix(pair, data, **settings))
    assert set(off) == {("first", "second"), ("second", "first")}
    for key, record in off.items():
        assert record["robust_accuracy"] == found[key]["robust_accuracy"]
        assert record["robust_accuracy"] > found[key[0], key[0]]["robust_accuracy"]


def test_examples_are_made_once_per_source_for_all_images_and_reused(protocol_of, eagerly):
    images, labels, weights, biases = _linear_pair(10)
    made = []

    def attack(logits_fn, images, labels, protocol, seed):
        made.append(images.shape[0])
        return images

    protocol = protocol_of(attack, num_restarts=2)
    linear = models.linear_logits(weights[0], biases[0])
    trio = {"a": linear, "b": linear, "c": linear}
    records = transfer_matrix(
        trio, (images, labels), protocol=protocol, sources=["a"], diagonal=True, batch_size=4
    )
    # Three batches of ten images, twice for two restarts; not once more for three targets.
    assert made == [4] * 6
    assert [(r["target"], r["source"]) for r in records] == [("a", "a"), ("b", "a"), ("c", "a")]


def test_image_counts_only_if_it_survives_the_examples_of_every_restart(protocol_of, eagerly):
    weights = np.ones((1, 1, 3), np.float32)
    images = np.full((4, 1, 1, 3), 0.6, np.float32)
    calls = []

    def attack(logits_fn, images, labels, protocol, seed):
        calls.append(1)
        hit = tf.constant([1.0, 0, 0, 0] if len(calls) == 1 else [0, 1.0, 0, 0])
        return images - 0.2 * hit[:, None, None, None]

    protocol = protocol_of(attack, epsilon="0.2", num_restarts=2)
    pair = dict.fromkeys("ab", models.linear_logits(weights, np.float32(-1.5)))
    records = transfer_matrix(pair, (images, np.zeros(4, int)), protocol=protocol, sources=["a"])
    assert [r["robust_accuracy"] for r in records] == [50.0]


def test_attack_that_leaves_the_ball_is_caught(protocol_of):
    images, labels, weights, biases = _linear_pair(5)
    pair = dict.fromkeys("ab", models.linear_logits(weights[0], biases[0]))
    protocol = protocol_of(lambda logits_fn, images, *rest: images * 0 + 0.5)
    with pytest.raises(ValueError, match=r"transfer_mine: expected \|perturbation\| <= 8/255"):
        transfer_matrix(pair, (images, labels), protocol=protocol)


def test_records_say_which_model_met_which_examples(tmp_path):
    images, labels, weights, biases = _linear_pair(9)
    trio = {name: models.linear_logits(weights[0], biases[0]) for name in ("at", "acl", "ascl")}
    calls = []
    records = transfer_matrix(
        trio,
        (images, labels),
        protocol="fgsm",
        targets=["ascl", "at"],
        num_images=8,
        batch_size=4,
        seed=6,
        model_sha256={"at": "aa", "acl": "bb", "ascl": "cc"},
        progress=lambda *call: calls.append(call),
    )
    write_records(tmp_path / "records.json", records)
    assert json.loads((tmp_path / "records.json").read_text())["records"] == records
    pairs = [(r["target"], r["source"]) for r in records]
    assert pairs == [("ascl", "at"), ("ascl", "acl"), ("at", "acl"), ("at", "ascl")]
    first = records[0]
    assert (first["model_sha256"], first["source_model_sha256"]) == ("cc", "aa")
    assert (first["protocol"], first["attack"]) == ("transfer_fgsm", PROTOCOLS["fgsm"].settings())
    assert (first["num_images"], first["seed"], first["epsilon"]) == (8, 6, "8/255")
    assert first["wall_seconds"] > 0 and first["checks"] == []
    assert "zero_gradients" in first["checks_passed"]
    assert calls[0] == ("standard: ascl", 4, 8)
    assert calls[-1] == ("transfer_fgsm: made on ascl", 8, 8)


def test_source_without_gradients_is_reported_with_every_target():
    images, labels, weights, biases = _linear_pair(9)
    pair = {
        "sound": models.linear_logits(weights[0], biases[0]),
        "saturated": models.linear_logits(weights[0], biases[0], scale=1e7),
    }
    found = _by_pair(transfer_matrix(pair, (images, labels), protocol="fgsm"))
    (check,) = found["sound", "saturated"]["checks"]
    assert check["name"] == "source_zero_gradients"
    assert check["message"].startswith("source saturated: ")
    assert [c["name"] for c in found["saturated", "sound"]["checks"]] == ["zero_gradients"]


def test_model_that_others_fool_more_often_than_itself_is_reported():
    images, labels, weights, biases = _linear_pair()
    pair = {
        "sound": models.linear_logits(weights[0], biases[0]),
        "saturated": models.linear_logits(weights[0], biases[0], scale=1e7),
    }
    found = _by_pair(transfer_matrix(pair, (images, labels), protocol="fgsm", diagonal=True))
    masked = found["saturated", "sound"]
    names = {pair: [check["name"] for check in found[pair]["checks"]] for pair in found}
    assert [pair for pair in names if "black_box_stronger" in names[pair]] == [
        ("saturated", "sound")
    ]
    assert "black_box_stronger" in found["sound", "saturated"]["checks_passed"]
    assert "black_box_stronger" not in found["sound", "sound"]["checks_passed"]
    message = masked["checks"][-1]["message"]
    own = found["saturated", "saturated"]["robust_accuracy"]
    assert f"({masked['robust_accuracy']:.2f} % right against {own:.2f} %)" in message


def test_matrix_has_targets_as_rows_sources_as_columns_and_no_diagonal():
    records = [
        {"target": target, "source": source, "robust_accuracy": value}
        for target, source, value in (
            ("at", "acl", 1.0),
            ("at", "ascl", 2.0),
            ("acl", "at", 3.0),
            ("acl", "acl", 4.0),
            ("acl", "ascl", 5.0),
        )
    ]
    assert matrix_of(records) == {
        "targets": ["at", "acl"],
        "sources": ["at", "acl", "ascl"],
        "values": [[None, 1.0, 2.0], [3.0, None, 5.0]],
    }


@pytest.mark.parametrize(
    ("name", "fits"),
    [("pgd20", True), ("cleverhans_fgm", True), ("standard", False), ("autoattack", False)],
)
def test_attacks_that_work_batch_by_batch_are_told_from_others(name, fits):
    assert makes_examples(PROTOCOLS[name]) is fits


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": ["c"]}, r"`sources` must be labels of `models` \(a, b\); received 'c'"),
        ({"targets": ["a", "a"]}, r"`targets` must be one or more labels, each once; .* a, a"),
        ({"targets": []}, r"`targets` must be one or more labels, each once; received none"),
        ({"protocol": "autoattack"}, r"`protocol` must be an attack .*received 'autoattack'"),
        ({"protocol": "standard"}, r"`protocol` must be an attack .*received 'standard'"),
        ({"protocol": "pgd21"}, r"`protocol`: expected one of .*found 'pgd21'"),
        ({"batch_size": 0}, r"`batch_size` must be an integer >= 1; received 0"),
        (
            {"models": {"a": lambda x: x[:, 0, 0, :2], "b": lambda x: x[:, 0, 0]}},
            r"`models` must have the same number of classes; received a 2, b 3",
        ),
    ],
)
def test_argument_that_does_not_fit_is_named(change, message):
    linear = models.linear_logits(np.ones((2, 2, 3), np.float32), np.float32(0))
    arguments = {"models": {"a": linear, "b": linear}, "protocol": "fgsm"} | change
    dataset = (np.full((2, 2, 2, 3), 0.5), np.array([0, 1]))
    with pytest.raises(ValueError, match=message):
        transfer_matrix(dataset=dataset, **arguments)


def test_records_so_far_are_handed_out_as_each_source_ends():
    networks, data = _two_networks()
    seen = []
    measured = transfer_matrix(
        networks, data, protocol="fgsm", diagonal=True, on_records=seen.append
    )
    pairs = [("first", "first"), ("second", "first")]
    assert [(r["target"], r["source"]) for r in seen[0]] == pairs
    assert len(seen) == 2 and seen[1] == measured and len(measured) == 4
    for record in measured:
        assert len(record["checks_passed"]) == len(set(record["checks_passed"]))


def test_models_without_labels_are_refused():
    networks, data = _two_networks()
    with pytest.raises(ValueError, match="`models` must be a dictionary .*received list"):
        transfer_matrix(list(networks.values()), data)
