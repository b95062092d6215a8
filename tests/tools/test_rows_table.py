"""The table of rows in docs/results.md: every row once, its numbers from records, up to date."""

import json
import shutil

import pytest

from tools import results_table, rows, rows_table


@pytest.fixture
def root(tmp_path):
    """A folder with results.md and no record."""
    shutil.copy(rows_table.ROOT / "docs" / "results.md", tmp_path)
    _rewrite(tmp_path)
    return tmp_path


def _rewrite(root, *more):
    rows_table.main([f"--page={root / 'results.md'}", f"--results={root / 'results'}", *more])


def _write(root, file, *values):
    records = [
        {
            "protocol": protocol,
            "checkpoint": checkpoint,
            "standard_accuracy": standard,
            "robust_accuracy": robust,
        }
        for protocol, checkpoint, standard, robust in values
    ]
    path = root / "results" / file
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"records": records}))


def _line(root, folder):
    text = (root / "results.md").read_text().partition(rows_table.BEGIN)[2]
    text = text.partition(rows_table.END)[0]
    (line,) = [line for line in text.splitlines() if f"| `{folder}` |" in line]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_page_shows_the_committed_records():
    rows_table.main(["--check"])


def test_page_names_every_row_once():
    text = (rows_table.ROOT / "docs" / "results.md").read_text()
    table = text.partition(rows_table.BEGIN)[2].partition(rows_table.END)[0]
    named = [line.split("|")[2].strip(" `") for line in table.strip().splitlines()[2:]]
    assert named == list(rows.find_rows())


def test_row_without_record_shows_dashes_beside_the_paper(root):
    title, _, paper, ours, at_preset = _line(root, "table1/acl")
    assert title == "Table 1, row 9: ACL (faf)"
    assert (paper, ours) == ("SA 82.19, RA-PGD-20 52.82, RA-AA 45.61", "--")
    assert at_preset == "--"


def test_rows_that_share_a_run_share_its_numbers(root):
    _write(
        root,
        "table1/ascl/evaluate_finetune_laf.json",
        ("standard", "best", 80.0, 80.0),
        ("pgd20", "best", 80.0, 50.5),
        ("standard", "last", 81.0, 81.0),
        ("pgd20", "last", 81.0, 50.5),
    )
    _rewrite(root)
    expected = "finetune_laf: SA 80.00 / 81.00, RA-PGD-20 50.50".removeprefix("finetune_")
    for folder in ("table1/ascl", "table5/full", "table6/ensemble"):
        assert _line(root, folder)[3] == expected
    assert _line(root, "table4/ascl")[3] == expected
    assert _line(root, "table7/lsf")[3] == "--"


def test_one_shot_rows_and_ensembles_find_their_records(root):
    _write(root, "table1/at/evaluate_pretrain.json", ("pgd20", "last", 84.0, 44.0))
    _write(root, "table1/selfie_dpe/evaluate_ensemble.json", ("standard", None, 83.0, 83.0))
    _rewrite(root)
    assert _line(root, "table2/at")[3] == "pretrain: RA-PGD-20 44.00"
    assert _line(root, "table1/selfie_dpe")[3] == "ensemble: SA 83.00"


def test_numbers_of_the_small_preset_stand_in_a_column_of_their_own(root):
    of_row = {"row": "table7/lsf", "head": "lsf", "checkpoint": "best", "standard_accuracy": 70.0}
    records = [
        {**of_row, "protocol": "pgd20", "seed": 0, "robust_accuracy": 40.0},
        {**of_row, "protocol": "pgd20", "seed": 1, "robust_accuracy": 42.0},
        {**of_row, "protocol": "standard", "seed": 0, "corruption": "fog", "robust_accuracy": 1.0},
        {**of_row, "protocol": "pgd20", "seed": 0, "row": "", "robust_accuracy": 2.0},
    ]
    folder = root / "results" / "cpu" / "table7"
    folder.mkdir(parents=True)
    (folder / "records.json").write_text(json.dumps({"records": records}))
    _rewrite(root)
    assert _line(root, "table7/lsf")[3:] == ["--", "lsf: RA-PGD-20 41.00 ± 1.41"]


def test_check_fails_where_a_file_is_out_of_date(root):
    _write(root, "table1/at/evaluate_pretrain.json", ("pgd20", "last", 84.0, 44.0))
    with pytest.raises(SystemExit, match="out of date"):
        _rewrite(root, "--check")
    _rewrite(root)
    _rewrite(root, "--check")


def test_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="expected the markers"):
        results_table.with_table("no markers", "table", rows_table.BEGIN, rows_table.END)
