"""Sweeps: every point is the number of its protocol, from one pass and one trace."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.errors import RunError
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.protocols import PROTOCOLS, Protocol
from ascl_tf.evaluation.records import write_records
from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
from tests.evaluation import models

STEP = 2 / 255


def _fragile_network(num_images=23):
    """Returns a small network and data: right on most images, often by little."""
    network = models.tiny_network()
    images = np.random.default_rng(3).uniform(size=(num_images, 8, 8, 3)).astype(np.float32)
    bias = tf.reduce_mean(network(images), axis=0)
    labels = np.argmax(network(images) - bias, axis=1)
    labels[::7] = (labels[::7] + 1) % 4
    return lambda batch: network(batch) - bias, (images, labels)


def _near_boundary(num_images=40):
    """Returns a linear problem whose images are 0 to 12 / 255 away from the boundary."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(2, 2, 3)).astype(np.float32)
    noise = rng.uniform(-0.2, 0.2, (num_images, 2, 2, 3))
    along = np.einsum("nhwc,hwc->n", noise, weights) / np.sum(weights**2)
    on_boundary = 0.5 + noise - along[:, None, None, None] * weights
    distance = rng.uniform(0, 12 / 255, num_images)
    images = on_boundary + distance[:, None, None, None] * np.sign(weights)
    assert images.min() > 13 / 255 and images.max() < 1 - 13 / 255
    labels = (np.arange(num_images) % 9 == 0).astype(int)
    logits_fn = models.linear_logits(weights, np.float32(-0.5 * weights.sum()))
    return logits_fn, (images.astype(np.float32), labels), distance


def _by_steps(records):
    return {record["attack"]["num_steps"]: record for record in records}


def _counting(logits_fn):
    """Returns the function and lists of its traces and of its calls as the graph runs."""
    traces, calls = [], []

    def counted(images):
        if tf.inside_function():
            traces.append(images.shape)
            # The body of a loop runs as often as it has steps.
            tf.py_function(lambda: calls.append(1), [], [])
        return logits_fn(images)

    return counted, traces, calls


@pytest.mark.slow  # test_evaluate_program.py finds pgd20 at step 20.
def test_point_at_k_steps_is_the_record_of_a_protocol_with_k_steps():
    network, data = _fragile_network()
    settings = {"batch_size": 5, "seed": 4}
    points = _by_steps(sweep_steps(network, data, num_steps=20, epsilon="4/255", **settings))
    for num_steps in (1, 7, 20):
        protocol = Protocol(
            name="short",
            kind="linf_pgd",
            epsilon="4/255",
            step_size="2/255",
            num_steps=num_steps,
            random_start=True,
        )
        (record,) = evaluate_robustness(network, data, protocol, **settings)
        point = points[num_steps]
        for name in ("robust_accuracy", "verdicts", "attack"):
            assert point[name] == record[name]


@pytest.mark.slow  # The test above takes fewer.
def test_twenty_steps_of_the_default_sweep_are_protocol_pgd20():
    network, data = _fragile_network(64)
    records = sweep_steps(network, data, seed=1, batch_size=16)
    assert [r["attack"]["num_steps"] for r in records] == list(range(101))
    (pgd20, pgd100) = evaluate_robustness(network, data, ["pgd20", "pgd100"], seed=1, batch_size=16)
    points = _by_steps(records)
    for steps, record in ((20, pgd20), (100, pgd100)):
        same = set(record) - {"protocol", "wall_seconds", "max_perturbation", "checks_passed"}
        assert {name: points[steps][name] for name in same} == {n: record[n] for n in same}
    assert 0 < pgd20["robust_accuracy"] < pgd20["standard_accuracy"] < 100


def test_no_step_is_the_clean_image_and_not_the_random_start():
    network, data = _fragile_network()
    first = sweep_steps(network, data, num_steps=1, epsilon="1", step_size="1")[0]
    (standard,) = evaluate_robustness(network, data, "standard")
    assert first["robust_accuracy"] == first["standard_accuracy"]
    assert first["standard_accuracy"] == standard["standard_accuracy"] < 100
    assert (first["attack"]["num_steps"], first["attack"]["random_start"]) == (0, False)


def test_every_point_of_a_linear_model_lies_where_the_closed_form_says():
    logits_fn, (images, labels), distance = _near_boundary()
    records = sweep_steps(logits_fn, (images, labels), num_steps=12, epsilon="12/255")
    robust = [record["robust_accuracy"] / 100 for record in records]
    # Wherever in the ball an image starts, k steps of 2 levels bring it 2k - 12 levels or
    # more over to the other side, and the ball ends at 12.
    for k in range(1, 13):
        assert robust[k] <= np.mean((labels == 0) & (distance > (2 * k - 12) / 255)) + 1e-9
    assert np.all(np.diff(robust) <= 0) and len(set(robust)) > 4
    assert robust[0] == pytest.approx(np.mean(labels == 0))
    assert robust[12] == 0.0


