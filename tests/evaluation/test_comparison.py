"""Two records compared: against loops and enumerations, and refused where they do not fit."""

import fractions
import itertools
import json
import math

import numpy as np
import pytest

from ascl_tf.errors import RunError
from ascl_tf.evaluation import compare, evaluate_robustness
from ascl_tf.evaluation.comparison import compare_files, write_comparisons
from ascl_tf.evaluation.records import write_records
from ascl_tf.evaluation.verdicts import pack, verdicts_of
from tests.evaluation import models


def _record(flags, **changes):
    flags = np.asarray(flags, bool)
    record = {
        "protocol": "pgd20",
        "attack": {"kind": "linf_pgd", "num_steps": 20},
        "standard_accuracy": 100.0,
        "robust_accuracy": 100 * float(np.mean(flags)),
        "verdicts": {"robust": pack(flags)},
        "num_images": len(flags),
        "data_set": "some",
        "data_sha256": "d" * 64,
        "epsilon": "8/255",
        "seed": 0,
        "model_sha256": "ab",
        "wall_seconds": 1.5,
        "versions": {},
    }
    return {name: value for name, value in (record | changes).items() if value is not None}


def _of_counts(only_a, only_b, both=0, neither=0):
    """Returns the comparison of two records with so many pairs of each kind."""
    pairs = [(1, 0)] * only_a + [(0, 1)] * only_b + [(1, 1)] * both + [(0, 0)] * neither
    a, b = zip(*pairs, strict=True)
    return compare(_record(a), _record(b))


def _mcnemar(only_a, only_b):
    """Returns the share of the ways to give out the discordant images that are as uneven."""
    total = only_a + only_b
    uneven = [
        abs(2 * sum(ways) - total) >= abs(only_a - only_b)
        for ways in itertools.product((0, 1), repeat=total)
    ]
    return fractions.Fraction(sum(uneven), 2**total)


@pytest.mark.parametrize("total", range(11))
def test_p_value_is_that_of_an_enumeration_of_all_ways(total):
    for only_a in range(total + 1):
        found = _of_counts(only_a, total - only_a, both=2, neither=1)["p_value"]
        assert found == pytest.approx(float(_mcnemar(only_a, total - only_a)), rel=1e-12)


def test_p_value_of_many_discordant_images_is_that_of_whole_numbers():
    for only_a, only_b in ((300, 380), (1500, 1400), (0, 900)):
        tail = sum(math.comb(only_a + only_b, k) for k in range(min(only_a, only_b) + 1))
        want = float(fractions.Fraction(2 * tail, 2 ** (only_a + only_b)))
        assert _of_counts(only_a, only_b, both=10)["p_value"] == pytest.approx(want, rel=1e-9)


def test_numbers_are_those_that_another_program_gives_for_published_counts():
    # Cavo et al. 2012 in the R package contingencytables of Fagerland, Lydersen and Laake.
    found = _of_counts(only_a=6, only_b=16, both=59, neither=80)
    assert found["interval"] == pytest.approx([0.32, 11.95], abs=0.005)
    assert found["p_value"] == pytest.approx(0.052479, abs=5e-7)


def _probability(counts, shares):
    coefficient = math.factorial(sum(counts))
    for count in counts:
        coefficient //= math.factorial(count)
    return coefficient * math.prod(s**c for s, c in zip(shares, counts, strict=True))


@pytest.mark.parametrize("shares", [(0.1, 0.2), (0.05, 0.05), (0.3, 0.1), (0.02, 0.01)])
def test_interval_covers_the_true_difference_as_often_as_it_says(shares):
    # Over all outcomes of 30 images with these chances of a discordant pair.
    num_images, (share_a, share_b), covered = 30, shares, 0.0
    for only_a in range(num_images + 1):
        for only_b in range(num_images + 1 - only_a):
            rest = num_images - only_a - only_b
            chance = _probability((only_a, only_b, rest), (*shares, 1 - sum(shares)))
            if chance > 1e-9:
                low, high = _of_counts(only_a, only_b, both=rest)["interval"]
                covered += chance * (low <= 100 * (share_b - share_a) <= high)
    assert 0.94 < covered <= 1


def test_interval_stays_in_range_and_holds_the_difference():
    for counts in ((1, 0), (0, 1), (0, 40), (40, 0)):
        found = _of_counts(*counts)
        low, high = found["interval"]
        assert -100 <= low <= found["difference"] <= high <= 100


