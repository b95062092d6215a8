"""The table of rows in README.md: every row folder once, its numbers from records, up to date."""

import json
import shutil

import pytest

from tools import rows_table


@pytest.fixture
def root(tmp_path):
    """A copy of flags/ and README.md without any record."""
    shutil.copytree(rows_table.ROOT / "flags", tmp_path / "flags")
    shutil.copy(rows_table.ROOT / "README.md", tmp_path)
    rows_table.main([f"--root={tmp_path}"])
    return tmp_path


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
    text = (root / "README.md").read_text()
    (line,) = [line for line in text.splitlines() if f"| `flags/{folder}` |" in line]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_readme_and_headers_show_the_committed_records():
    rows_table.main(["--check"])


def test_every_row_of_the_readme_has_its_folder_and_the_other_way_round():
    text = (rows_table.ROOT / "README.md").read_text()
    table = text.partition(rows_table.BEGIN)[2].partition(rows_table.END)[0]
    named = [line.split("|")[2].strip(" `") for line in table.strip().splitlines()[2:]]
    folders = {path.parent for path in (rows_table.ROOT / "flags").glob("*/*/*.flags")}
    names = [folder.relative_to(rows_table.ROOT).as_posix() for folder in folders]
    assert sorted(named) == sorted(names)


def test_rows_stand_in_the_papers_order(root):
    places = [row.place for row in rows_table.find_rows(root)]
    assert len(set(places)) == len(places)
    assert places[0] == "Table 1, row 1"
    tables = [place for place in places if place.startswith("Table")]
    assert tables[-1] == "Table 8, row 4" and places[: len(tables)] == tables
    assert places[len(tables)] == "Figure 1, model 1"


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
    rows_table.main([f"--root={root}"])
    expected = "finetune_laf: SA 80.00 / 81.00, RA-PGD-20 50.50".removeprefix("finetune_")
    for folder in ("table1/ascl", "table5/full", "table6/ensemble"):
        assert _line(root, folder)[3] == expected
        text = (root / "flags" / folder / "evaluate.flags").read_text()
        assert text.splitlines()[1].endswith(f"   Ours: {expected}")
    assert _line(root, "table4/ascl")[3] == expected
    assert _line(root, "table7/lsf")[3] == "--"


def test_one_shot_rows_and_ensembles_find_their_records(root):
    _write(root, "table1/at/evaluate_pretrain.json", ("pgd20", "last", 84.0, 44.0))
    _write(root, "table1/selfie_dpe/evaluate_ensemble.json", ("standard", None, 83.0, 83.0))
    rows_table.main([f"--root={root}"])
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
    rows_table.main([f"--root={root}"])
    assert _line(root, "table7/lsf")[3:] == ["--", "lsf: RA-PGD-20 41.00 ± 1.41"]


def test_check_fails_where_a_file_is_out_of_date(root):
    _write(root, "table1/at/evaluate_pretrain.json", ("pgd20", "last", 84.0, 44.0))
    with pytest.raises(SystemExit, match="out of date"):
        rows_table.main([f"--root={root}", "--check"])
    rows_table.main([f"--root={root}"])
    rows_table.main([f"--root={root}", "--check"])


def test_file_without_its_header_is_refused(root):
    (root / "flags" / "table1" / "at" / "pretrain.flags").write_text("# Something\n--stage=all\n")
    with pytest.raises(ValueError, match="expected a header with place"):
        rows_table.find_rows(root)


def test_readme_without_markers_is_refused():
    with pytest.raises(ValueError, match="expected the markers"):
        rows_table.with_table("no markers", "table")
