"""The tutorials: pages and notebooks are those of the scripts, and the scripts run."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from tools import tutorials

ROOT = tutorials.FOLDER.parents[1]
SCRIPTS = sorted(tutorials.FOLDER.glob("*.py"))


def test_pages_and_notebooks_are_up_to_date():
    made = tutorials.made_files()
    there = {*tutorials.FOLDER.glob("*.md"), *tutorials.FOLDER.glob("*.ipynb")}
    assert there == set(made)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"run python tools/tutorials.py for {path}"


def test_a_script_becomes_cells():
    script = "# %% [markdown]\n# # Title\n#\n# * text\n\n# %%\nimport os\n\nprint(1)\n"
    cells = [("markdown", "# Title\n\n* text"), ("code", "import os\n\nprint(1)")]
    assert tutorials.split_cells(script) == cells
    page = tutorials.as_page(cells, "other")
    assert "\n\n# Title\n\n* text\n\n```python\nimport os\n\nprint(1)\n```\n\n" in page


@pytest.mark.parametrize("name", tutorials.NOTEBOOKS)
def test_a_notebook_holds_the_code_of_its_script(name):
    notebook = json.loads((tutorials.FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    script = (tutorials.FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(script))


def _numbers(line):
    return [float(number) for number in re.findall(r"(\d+\.\d+) %", line)]


def _check_first_robust_model(printed):
    lines = {line.split()[0]: _numbers(line) for line in printed.splitlines() if " % " in line}
    standard, robust = lines["standard"], lines["robust"]
    assert min(standard[0], robust[0]) > 80
    assert robust[2] > standard[2] + 30


def _check_own_pictures(printed):
    assert _numbers(re.search(r"^standard .*", printed, re.MULTILINE)[0])[0] > 70
    named = re.findall(r"^new_pictures/(\w+)/\d\.png (\w+) ", printed, re.MULTILINE)
    assert len(named) == 6 and sum(true == said for true, said in named) >= 4


def _check_someone_elses_model(printed):
    assert "zero_gradients" in printed and "far_above_autoattack" in printed
    pgd20 = re.findall(r"^  pgd20@.* (\d+\.\d+) %", printed, re.MULTILINE)
    autoattack = re.findall(r"^  autoattack_fast@.* (\d+\.\d+) %", printed, re.MULTILINE)
    # In order: plain, defended, and both again beside AutoAttack.
    assert float(pgd20[1]) > 90 > 75 > float(pgd20[0])
    assert len(autoattack) == 2 and max(map(float, autoattack)) <= float(pgd20[0])


def _check_own_backbone(printed):
    accuracies = re.findall(r"^(?:standard|pgd20).* (\d+\.\d+) %", printed, re.MULTILINE)
    assert len(accuracies) == 2 and min(map(float, accuracies)) > 70
    assert "features (2, 512)" in printed


def _check_own_method(printed):
    lines = [_numbers(line) for line in printed.splitlines() if line.startswith("weight ")]
    assert len(lines) == 2 and lines[0] != lines[1] and min(map(min, lines)) > 60


def _check_few_labels(printed):
    lines = [_numbers(line) for line in printed.splitlines() if " %  " in line]
    alone, pretrained = lines
    assert pretrained[0] > alone[0] and pretrained[1] > alone[1] + 5


@pytest.mark.slow  # Minutes each.
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_tutorial_runs_and_shows_what_it_says(script, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    globals()[f"_check_{script.stem}"](done.stdout)