def test_a_pass_costs_one_forward_pass_per_step_and_one_more():
    logits_fn, traces, calls = _counting(models.linear_logits(np.ones((2, 2, 3), np.float32), -6))
    images = np.full((4, 2, 2, 3), 0.9, np.float32)
    data = (images, np.zeros(4, int))
    evaluate_robustness(logits_fn, data, "standard", batch_size=4)
    without_attack, num_traces = len(calls), len(traces)
    calls.clear(), traces.clear()
    sweep_steps(logits_fn, data, num_steps=9, batch_size=4)
    assert len(calls) - without_attack == 9 + 1
    assert len(traces) - num_traces == 2
    # More batches, no more traces.
    traces.clear()
    sweep_steps(logits_fn, data, num_steps=9, batch_size=3)
    assert len(traces) - num_traces == 2


@pytest.mark.slow
def test_batch_size_changes_no_number():
    network, data = _fragile_network()
    curves = [
        [r["robust_accuracy"] for r in sweep(network, data, batch_size=size, **settings)]
        for sweep, settings in (
            (sweep_steps, {"num_steps": 6, "epsilon": "4/255"}),
            (sweep_epsilons, {"epsilons": ("0", "3/255", "6/255"), "num_steps": 4}),
        )
        for size in (4, 23)
    ]
    assert curves[0] == curves[1] and curves[2] == curves[3]
    assert len(set(curves[0])) > 2 and len(set(curves[2])) > 2


def test_radius_eight_is_protocol_pgd20_and_radius_zero_is_standard_accuracy():
    network, data = _fragile_network(64)
    records = {r["epsilon"]: r for r in sweep_epsilons(network, data, seed=1, batch_size=16)}
    assert list(records) == ["0", *(f"{level}/255" for level in range(2, 33, 2))]
    (pgd20, eps16) = evaluate_robustness(
        network, data, ["pgd20", "pgd20_eps16"], seed=1, batch_size=16
    )
    for record in (pgd20, eps16):
        same = set(record) - {"protocol", "wall_seconds", "checks_passed", "per_class"}
        point = records[record["epsilon"]]
        assert {name: point[name] for name in same} == {name: record[name] for name in same}
    clean = records["0"]
    assert clean["robust_accuracy"] == clean["standard_accuracy"] == pgd20["standard_accuracy"]
    assert clean["max_perturbation"] == 0.0


def test_radii_of_a_linear_model_have_their_closed_form():
    logits_fn, (images, labels), distance = _near_boundary()
    epsilons = ("0", "1/255", "2/255", "5/255", "9/255", "13/255")
    records = sweep_epsilons(logits_fn, (images, labels), epsilons=epsilons)
    radii = np.array([0, 1, 2, 5, 9, 13]) / 255
    expected = [100 * np.mean((labels == 0) & (distance > radius)) for radius in radii]
    np.testing.assert_allclose([r["robust_accuracy"] for r in records], expected)
    assert len(set(expected)) > 4
    moved = [r["max_perturbation"] for r in records]
    np.testing.assert_allclose(moved, radii, atol=1e-6)


def test_one_trace_serves_all_radii():
    logits_fn, traces, _ = _counting(models.linear_logits(np.ones((2, 2, 3), np.float32), -6))
    data = (np.full((4, 2, 2, 3), 0.9, np.float32), np.zeros(4, int))
    numbers = []
    for epsilons in (("4/255",), ("0", "2/255", "4/255", "0.1")):
        traces.clear()
        sweep_epsilons(logits_fn, data, epsilons=epsilons, num_steps=3, batch_size=3)
        numbers.append(len(traces))
    assert numbers[0] == numbers[1] > 0


def test_checks_see_a_curve_that_rises():
    weights = np.ones((2, 2, 3), np.float32)
    linear = models.linear_logits(weights, np.float32(-6))

    def trap(images):
        # Right again for whoever goes too far: a later iterate, and a larger ball.
        score = linear(images)[:, 0]
        score = tf.where(score < -0.2, -score, score)
        return tf.stack([score, -score], axis=1)

    data = (np.full((3, 2, 2, 3), 0.501, np.float32), np.zeros(3, int))
    for records, name in (
        (sweep_steps(trap, data, num_steps=4, epsilon="30/255"), "fewer_steps_stronger"),
        (
            sweep_epsilons(trap, data, epsilons=("3/255", "30/255"), step_size="30/255"),
            "larger_radius_weaker",
        ),
    ):
        raised = [name in [check["name"] for check in record["checks"]] for record in records]
        assert any(raised) and not all(raised)


@pytest.mark.slow  # test_evaluate_program.py writes records of sweeps.
def test_records_can_be_written_and_say_where_they_come_from(tmp_path):
    network, data = _fragile_network(9)
    calls = []
    settings = {
        "num_images": 8,
        "batch_size": 3,
        "model_sha256": "f00d",
        "progress": lambda *call: calls.append(call),
    }
    records = sweep_steps(network, data, num_steps=3, **settings)
    records += sweep_epsilons(network, data, epsilons=(0, "8/255"), num_steps=3, **settings)
    write_records(tmp_path / "records.json", records)
    assert json.loads((tmp_path / "records.json").read_text())["records"] == records
    assert [r["protocol"] for r in records] == ["sweep_steps"] * 4 + ["sweep_epsilon"] * 2
    for record in records:
        assert (record["num_images"], record["model_sha256"]) == (8, "f00d")
        assert record["wall_seconds"] > 0 and "tensorflow" in record["versions"]
    assert records[1]["attack"] == PROTOCOLS["pgd20"].settings() | {"num_steps": 1}
    names = [name for name, *_ in calls]
    assert list(dict.fromkeys(names)) == [
        "standard",
        "sweep_steps",
        "sweep_epsilon 0",
        "sweep_epsilon 8/255",
    ]
    assert all(0 < done <= to_do for _, done, to_do in calls)


