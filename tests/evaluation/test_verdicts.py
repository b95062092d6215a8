"""Verdicts in records: of each image, under every kind of protocol, and small."""

import math

import numpy as np
import pytest

from ascl_tf.data.corruptions import corrupt
from ascl_tf.errors import RunError
from ascl_tf.evaluation import PROTOCOLS, evaluate_robustness
from ascl_tf.evaluation.batch_attacks import ATTACKS
from ascl_tf.evaluation.black_box import transfer_matrix
from ascl_tf.evaluation.common_corruptions import evaluate_corruptions
from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
from ascl_tf.evaluation.verdicts import pack, verdicts_of
from tests.evaluation import models

EPSILON = 8 / 255
# A protocol of each kind, with steps and radius with which it reaches the worst corner.
BY_KIND = {protocol.kind: protocol for protocol in PROTOCOLS.values()}
BY_KIND["linf_pgd"] = PROTOCOLS["pgd20"]
BY_KIND["autoattack"] = PROTOCOLS["autoattack_fast"]


def _problem():
    # An even number: the median of an odd one would be an image on the boundary itself.
    images, labels, weights, bias = models.linear_problem(num_images=26, seed=1)
    return models.linear_logits(weights, bias), images, labels, weights, bias


def _check(record, is_right, is_clean):
    np.testing.assert_array_equal(verdicts_of(record), is_right)
    np.testing.assert_array_equal(verdicts_of(record, "standard"), is_clean)
    assert record["robust_accuracy"] == pytest.approx(100 * np.mean(is_right))
    assert record["standard_accuracy"] == pytest.approx(100 * np.mean(is_clean))


# The closed form of l2_pgd is in test_robustness.py.
@pytest.mark.parametrize("kind", [*(kind for kind in ATTACKS if kind != "l2_pgd"), "autoattack"])
def test_verdicts_are_those_of_the_closed_form_under_every_kind_of_protocol(kind):
    logits_fn, images, labels, weights, bias = _problem()
    protocol = BY_KIND[kind]
    (record,) = evaluate_robustness(logits_fn, (images, labels), protocol, batch_size=10)
    survivors = [
        models.linear_survivors(images, labels, weights, bias, radius)
        for radius in (float(protocol.epsilon), 0.0)
    ]
    assert 0 < survivors[0].sum() < 26
    _check(record, *survivors)
    # What is measured once is kept once.
    assert set(record["verdicts"]) == ({"robust"} if kind == "none" else {"robust", "standard"})


def test_verdicts_of_a_sweep_over_radii_are_those_of_each_radius():
    logits_fn, images, labels, weights, bias = _problem()
    epsilons = ("0", "4/255", "10/255")
    found = sweep_epsilons(logits_fn, (images, labels), epsilons=epsilons, num_steps=15)
    clean = models.linear_survivors(images, labels, weights, bias, 0.0)
    counts = set()
    for record, level in zip(found, (0, 4, 10), strict=True):
        robust = models.linear_survivors(images, labels, weights, bias, level / 255)
        _check(record, robust, clean)
        counts.add(robust.sum())
    assert len(counts) == 3


def test_verdicts_of_a_sweep_over_steps_begin_clean_and_end_at_the_worst_corner():
    logits_fn, images, labels, weights, bias = _problem()
    found = sweep_steps(logits_fn, (images, labels), num_steps=8, batch_size=10)
    clean = models.linear_survivors(images, labels, weights, bias, 0.0)
    robust = models.linear_survivors(images, labels, weights, bias, EPSILON)
    _check(found[0], clean, clean)
    # From wherever in the ball, eight steps of a quarter of it end in a corner.
    _check(found[-1], robust, clean)


def test_verdicts_of_a_transfer_are_of_the_target_under_examples_of_the_source():
    logits_fn, images, labels, weights, bias = _problem()
    of_source = np.random.default_rng(2).normal(size=weights.shape).astype(np.float32)
    pair = {"target": logits_fn, "source": models.linear_logits(of_source, bias)}
    (record,) = transfer_matrix(
        pair, (images, labels), protocol="fgsm", sources=["source"], targets=["target"]
    )
    sign = np.where(labels == 0, -1.0, 1.0)[:, None, None, None]
    moved = np.clip(images.astype(np.float64) + EPSILON * sign * np.sign(of_source), 0, 1)
    clean = models.linear_survivors(images, labels, weights, bias, 0.0)
    on_examples = models.linear_survivors(moved, labels, weights, bias, 0.0)
    assert not np.array_equal(clean, clean & on_examples)
    _check(record, clean & on_examples, clean)


def test_verdicts_under_a_corruption_are_of_the_corrupted_images_by_themselves():
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (20, 16, 16, 3), np.uint8)
    weights = rng.normal(size=(16, 16, 3)).astype(np.float32)
    bias = np.float32(-np.median(np.einsum("nhwc,hwc->n", images / 255, weights)))
    labels = rng.integers(0, 2, 20)
    logits_fn = models.linear_logits(weights, bias)
    settings = {"corruptions": ["gaussian_noise", "brightness"], "severities": [5], "seed": 3}
    found = evaluate_corruptions(logits_fn, (images, labels), batch_size=7, **settings)

    def is_right(shown):
        return models.linear_survivors(shown / 255, labels, weights, bias, 0.0)

    for record in found:
        shown = corrupt(images, record["corruption"], 5, 3)
        assert not np.array_equal(is_right(shown), is_right(images))
        _check(record, is_right(shown), is_right(images))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 10_000])
def test_packed_flags_come_back_and_are_small(count):
    flags = np.random.default_rng(count).uniform(size=count) < 0.4
    packed = pack(flags)
    accuracy = 100 * float(np.mean(flags))
    record = {"num_images": count, "robust_accuracy": accuracy, "verdicts": {"robust": packed}}
    np.testing.assert_array_equal(verdicts_of(record), flags)
    # Four characters for three bytes of eight images each.
    assert len(packed) == 4 * math.ceil(count / 24)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdicts": None}, "expected a verdict on each of its 10 images; found none: an older"),
        ({"verdicts": {}}, "expected a verdict on each of its 10 images; found none"),
        ({"verdicts": "9gA="}, "expected a verdict on each of its 10 images; found none"),
        ({"verdicts": {"robust": "9g=="}}, "expected verdicts on 10 images, 60.00 % of them right"),
        ({"verdicts": {"robust": "9gAA"}}, "expected verdicts on 10 images"),
        ({"verdicts": {"robust": "8AA="}}, "expected verdicts on 10 images"),
        # The count is right if a bit after the last image is counted.
        ({"verdicts": {"robust": "8CE="}}, "expected verdicts on 10 images"),
        ({"verdicts": {"robust": "9g A="}}, "expected verdicts on 10 images"),
        ({"verdicts": {"robust": "ä"}}, "expected verdicts on 10 images"),
        ({"verdicts": {"robust": 3}}, "expected verdicts on 10 images"),
        ({"num_images": 9}, "expected verdicts on 9 images"),
    ],
)
def test_absent_and_damaged_verdicts_are_refused_in_one_line(changes, message):
    record = {"num_images": 10, "robust_accuracy": 60.0, "verdicts": {"robust": "9gA="}}
    assert verdicts_of(record).tolist() == [True] * 4 + [False, True, True] + [False] * 3
    with pytest.raises(RunError) as error:
        verdicts_of(record | changes)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
