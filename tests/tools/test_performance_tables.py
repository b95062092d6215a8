"""The tables of docs/performance.md: from records, one that is missing said to be, up to date."""

import json

import pytest

from tools import performance_tables


@pytest.fixture
def page(tmp_path):
    """A page with every pair of markers."""
    path = tmp_path / "performance.md"
    pairs = ["\n".join(performance_tables.markers(name)) for name in performance_tables.TABLES]
    path.write_text("\n\n".join(pairs))
    return path


def _write(folder, name, **record):
    (folder / f"benchmark_{name}.json").write_text(json.dumps(record))


def _run(page, *more):
    arguments = [f"--page={page}", f"--results={page.parent}", *more]
    performance_tables.main(arguments)
    return page.read_text()


def test_page_shows_the_committed_records():
    performance_tables.main(["--check"])


def test_without_records_every_table_says_so(page):
    assert _run(page).count(performance_tables.NOT_MEASURED) == len(performance_tables.TABLES)


def test_ratios_stand_beside_what_is_to_be_reached(page):
    rows = [
        {"ratio": "ours / theirs", "value": 0.504, "to_reach": 0.55},
        {"ratio": "ours / detached", "value": 1.0, "to_reach": None},
    ]
    _write(page.parent, "pgd", ratios=rows)
    text = _run(page)
    assert "| ours / theirs | 0.50 | 0.55 |" in text
    assert "| ours / detached | 1.00 |  |" in text


def test_one_record_fills_the_tables_of_its_benchmark(page):
    share = {"gflops": 110.4, "limit_gflops": 220.0, "share": 0.502}
    _write(
        page.parent,
        "step",
        ratios=[],
        shares_of_the_limit={"ascl_tf, float32": share},
        parts={"clean anchors": 1},
        seconds={"clean anchors": [0.2, 0.1, 0.3]},
    )
    text = _run(page)
    assert "| ascl_tf, float32 | 110 | 220 | 0.50 |" in text
    assert "| clean anchors | 1 | 200 |" in text


def test_sizes_and_sets_are_rows(page):
    size = {"network": "resnet18", "size": 64, "seconds_per_pass": 0.0074, "peak_bytes": 2**29}
    _write(page.parent, "image_sizes", rows=[size])
    measured = {"standard_accuracy": 99.5, "robust_accuracy": 88, "nearest_neighbor": 70}
    one = {"set": "plain_2_60", "minutes": 3.0, "epochs": 46, "largest_class": 50, **measured}
    one |= {"flags": "--width=4", "initial_encoder": "", "class_weights": "none"}
    _write(page.parent, "pictures", rows=[one])
    text = _run(page)
    assert "| resnet18 | 64 | 7.4 | 0.50 |" in text
    line = "| plain_2_60 | random weights | none | `--width=4` | 3 | 46 |"
    assert f"{line} 99.50 | 88.00 | 70.00 | 50.00 |" in text


def test_growth_shows_the_parts_that_were_measured(page):
    limits = {"replicas": 1.25, "memory": 1.5, "largest_deviation": 0.1}
    line = {"slope": 6.0, "largest_deviation": 0.034}
    memory = {"ratios": {"128": 1.3, "32": 2.0}, "kept_bytes": {"128": 512}, "line": line}
    _write(page.parent, "scaling", to_reach=limits, memory=memory)
    text = _run(page)
    assert "| peak memory over kept activations, batch 128 | 1.30 | 1.5 |" in text
    assert text.index("batch 32 ") < text.index("batch 128 ")
    assert "| memory of each further image over its kept activations | 1.50 |  |" in text
    assert "| memory over the batch: largest deviation from a line | 3.4 % | 10 % |" in text
    assert "replicas" not in text


def test_check_fails_where_the_page_is_out_of_date(page):
    with pytest.raises(SystemExit, match="out of date"):
        _run(page, "--check")
    _run(page)
    _run(page, "--check")


def test_frontier_gives_each_rows_best_epoch_and_its_ratio_at_equal_time(page):
    at = {
        "label": "at",
        "epochs": [1, 2],
        "seconds": [60.0, 120.0],
        "robust_accuracies": [20.0, 15.0],
        "standard_accuracies": [40.0, 50.0],
    }
    fast = at | {"label": "fast", "seconds": [15.0, 30.0]}
    ratios = {"at": None, "fast": {"robust": 1.25, "standard": 0.996}}
    _write(page.parent, "frontier", models=[at, fast], ratios=ratios)
    text = _run(page)
    assert "| at | -- | -- | 20.0 | 40.0 | 1.00 | 2 | 2 |" in text
    assert "| fast | 1.25 | 1.00 | 20.0 | 40.0 | 0.25 | 2 | 0 |" in text