@pytest.mark.parametrize("in_graph", [False, True])
def test_pgd_tells_what_was_seen_at_the_start_and_after_each_step_but_the_last(in_graph):
    network, (images, _) = _fragile_network(3)
    settings = {"epsilon": 8 / 255, "step_size": STEP, "random_start": True, "seed": [3, 4]}

    def attack(images, num_steps, **observing):
        def objective(perturbed):
            values = network(perturbed)[:, 0]
            return (values, values) if observing else values

        return linf_pgd(objective, images, num_steps=num_steps, **settings, **observing)

    def watched(images):
        return attack(images, 4, observation_dtype=tf.float32)

    adversarial, seen = (tf.function(watched) if in_graph else watched)(images)
    assert seen.shape == (4, 3)
    # In a graph sums are ordered otherwise, which moves the last digit.
    np.testing.assert_allclose(adversarial, attack(images, 4), atol=1e-6)
    for num_steps in range(4):
        values = network(attack(images, num_steps))[:, 0]
        np.testing.assert_allclose(seen[num_steps], values, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_steps": 0}, r"`num_steps` must be >= 1 to observe something; received 0"),
        ({"gathers_across_replicas": True}, r"`observation_dtype` must be None with"),
    ],
)
def test_pgd_refuses_to_watch_what_it_cannot(change, message):
    arguments = {"epsilon": 0.1, "step_size": 0.1, "num_steps": 1} | change
    with pytest.raises(ValueError, match=message):
        linf_pgd(tf.identity, np.zeros((1, 2, 2, 3)), observation_dtype=tf.bool, **arguments)


def test_model_that_is_wrong_on_every_image_has_a_curve_of_zeros():
    weights = np.ones((2, 2, 3), np.float32)
    data = (np.full((3, 2, 2, 3), 0.9, np.float32), np.ones(3, int))
    records = sweep_steps(models.linear_logits(weights, np.float32(-6)), data, num_steps=2)
    assert [r["robust_accuracy"] for r in records] == [0.0, 0.0, 0.0]


def test_logits_that_are_not_finite_under_attack_are_refused():
    linear = models.linear_logits(np.ones((2, 2, 3), np.float32), np.float32(-6))

    def logits_fn(images):
        logits = linear(images)
        return tf.where(logits > 3.5, logits, np.float32(np.nan) * logits) + 0 * logits

    data = (np.full((3, 2, 2, 3), 0.9, np.float32), np.zeros(3, int))
    with pytest.raises(RunError, match=r"expected finite logits"):
        sweep_steps(logits_fn, data, num_steps=2)


@pytest.mark.parametrize(
    ("sweep", "change", "message"),
    [
        (sweep_steps, {"num_steps": 0}, r"`num_steps` must be an integer >= 1; received 0"),
        (sweep_steps, {"epsilon": "8"}, r"`epsilon` must be in \[0, 1\] pixel units.*received 8"),
        (sweep_steps, {"batch_size": 0}, r"`batch_size` must be an integer >= 1; received 0"),
        (sweep_epsilons, {"num_steps": 0}, r"`num_steps` must be an integer >= 1; received 0"),
        (sweep_epsilons, {"epsilons": ()}, r"`epsilons` must be one or more.*received none"),
        (
            sweep_epsilons,
            {"epsilons": ("0.5", "1/2")},
            r"`epsilons` must be .* different radii; received 0\.5, 1/2",
        ),
        (sweep_epsilons, {"epsilons": ("two",)}, r"`epsilon`: .*two"),
        (sweep_epsilons, {"step_size": "-1/255"}, r"`step_size` must be in \[0, 1\]"),
    ],
)
def test_argument_that_does_not_fit_is_named(sweep, change, message):
    logits_fn = models.linear_logits(np.ones((2, 2, 3), np.float32), np.float32(0))
    with pytest.raises(ValueError, match=message):
        sweep(logits_fn, (np.full((2, 2, 2, 3), 0.5), np.array([0, 1])), **change)


def test_records_so_far_are_handed_out_as_each_radius_ends():
    logits_fn, data, _ = _near_boundary()
    seen = []
    settings = {"num_steps": 2, "on_records": seen.append}
    measured = sweep_epsilons(logits_fn, data, epsilons=["0", "4/255", "8/255"], **settings)
    assert [len(records) for records in seen] == [1, 2, 3] and seen[-1] == measured
    measured = sweep_steps(logits_fn, data, **settings)
    assert seen[3:] == [measured]
