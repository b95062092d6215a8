"""The ledger's rules on made-up records, and the coverage of its intervals in a simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from ascl_tf.analysis import figure_data
from ascl_tf.evaluation import black_box
from ascl_tf.evaluation.verdicts import pack
from tools import claims
from tools.reproduction import claims_page, contrasts, ledger, measures
from tools.reproduction.artifacts import ARTIFACTS, make_plan
from tools.reproduction.graph import Graph
from tools.reproduction.presets import CPU

NUM_IMAGES = 400


def _record(row, flags, *, head="", seed=0, protocol="pgd20", checkpoint="best", **more):
    flags = np.asarray(flags, bool)
    name = f"{row} {head} {seed} {checkpoint}"
    return {
        "row": row,
        "head": head,
        "seed": seed,
        "protocol": protocol,
        "checkpoint": checkpoint,
        "num_images": len(flags),
        "standard_accuracy": 60.0,
        "robust_accuracy": 100 * float(flags.mean()),
        "verdicts": {"robust": pack(flags)},
        "model_sha256": name,
        "checks": [],
        **more,
    }


def _share(percent, num_images=NUM_IMAGES, shift=0):
    flags = np.zeros(num_images, bool)
    flags[: round(num_images * percent / 100)] = True
    return np.roll(flags, shift)


def _seeds(row, percents, **settings):
    return [_record(row, _share(p), seed=seed, **settings) for seed, p in enumerate(percents)]


def _estimate(text, records):
    return contrasts.estimate(contrasts.parse(text), contrasts.Records(records))


def _judge(records, sum_text="a/x@pgd20 - a/y@pgd20", **part):
    entry = {"id": 0, "where": "Table 1", "claim": "", "paper": ""}
    return ledger.judge({**entry, "parts": [{"sum": sum_text, **part}]}, contrasts.Records(records))


# Contrasts.


def test_estimate_is_paired_by_image_and_pools_the_seeds():
    rng = np.random.default_rng(0)
    x = [rng.random(NUM_IMAGES) < 0.5 for _ in range(3)]
    y = [rng.random(NUM_IMAGES) < 0.4 for _ in range(2)]
    records = [_record("a/x", flags, seed=seed) for seed, flags in enumerate(x)]
    records += [_record("a/y", flags, seed=seed) for seed, flags in enumerate(y)]
    found = _estimate("a/x@pgd20 - a/y@pgd20", records)
    z = np.mean(x, axis=0) - np.mean(y, axis=0)
    squares = sum(np.sum((np.mean(s, axis=1) - np.mean(s)) ** 2) for s in (x, y))
    pooled = squares / (2 + 1)
    variance = stats.sem(z) ** 2 + pooled / 3 + pooled / 2
    assert found.value == pytest.approx(100 * z.mean())
    assert found.error == pytest.approx(100 * math.sqrt(variance))
    assert (found.degrees, found.num_seeds, found.num_images) == (3, 2, NUM_IMAGES)
    low, high = found.limits()
    width = stats.t.ppf(0.975, 3) * found.error
    assert (low, high) == pytest.approx((found.value - width, found.value + width))


def test_rows_that_are_one_run_count_once_among_the_seeds():
    records = _seeds("a/x", (50, 52, 54)) + _seeds("a/y", (40, 40, 43))
    same = [{**record, "row": "b/x"} for record in records if record["row"] == "a/x"]
    text = "a/x@pgd20 - a/y@pgd20"
    assert _estimate(text, records + same) == _estimate(text, records)


def test_gap_of_two_protocols_takes_the_images_that_both_have():
    long, short = _share(50), _share(50)[:100]
    records = [_record("a/x", long), _record("a/x", short, protocol="autoattack")]
    records += _seeds("a/y", (20, 20, 21)) + _seeds("a/y", (20, 20, 21), protocol="autoattack")
    found = _estimate("a/x@pgd20 - a/x@autoattack", records)
    assert (found.value, found.num_images) == (0.0, 100)
    # A model's own gap has the spread over seeds of a gap, which is none here.
    assert found.error == 0.0 and found.degrees == 2


def test_transfer_corruptions_and_points_of_curves_are_found():
    records = [
        _record("", _share(30), protocol="transfer_pgd20", target="A", source="B"),
        _record("f/a", _share(10), protocol="corruptions", corruption="fog", severity=1),
        _record("f/a", _share(30), protocol="corruptions", corruption="snow", severity=1),
        _record("f/a", _share(25), protocol="sweep_steps", attack={"num_steps": 20}),
        _record("f/a", _share(35), protocol="sweep_epsilon", epsilon="8/255"),
    ]
    expected = {
        "t:A<B@transfer_pgd20": 30,
        "f/a@corruptions": 20,
        "f/a@corruptions=snow": 30,
        "f/a@sweep_steps=20": 25,
        "f/a@sweep_epsilon=8/255": 35,
    }
    for text, value in expected.items():
        assert _estimate(text, records).value == pytest.approx(value)


def _measures(row, values, *, seed=0, measure="rise"):
    return {
        "row": row,
        "head": "",
        "seed": seed,
        "protocol": "input_landscape",
        "measure": measure,
        "checkpoint": "best",
        "values": measures.pack(values),
        "model_sha256": f"{row} {seed}",
        "checks": [],
    }


def test_measure_of_a_figure_is_compared_in_its_own_unit_and_paired_by_image():
    # What an image has of its own is in both models, and leaves no spread in the difference.
    own = np.random.default_rng(5).normal(scale=3.0, size=64)
    records = [_measures("f/x", own + 2.0 + 0.1 * seed, seed=seed) for seed in (-1, 0, 1)]
    records += [_measures("f/y", own + 1.5, seed=0), _measures("f/x", own, measure="loss")]
    records += _seeds("f/x", (10, 90)) + _seeds("f/y", (10, 90))
    text = "f/x@input_landscape=rise - f/y@input_landscape=rise"
    found = _estimate(text, records)
    assert found.value == pytest.approx(0.5, abs=1e-6)
    # s^2 = 0.01 over three seeds and over one.
    assert found.error == pytest.approx(math.sqrt(0.01 / 3 + 0.01), rel=1e-4)
    assert (found.degrees, found.num_images, found.num_seeds) == (2, 64, 1)


def test_measure_of_a_figure_decides_a_claim():
    own = np.random.default_rng(5).normal(size=64)
    records = [_measures("f/x", own + 9.0 + 0.1 * seed, seed=seed) for seed in (0, 1, 2)]
    records += [_measures("f/y", own + 0.1 * seed, seed=seed) for seed in (0, 1, 2)]
    x, y = "f/x@input_landscape=rise", "f/y@input_landscape=rise"
    assert _judge(records, f"{x} - {y}").verdict == ledger.HOLDS
    assert _judge(records, f"{y} - {x}").verdict == ledger.REVERSED
    flat = [{"name": "zero_gradients", "message": "some"}]
    unfit = [*records[:-1], {**records[-1], "checks": flat}]
    assert _judge(unfit, f"{x} - {y}").verdict == ledger.NOT_MEASURABLE


def test_model_at_chance_decides_no_claim_on_a_picture():
    own = np.random.default_rng(5).normal(size=64)
    rows = ("figure4/ascl", "figure4/at")
    records = [_measures(row, own + i, seed=s) for i, row in enumerate(rows) for s in (0, 1, 2)]
    text = "figure4/at@input_landscape=rise - figure4/ascl@input_landscape=rise"
    assert _judge(records, text).verdict in (ledger.HOLDS, ledger.OPEN)
    # Figure 4's model is Table 1's run.
    at_chance = _record("table1/at", _share(8), protocol="standard", standard_accuracy=11.0)
    found = _judge([*records, at_chance], text)
    assert found.verdict == ledger.NOT_MEASURABLE
    assert found.parts[0].note == "table1/at: standard accuracy no better than chance"


def test_deciding_part_is_the_one_that_clears_its_margin_by_least():
    estimate = contrasts.Estimate(1.0, 1.0, 60, 100, 3)
    parts = [
        ledger.Part("silhouette", ledger.HOLDS, estimate, (0.02, 0.04), clearance=5.0),
        ledger.Part("points", ledger.HOLDS, estimate, (0.5, 4.0), clearance=0.6),
    ]
    assert ledger.Claim({}, ledger.HOLDS, tuple(parts)).deciding_part.text == "points"


@pytest.mark.parametrize("text", ["a/x", "a/x@pgd20 a/y@pgd20", "a/x@pgd20 - ", "- - a@b"])
def test_contrast_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="expected row:head@number"):
        contrasts.parse(text)


# Verdicts.


def test_few_seeds_would_show_large_differences_alone():
    one, many = (contrasts.Estimate(0.0, 1.0, degrees, 100, 2) for degrees in (1, 100_000))
    assert one.detectable == pytest.approx(12.706 + 1.376, abs=1e-3)
    assert many.detectable == pytest.approx(2.8, abs=0.01)


@pytest.mark.parametrize(
    ("x", "y", "above", "verdict"),
    [
        ((60, 61, 60), (30, 30, 31), 0.0, ledger.HOLDS),
        ((30, 31, 30), (60, 60, 61), 0.0, ledger.REVERSED),
        ((50, 51, 50), (50, 50, 51), 0.0, ledger.OPEN),
        ((50, 51, 50), (50, 50, 51), -5.0, ledger.HOLDS),
        ((40, 60, 50), (30, 45, 38), 0.0, ledger.OPEN),  # The seeds differ by more.
        ((60,), (30,), 0.0, ledger.NOT_MEASURED),  # One seed says nothing about a method.
    ],
)
def test_verdict(x, y, above, verdict):
    found = _judge(_seeds("a/x", x) + _seeds("a/y", y), above=above)
    assert found.verdict == verdict
    if verdict == ledger.OPEN:
        (cells,) = claims_page.make_grid([found], "cpu").rows
        error = found.parts[0].estimate.error
        seen_from = f"{(2.776 + 0.941) * error:.2g}"  # Of a printed table, 4 degrees of freedom.
        assert cells[claims_page.HEADINGS.index("verdict")] == f"open (seen from {seen_from})"


def test_missing_row_is_said():
    found = _judge(_seeds("a/x", (60, 61, 60)))
    assert found.verdict == ledger.NOT_MEASURED and found.parts[0].note == "no record of a/y pgd20"


def test_record_without_verdicts_is_not_measured():
    records = _seeds("a/x", (60, 61, 60)) + _seeds("a/y", (30, 31, 30))
    del records[-1]["verdicts"]
    found = _judge(records)
    assert found.verdict == ledger.NOT_MEASURED and found.parts[0].note.endswith("on each image")


def test_constant_model_and_one_at_chance_are_not_measurable():
    constant = [{"name": "constant_output", "message": "one class"}]
    records = _seeds("a/x", (60, 61, 60)) + _seeds("a/y", (30, 31, 30))
    for changes in ({"checks": constant}, {"standard_accuracy": 12.0}):
        unfit = [*records[:-1], {**records[-1], **changes}]
        assert _judge(unfit).verdict == ledger.NOT_MEASURABLE
    assert _judge([*records[:-1], {**records[-1], "standard_accuracy": 20.0}]).verdict == "holds"


def test_every_part_must_hold_and_one_reverses():
    records = _seeds("a/x", (60, 61, 60)) + _seeds("a/y", (30, 31, 30))
    records += _seeds("a/z", (60, 60, 61)) + _seeds("a/w", (90, 90, 91))
    text = "a/x@pgd20 - {other}@pgd20"
    assert _judge(records, text, other=["a/y"]).verdict == ledger.HOLDS
    assert _judge(records, text, other=["a/y", "a/z"]).verdict == ledger.OPEN
    assert _judge(records, text, other=["a/y", "a/w"]).verdict == ledger.REVERSED
    assert _judge(records, text, other=["a/y", "a/z"], count=1).verdict == ledger.HOLDS
    assert _judge(records, text, other=["a/y", "a/w"], count=1).verdict == ledger.HOLDS


def test_bonferroni_widens_the_limits_of_many_parts():
    found = contrasts.Estimate(-3.0, 1.0, 60, 100, 3)
    assert found.limits()[1] < 0 < found.limits(40)[1]
    assert found.limits(40)[1] == pytest.approx(-3 + stats.t.ppf(1 - 0.025 / 40, 60))


@pytest.mark.parametrize(
    ("num_right", "verdict"), [(0, ledger.HOLDS), (4, ledger.OPEN), (30, ledger.REVERSED)]
)
def test_no_robustness_is_an_exact_bound(num_right, verdict):
    flags = np.arange(1000) < num_right
    found = _judge([_record("a/x", flags)], "a/x@pgd20", below=1.0)
    test = stats.binomtest(num_right, 1000).proportion_ci(0.95, method="exact")
    assert found.verdict == verdict
    assert found.parts[0].limits == pytest.approx((100 * test.low, 100 * test.high))


def test_sizes_are_compared_with_the_signs_that_were_found():
    records = []
    for row, laf, lsf in (("a/x", 40, 41), ("a/y", 30, 60)):
        for head, percent in (("laf", laf), ("lsf", lsf)):
            records += _seeds(row, (percent, percent, percent + 1), head=head)
    text = "a/y:laf@pgd20 - a/y:lsf@pgd20"
    found = _judge(records, text, larger_than_size_of="a/x:laf@pgd20 - a/x:lsf@pgd20")
    assert found.verdict == ledger.HOLDS and found.parts[0].estimate.value == pytest.approx(29.0)


def test_interval_covers_the_truth_of_methods_as_often_as_it_says():
    """Accuracies of runs vary around their method's; the interval is of the methods' difference."""
    rng, covered, num_trials = np.random.default_rng(1), 0, 400
    for _ in range(num_trials):
        difficulty, records = rng.random(NUM_IMAGES), []
        for row, mean in (("a/x", 0.5), ("a/y", 0.45), ("a/z", 0.4), ("a/w", 0.4)):
            for seed in range(3):
                share = mean + rng.normal(scale=0.03)
                records.append(_record(row, difficulty < share, seed=seed))
        low, high = _estimate("a/x@pgd20 - a/y@pgd20", records).limits()
        covered += low <= 5.0 <= high
    # Two standard errors of a share of 0.95 among so many are 2.2 %.
    assert 0.925 <= covered / num_trials <= 0.99


# The page.


@pytest.mark.slow  # Plans all artifacts; the page is below.
def test_claims_on_figures_name_what_the_plans_measure():
    graph = Graph(CPU)
    plans = [make_plan(artifact, graph, (0,)) for artifact in ARTIFACTS.values()]
    measured = {
        (m.row, m.head, m.node.settings["figure"])
        for plan in plans
        for m in plan.measured
        if m.label
    }
    for entry in ledger.read_claims():
        for part in entry["parts"]:
            for one in ledger.expand({**part, "point": ["20"]} if "point" in part else part, []):
                for term in contrasts.parse(ledger.fill(one["sum"], one)):
                    if term.protocol in figure_data.MEASURE:
                        place = (term.row, term.head, term.protocol)
                        assert place in measured, (entry["id"], term)


def test_claims_name_rows_heads_and_numbers_that_are_measured():
    graph, numbers = Graph(CPU), {"standard", "pgd20", "pgd20_eps16", "autoattack"}
    numbers |= {"corruptions", "sweep_steps", "sweep_epsilon", *figure_data.MEASURE}
    # What ascl_tf.evaluation.black_box calls it.
    numbers.add(f"{black_box.TRANSFER}pgd20")
    entries = ledger.read_claims()
    assert [entry["id"] for entry in entries] == sorted({entry["id"] for entry in entries})
    for entry in entries:
        for part in entry["parts"]:
            for one in ledger.expand({**part, "point": ["20"]} if "point" in part else part, []):
                for term in contrasts.parse(ledger.fill(one["sum"], one)):
                    assert term.protocol in numbers
                    if "<" not in term.head:
                        heads = [head.name for head in graph.row(term.row).heads]
                        assert term.head in heads, (entry["id"], term)


def test_page_is_up_to_date():
    claims.main(["--check"])


def test_row_shows_the_part_that_the_verdict_hangs_on():
    records = _seeds("a/x", (60, 61, 60)) + _seeds("a/y", (30, 31, 30))
    records += _seeds("a/z", (45, 45, 46))
    claim = _judge(records, "a/x@pgd20 - {other}@pgd20", other=["a/y", "a/z"])
    (cells,) = claims_page.make_grid([claim], "cpu").rows
    row = dict(zip(claims_page.HEADINGS, cells, strict=True))
    assert row["verdict"] == "holds" and row["decided by"] == "a/x@pgd20 - a/z@pgd20 > 0"
    assert row["difference"] == "+15.00" and row["seeds"] == "3" and row["images"] == "400"
    assert claims_page.make_summary([claim]).startswith("Of 1 claims: 1 holds. Were there no")


def test_claims_that_nothing_decides_say_so():
    summary = claims_page.make_summary([_judge([])])
    assert summary == "Of 1 claims: 1 not measured."
