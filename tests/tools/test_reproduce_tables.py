"""Presets, tables, documents and the report of tools/reproduce.py."""

import csv
import html.parser
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.tools.fake_steps import FakeLauncher, accuracy
from tools import reproduce, results_table, rows, rows_table
from tools.reproduction import grids, model_tables, numbers, report, tables
from tools.reproduction.artifacts import ARTIFACTS, folders_of
from tools.reproduction.graph import Graph
from tools.reproduction.presets import CPU, PRESETS

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of results of three seeds, made by fake programs."""
    folder = tmp_path_factory.mktemp("reproduced")
    arguments = ["--artifact=table2,table5,table7,figure1,figure4", "--seeds=0,1,2"]
    places = [f"--runs={folder / 'runs'}", f"--output={folder / 'results'}", "--preset=cpu"]
    reproduce.main(["reproduce", *places, *arguments], FakeLauncher())
    return folder / "results" / "cpu"


def _cells(text):
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


# Numbers.


def test_papers_numbers_of_every_table_are_read():
    for folder, row in rows.find_rows().items():
        if row.place.startswith("Table") and "transfer" not in row.paper:
            for head in rows.load_row(folder).heads:
                found = numbers.paper_numbers(row.paper, head.name)
                assert {"standard", "pgd20"} <= set(found)


@pytest.mark.parametrize(
    ("folder", "head", "expected"),
    [
        ("table1/at", "", {"standard": 84.48, "pgd20": 44.05, "autoattack": 40.07}),
        ("table1/scl", "lsf", {"standard": 92.01, "pgd20": 0.11, "autoattack": 0.0}),
        ("table1/selfie", "laf", {"standard": 74.30, "pgd20": 37.65}),
        ("table4/acl", "lsf", {"standard": 79.76, "pgd20": 30.31}),
        ("table4/acl", "laf", {"standard": 74.22, "pgd20": 44.22}),
        ("table7/faf", "faf", {"standard": 85.40, "pgd20": 47.02, "pgd20_eps16": 15.80}),
        ("table7/lsf", "lsf", {"standard": 81.35, "pgd20": 52.38}),
        ("beyond/dynacl", "lsf", {}),
        ("figure1/ascl", "laf", {}),
    ],
)
def test_papers_numbers_are_those_of_the_head(folder, head, expected):
    assert numbers.paper_numbers(rows.find_rows()[folder].paper, head) == expected


def test_papers_transfer_is_read_by_source():
    found = numbers.paper_transfer(rows.find_rows()["table2/ascl"].paper)
    assert found == {"AT": 62.16, "ACL": 67.32, "AdvCL": 62.86}


def test_mean_and_standard_deviation_are_numpys():
    values = np.random.default_rng(0).uniform(0, 100, 5)
    found = numbers.over_seeds(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.spread == pytest.approx(np.std(values, ddof=1))
    assert numbers.over_seeds([3.0]) == (3.0, None, 1)
    assert numbers.over_seeds([]) is None


# Tables.


def test_table_shows_paper_mean_deviation_difference_and_seeds(results):
    cells = _cells((results / "table5" / "table.md").read_text())
    line = dict(zip(cells[0], next(c for c in cells if c[0] == "full model"), strict=True))
    texts, differences = [], []
    for checkpoint in ("best", "last"):
        values = [accuracy("pgd20", seed, {"checkpoint": checkpoint}) for seed in range(3)]
        texts.append(f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}")
        differences.append(f"{np.mean(values) - 53.09:+.2f}")
    assert line["RA-PGD-20, paper"] == "53.09"
    assert line["RA-PGD-20, ours"] == " / ".join(texts)
    assert line["RA-PGD-20, difference"] == " / ".join(differences)
    assert line["SA, ours"] == "90.00 ± 0.00"
    assert (line["seeds"], line["settings"]) == ("3", "table5/full")
    text = (results / "table5" / "table.md").read_text()
    assert "python tools/reproduce.py --artifact=table5 --preset=cpu --seeds=0,1,2" in text
    assert "SA 2000, RA-PGD-20 2000, RA-AA 500" in text


def test_csv_has_a_line_for_every_number(results):
    lines = list(csv.DictReader(io.StringIO((results / "table7" / "table.csv").read_text())))
    (line,) = [
        line
        for line in lines
        if (line["row"], line["number"], line["checkpoint"])
        == ("table7/faf", "RA-PGD-20 at 16/255", "last")
    ]
    values = [accuracy("pgd20_eps16", seed, {"checkpoint": "last"}) for seed in range(3)]
    assert float(line["mean"]) == pytest.approx(np.mean(values), abs=1e-4)
    assert float(line["standard_deviation"]) == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    assert float(line["difference"]) == pytest.approx(np.mean(values) - 15.80, abs=1e-4)
    assert (line["num_seeds"], line["num_images"], line["paper"]) == ("3", "2000", "15.80")


def test_matrix_has_targets_in_rows_and_dashes_on_the_diagonal(results):
    heading, rule, *lines = _cells((results / "table2" / "table.md").read_text())
    assert heading == ["target \\ source", "AT", "ACL", "AdvCL", "ASCL"]
    assert [line[0] for line in lines] == heading[1:]
    for number, line in enumerate(lines, start=1):
        assert line[number] == model_tables.DIAGONAL
    values = [accuracy("pgd20", seed, {}) for seed in range(3)]
    shown = f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    assert lines[0][2] == f"{shown} (paper 67.03, {np.mean(values) - 67.03:+.2f})"


def test_corruptions_show_the_mean_over_severities(results):
    cells = _cells((results / "figure1" / "table.md").read_text())
    assert [line[0] for line in cells[2:]] == ["fog", "frost", "mean of 2"]
    assert cells[0][1:] == ["rotation AT", "ASCL", "difference"]
    assert cells[2][3] == "+0.00"


def test_records_name_row_head_seed_and_no_folder(results):
    text = (results / "table5" / "records.json").read_text()
    document = json.loads(text)
    assert {record["seed"] for record in document["records"]} == {0, 1, 2}
    assert {record["row"] for record in document["records"]} == set(
        folders_of(ARTIFACTS["table5"], CPU)
    )
    assert str(results) not in text and document["failed"] == []


def test_what_has_not_been_run_shows_dashes():
    for preset in PRESETS.values():
        graph = Graph(preset)
        for artifact in ARTIFACTS.values():
            for grid in tables.make_grids(artifact, graph, {}):
                assert all(len(row) == len(grid.headings) for row in grid.rows)
                assert all(rows_table.NOT_RUN in " ".join(row) for row in grid.rows)


def test_tables_without_the_papers_numbers_have_no_columns_for_them():
    for name, expected in (("readings", False), ("beyond", False), ("table5", True)):
        (grid,) = tables.make_grids(ARTIFACTS[name], Graph(CPU), {})
        assert any("paper" in heading for heading in grid.headings) is expected
        assert any(heading.startswith("RA-PGD-20") for heading in grid.headings)


def test_bars_in_text_do_not_break_markdown():
    text = grids.to_markdown(grids.Grid(["a"], [["x | y"]]))
    assert text.splitlines()[2] == "| x \\| y |"


def test_readme_lists_what_was_made_and_dashes_for_the_rest(results):
    lines = results_table.make_preset_table(CPU, results.parent).splitlines()
    cells = {line.split("|")[1].strip(): line for line in lines[4:]}
    assert len(cells) == len(ARTIFACTS)
    table5 = next(line for name, line in cells.items() if name.startswith("[Table 5"))
    assert "(../results/cpu/table5/table.md) | 5 of 5 | 3 | -- |" in table5
    assert "--artifact=table5 --preset=cpu --seeds=0,1,2" in table5
    figure4 = next(line for name, line in cells.items() if name.startswith("[Figure 4"))
    assert "[input_landscape](../results/cpu/figure4/input_landscape.png)" in figure4
    assert cells["Table 1: methods on CIFAR-10"].count("--") == 4


def test_readme_shows_no_preset_without_records(tmp_path):
    assert results_table.make_preset_table(CPU, tmp_path) == ""


# The report.


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _parsed(text):
    page = _Page()
    page.feed(text)
    assert page.open == []
    return page


def test_report_is_one_page_with_all_tables_and_figures_that_there_are(results):
    text = (results / "report.html").read_text()
    page = _parsed(text)
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    # What has been run comes first, all else is folded below it.
    finished = [name for name in ARTIFACTS if (results / name).is_dir()]
    assert len(finished) == 5
    others = [name for name in ARTIFACTS if name not in finished]
    assert sections == ["claims", *finished, *others]
    assert text.index(f'id="{finished[-1]}"') < text.index("<summary>Not run yet: 13 of 18")
    assert text.index("<summary>Not run yet") < text.index(f'id="{others[0]}"')
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 3 and all(s.startswith("data:image/png;base64,") for s in sources)
    # Nothing is fetched.
    outside = [a for _, a in page.tags if re.match(r"https?:|//", a.get("href", a.get("src", "")))]
    assert outside == [] and "<script" not in text and "@import" not in text
    names = {attributes.get("name") for tag, attributes in page.tags if tag == "meta"}
    assert "viewport" in names
    assert "Networks of width 8, 11,120 training images, at most 2 epochs" in text


def test_report_escapes_text(results, monkeypatch):
    extra = CPU.extra_rows[0].__class__(
        "table5/other", like="table5/at", title="<script>alert('x')</script> & co"
    )
    graph = Graph(CPU.__class__(**{**vars(CPU), "extra_rows": (extra,)}))
    text = report.make_report(graph, results)
    assert "<script" not in text and "&lt;script&gt;" in text and "&amp; co" in text
    _parsed(text)


def test_report_says_what_failed(tmp_path, capsys):
    arguments = ["--artifact=figure4,table8", f"--runs={tmp_path}", f"--output={tmp_path}"]
    launcher = FakeLauncher(fails="ascl_tf.analyze")
    with pytest.raises(SystemExit):
        reproduce.main(["reproduce", "--preset=cpu", *arguments], launcher)
    text = (tmp_path / "cpu" / "report.html").read_text()
    assert "(input landscape): failed" in text and "(weight landscape): --" in text


@pytest.mark.parametrize("width", [360, 1200])
def test_report_fits_a_phone_and_a_desk_in_a_browser(width, results, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs chromium or google-chrome on the PATH")
    # The page says itself whether anything but the boxes of tables is wider than the window.
    script = (
        "<script>document.title = document.documentElement.scrollWidth > innerWidth "
        "? 'too wide' : 'fits'</script></body>"
    )
    # A window of this width, which headless browsers do not make below 500.
    inner = (results / "report.html").read_text().replace("</body>", script)
    (tmp_path / "inner.html").write_text(inner)
    frame = (
        f'<iframe id="f" src="inner.html" style="width:{width}px;height:800px;border:0" '
        'onload="document.body.append(f.contentDocument.title)"></iframe>'
    )
    (tmp_path / "outer.html").write_text(f"<!DOCTYPE html><body>{frame}</body>")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files"]
    found = subprocess.run(
        [*command, "--dump-dom", f"file://{tmp_path / 'outer.html'}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "</iframe>fits" in found.stdout, found.stdout[-500:] + found.stderr[-500:]