def test_counts_are_those_of_a_loop_over_the_images():
    rng = np.random.default_rng(0)
    right_in_a, right_in_b = rng.uniform(size=(2, 203)) < [[0.5], [0.6]]
    found = compare(
        _record(right_in_a, model_sha256="aa"), _record(right_in_b, protocol="autoattack")
    )
    only_a = only_b = 0
    for first, second in zip(right_in_a, right_in_b, strict=True):
        only_a += first and not second
        only_b += second and not first
    assert (found["num_only_a"], found["num_only_b"]) == (only_a, only_b)
    assert found["difference"] == pytest.approx(100 * (only_b - only_a) / 203)
    accuracies = [found[side]["accuracy"] for side in "ab"]
    assert found["difference"] == pytest.approx(accuracies[1] - accuracies[0])
    assert (found["num_images"], found["data_set"]) == (203, "some")
    assert found["a"] == {
        "name": "a",
        "protocol": "pgd20",
        "label": "pgd20",
        "accuracy": pytest.approx(100 * right_in_a.mean()),
        "model_sha256": "aa",
    }
    assert found["b"]["protocol"] == "autoattack"
    assert json.loads(json.dumps(found)) == found


def test_exchanged_records_give_the_same_answer_from_the_other_side():
    a, b = _record([1, 1, 0, 1, 0, 1, 1]), _record([1, 0, 1, 0, 0, 0, 1])
    there, back = compare(a, b), compare(b, a)
    assert there["difference"] == -back["difference"] != 0
    assert there["interval"] == pytest.approx([-limit for limit in reversed(back["interval"])])
    assert there["p_value"] == back["p_value"]
    assert (there["num_only_a"], there["num_only_b"]) == (back["num_only_b"], back["num_only_a"])


@pytest.mark.parametrize("count", [1, 10, 10_000])
def test_identical_records_differ_by_nothing_but_are_not_certain(count):
    record = _record(np.arange(count) % 3 == 0)
    found = compare(record, record)
    assert found["difference"] == found["num_only_a"] == found["num_only_b"] == 0
    assert found["p_value"] == 1.0
    low, high = found["interval"]
    # Without a discordant pair: 1.96 sqrt(2) / (n + 2) to either side.
    assert high == -low == pytest.approx(100 * 1.959964 * math.sqrt(2) / (count + 2))


def test_two_measured_models_are_compared_on_what_they_get_right(tmp_path):
    images, labels, weights, bias = models.linear_problem(num_images=40, seed=3)
    other = weights + np.random.default_rng(0).normal(size=weights.shape).astype(np.float32) / 4
    sides = []
    for name, chosen in (("a", weights), ("b", other)):
        logits_fn = models.linear_logits(chosen, bias)
        measured = evaluate_robustness(logits_fn, (images, labels), ["standard", "fgsm"])
        write_records(tmp_path / f"{name}.json", measured)
        sides.append(
            [models.linear_survivors(images, labels, chosen, bias, r) for r in (0.0, 8 / 255)]
        )
    found = compare_files(tmp_path / "a.json", tmp_path / "b.json")
    assert [comparison["a"]["protocol"] for comparison in found] == ["standard", "fgsm"]
    for comparison, first, second in zip(found, *sides, strict=True):
        assert (comparison["a"]["name"], comparison["b"]["name"]) == ("a.json", "b.json")
        assert comparison["num_only_a"] == np.sum(first & ~second)
        assert comparison["num_only_b"] == np.sum(second & ~first)
        assert comparison["num_only_a"] + comparison["num_only_b"] > 0


OLD = _record([1, 0, 1], verdicts=None)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({}, {"num_images": None}, "`b`: expected the field `num_images`; found none"),
        (
            {},
            {"data_sha256": "e" * 64},
            f"`b`: expected the images of a, 3 of the set with SHA-256 {'d' * 64}; "
            f"found 3 of the set with SHA-256 {'e' * 64}",
        ),
        ({}, {"num_images": 2}, "`b`: expected the images of a, 3 of the set with SHA-256 ddd"),
        ({}, {"corrupted_sha256": "c"}, "`b`: expected the images of a, 3 of the set with"),
        ({"data_sha256": None}, {}, "`a`: expected the hash of its images; found none"),
        ({}, {"data_sha256": None}, "`b`: expected the hash of its images; found none"),
        ({"verdicts": None}, {}, "`a`: expected a verdict on each of its 3 images; found none: an"),
        ({}, {"verdicts": None}, "`b`: expected a verdict on each of its 3 images; found none: an"),
        ({}, {"robust_accuracy": 50.0}, "`b`: expected verdicts on 3 images, 50.00 % of them"),
    ],
)
def test_records_that_do_not_fit_are_refused_in_one_line(a, b, message):
    with pytest.raises(RunError) as error:
        compare(_record([1, 0, 1], **a), _record([1, 0, 1], **b))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_same_corrupted_images_are_compared():
    fields = {"protocol": "corruptions", "corruption": "fog", "severity": 3}
    a, b = (_record(flags, corrupted_sha256="c", **fields) for flags in ([1, 0], [1, 1]))
    assert compare(a, b)["a"]["label"] == "corruptions: fog 3"
    assert compare(a, b)["difference"] == 50


def _write(path, *records):
    write_records(path, records)
    return path


