"""The tables of docs/results.md and of README.md: made from records, and up to date."""

import json

import pytest

from ascl_tf.config import pretrained
from tools import results_table


def _record(checkpoint, protocol, standard, robust):
    return {
        "checkpoint": checkpoint,
        "protocol": protocol,
        "standard_accuracy": standard,
        "robust_accuracy": robust,
        "num_images": 1000,
    }


def _write(results, records):
    path = results / results_table.ROWS[1].record
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"records": records}))


def _cells(table, row):
    return [cell.strip() for cell in table.splitlines()[2 + row].split("|")[1:-1]]


def test_pages_show_the_committed_records():
    results_table.main(["--check"])


def test_row_without_record_shows_dashes_beside_the_paper(tmp_path):
    cells = _cells(results_table.make_table(tmp_path), 0)
    assert cells[1:7] == ["81.67", "--", "53.09", "--", "--", "--"]


def test_best_and_last_are_both_shown_where_they_differ(tmp_path):
    _write(
        tmp_path,
        [
            _record("best", "standard", 40.0, 40.0),
            _record("best", "pgd20", 40.0, 25.5),
            _record("last", "standard", 41.0, 41.0),
            _record("last", "pgd20", 41.0, 25.5),
        ],
    )
    cells = _cells(results_table.make_table(tmp_path), 1)
    assert cells[1:7] == ["--", "40.00 / 41.00", "--", "25.50", "--", "1000"]


def test_check_fails_where_the_table_is_out_of_date(tmp_path):
    readme = tmp_path / "README.md"
    results, methods, models = (
        f"{begin}\nold\n{end}\n"
        for begin, end in (
            (results_table.BEGIN, results_table.END),
            (results_table.METHODS_BEGIN, results_table.METHODS_END),
            (results_table.PRETRAINED_BEGIN, results_table.PRETRAINED_END),
        )
    )
    readme.write_text(f"before\n{results}between\n{methods}after\n")
    page = tmp_path / "page.md"
    readme.rename(page)
    readme.write_text(f"{results}{models}")
    (tmp_path / "models.md").write_text(models)
    arguments = [f"--page={page}", f"--readme={readme}", f"--results={tmp_path}"]
    arguments.append(f"--models={tmp_path / 'models.md'}")
    with pytest.raises(SystemExit, match="out of date"):
        results_table.main([*arguments, "--check"])
    results_table.main(arguments)
    results_table.main([*arguments, "--check"])
    assert "old" not in readme.read_text() + (tmp_path / "models.md").read_text()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "\nbetween\n" in text
    assert "81.67" in text and "`table1/ascl`" in text and "old" not in text


def test_short_table_has_what_was_measured_alone(tmp_path):
    accuracies = {"standard": 40.0, "pgd20": 25.5}
    _write(tmp_path, [_record("best", name, 40.0, value) for name, value in accuracies.items()])
    place = {"row": "table7/lsf", "head": "lsf", "seed": 0, "model_sha256": "a"}
    first = {**_record("last", "standard", 39.0, 39.0), **place}
    folder = tmp_path / "cpu" / "table7"
    folder.mkdir(parents=True)
    for others in ([], [{**first, "protocol": "pgd20", "robust_accuracy": 21.0}]):
        document = {"command": "make it", "records": [first, *others]}
        (folder / "records.json").write_text(json.dumps(document))
        lines = results_table.make_short_table(tmp_path).splitlines()[2:]
        assert "| 40.00 | 25.50 | 1000 | `make quickstart` |" in lines[0]
        title = "Table 7: lsf, preset `cpu`"
        # Without PGD there is nothing to show.
        expected = [f"| {title} | 39.00 | 21.00 | 1000 | `make it` |"] if others else []
        assert lines[1:] == expected


def test_short_table_has_each_run_once_and_of_several_seeds_the_first(tmp_path):
    models = {("table1/at", "", 0): "a", ("table1/at", "", 1): "b"}
    models |= {("table1/ascl", "laf", 0): "c", ("table7/laf", "laf", 0): "c"}
    for (row, head, seed), model in models.items():
        path = tmp_path / "cpu" / row.partition("/")[0] / "records.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        document = json.loads(path.read_text()) if path.exists() else {"records": []}
        place = {"row": row, "head": head, "seed": seed, "model_sha256": model}
        for protocol in ("standard", "pgd20"):
            measured = _record("best", protocol, 40.0 + seed, 40.0 + seed)
            document["records"].append(measured | place)
        path.write_text(json.dumps(document | {"command": "make it"}))
    lines = results_table.make_short_table(tmp_path).splitlines()[2:]
    assert lines == [
        f"| Table 1: {title}, preset `cpu` | 40.00 | 40.00 | 1000 | `make it` |"
        for title in ("AT", "ASCL (laf)")
    ]


def test_numbers_of_seeds_are_those_of_the_records():
    places = [("table1/at", 0), ("table1/at", 1), ("table1/scl", 0)]
    records = [{"row": row, "head": "", "seed": seed} for row, seed in places]
    found = [results_table._num_seeds(some) for some in (records, records[:2], [])]
    assert found == ["1 to 2", "2", "1"]


def test_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="expected the markers"):
        results_table.with_table("no markers", "table", "<!-- a -->", "<!-- b -->")


def _methods_cells(results, name):
    lines = results_table.make_methods_table(results).splitlines()
    (line,) = [line for line in lines if f"`{name}`" in line]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_method_without_record_shows_dashes(tmp_path):
    assert _methods_cells(tmp_path, "table1/acl") == ["--"] * 5


def test_method_shows_its_epoch_and_its_place_beside_the_others(tmp_path):
    (tmp_path / "one_epoch").mkdir()
    epoch = {"num_steps": 78, "first_tenth_loss": 5.43216, "last_tenth_loss": 4.2}
    (tmp_path / "one_epoch" / "acl.json").write_text(json.dumps(epoch))
    benchmark = {
        "ratios": {"table1/acl": 1.234},
        "seconds": {"table1/acl": [0.6, 9.0, 0.8]},
        "peak_memory_bytes": {"table1/acl": 1000 * 2**20},
    }
    (tmp_path / "benchmark_methods.json").write_text(json.dumps(benchmark))
    assert _methods_cells(tmp_path, "table1/acl") == ["62", "1.23", "1000", "5.4322", "4.2000"]
    assert _methods_cells(tmp_path, "table1/at") == ["--"] * 5


def test_models_of_the_package_stand_with_the_numbers_of_their_cards(tmp_path, monkeypatch):
    record = {"protocol": "pgd20", "robust_accuracy": 30.125, "num_images": 10000}
    stages = [{"epochs": 3, "hours": 0.5}, {"epochs": 2, "hours": 0.25}]
    fewer = {"protocol": "autoattack", "robust_accuracy": 29.0, "num_images": 500}
    card = {"method": "ascl", "records": [record, fewer], "training": stages}
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / pretrained.FILE).touch()
    (tmp_path / "tiny" / pretrained.CARD).write_text(json.dumps(card))
    (line,) = results_table.make_pretrained_table().splitlines()[2:]
    assert line == "| `tiny` | ascl | -- | 30.12 | 29.00 (500 images) | 10,000 | 3 + 2 | 0.8 |"