def test_files_of_one_record_are_compared_as_records_are(tmp_path):
    a, b = _record([1, 0, 1]), _record([1, 1, 1], protocol="fgsm")
    found = compare(_write(tmp_path / "x.json", a), str(_write(tmp_path / "y.json", b)))
    want = compare(a, b)
    assert (found["a"].pop("name"), found["b"].pop("name")) == ("x.json", "y.json")
    assert (want["a"].pop("name"), want["b"].pop("name")) == ("a", "b")
    assert found == want
    several = _write(tmp_path / "z.json", a, b)
    with pytest.raises(RunError, match=r"z\.json: expected one record; found 2"):
        compare(a, several)
    with pytest.raises(RunError, match=r"absent\.json: expected a record file"):
        compare(tmp_path / "absent.json", a)


def _sweep(flags, steps):
    attack = {"kind": "linf_pgd", "num_steps": steps}
    return _record(flags, protocol="sweep_steps", attack=attack)


def test_pairs_have_the_same_protocol_and_checkpoint_where_both_name_one(tmp_path):
    first = _write(
        tmp_path / "a.json",
        _record([1, 0, 1], checkpoint="best"),
        _record([1, 0, 0], checkpoint="last"),
        _record([1, 0, 0], protocol="fgsm"),
        _sweep([1, 0, 0], 1),
        _sweep([0, 0, 0], 2),
    )
    second = _write(
        tmp_path / "b.json",
        _sweep([1, 1, 0], 2),
        _sweep([1, 1, 1], 3),
        _record([1, 1, 1], checkpoint="last"),
        _record([1, 1, 0], checkpoint="best"),
        _record([1, 1, 0], protocol="pgd100"),
    )
    found = [
        (c["a"]["label"], c["a"].get("checkpoint"), c["b"].get("checkpoint"), c["difference"])
        for c in compare_files(first, second)
    ]
    third = pytest.approx(100 / 3)
    assert found == [
        ("pgd20", "best", "best", 0.0),
        ("pgd20", "last", "last", 2 * third.expected),
        ("sweep_steps: 2", None, None, 2 * third.expected),
    ]
    plain = _write(tmp_path / "c.json", _record([1, 1, 0]))
    assert [c["a"]["checkpoint"] for c in compare_files(first, plain)] == ["best", "last"]


def test_transfers_are_paired_by_target_and_source(tmp_path):
    def transfer(target, source):
        return _record([1, 0], protocol="transfer_fgsm", target=target, source=source)

    path = _write(tmp_path / "a.json", transfer("at", "vgg"), transfer("ascl", "vgg"))
    found = compare_files(path, _write(tmp_path / "b.json", transfer("ascl", "vgg")))
    assert [c["b"]["label"] for c in found] == ["transfer_fgsm: ascl by vgg"]


def test_collected_records_are_paired_by_row(tmp_path):
    path = _write(tmp_path / "a.json", _record([1, 0], row="at"), _record([1, 1], row="ascl"))
    pairs = [(c["a"]["row"], c["b"]["row"]) for c in compare_files(path, path)]
    assert pairs == [("at", "at"), ("ascl", "ascl")]


def test_no_pair_is_refused_with_what_both_files_hold(tmp_path):
    first = _write(tmp_path / "a.json", _record([1]), _record([1], protocol="fgsm"))
    second = _write(tmp_path / "b.json", _record([1], protocol="pgd100"))
    message = r"b\.json: expected a record with a protocol of .*a\.json \(pgd20, fgsm\); found pgd1"
    with pytest.raises(RunError, match=message):
        compare_files(first, second)
    with pytest.raises(RunError, match=r"expected a record with .*\(none\); found pgd100"):
        compare_files(_write(tmp_path / "empty.json"), second)


def test_file_and_protocol_of_a_record_that_does_not_fit_are_named(tmp_path):
    first = _write(tmp_path / "a.json", _record([1, 0, 1]))
    with pytest.raises(RunError, match=r"old\.json, pgd20: expected a verdict on each of its 3"):
        compare_files(first, _write(tmp_path / "old.json", OLD))
    other = _write(tmp_path / "b.json", _record([1, 0]))
    with pytest.raises(
        RunError, match=r"b\.json, pgd20: expected the images of .*a\.json, pgd20, 3 of"
    ):
        compare_files(first, other)


@pytest.mark.parametrize("content", ["", "[]", '{"records": []}', "[" * 100_000, "\x00"])
def test_only_comparisons_are_replaced(content, tmp_path):
    compared = [compare(_record([1, 0]), _record([1, 1]))]
    path = tmp_path / "c.json"
    for _ in range(2):
        write_comparisons(path, compared)
        assert json.loads(path.read_text()) == {"comparisons": compared}
    path.write_text(content)
    with pytest.raises(RunError, match=r"c\.json: expected a new file, or comparisons to replace"):
        write_comparisons(path, compared)
    assert path.read_text() == content


def test_verdicts_that_are_kept_once_are_without_attack_too():
    record = _record([1, 0, 1], standard_accuracy=200 / 3)
    np.testing.assert_array_equal(verdicts_of(record, "standard"), verdicts_of(record))
