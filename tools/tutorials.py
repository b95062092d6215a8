"""Writes the pages and notebooks of docs/tutorials/ from its scripts: python tools/tutorials.py

A script has cells: `# %%` begins one of code, `# %% [markdown]` one of text in comments. Every
script has a page, those in `NOTEBOOKS` a notebook, too.
"""

import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "docs" / "tutorials"
NOTEBOOKS = ("first_robust_model", "own_pictures")
_CELL = re.compile(r"^# %%(?P<mark>.*)\n", re.MULTILINE)


def main():
    """Writes all files."""
    for path, text in made_files().items():
        path.write_text(text, encoding="utf-8")
        print(path)


def made_files():
    """Returns a dictionary from path to text of what is made from the scripts."""
    made = {}
    for script in sorted(FOLDER.glob("*.py")):
        cells = split_cells(script.read_text(encoding="utf-8"))
        made[script.with_suffix(".md")] = as_page(cells, script.stem)
        if script.stem in NOTEBOOKS:
            made[script.with_suffix(".ipynb")] = as_notebook(cells)
    return made


def split_cells(script):
    """Returns (kind, text) of each cell of a script, kind "markdown" or "code"."""
    _, *parts = _CELL.split(script)
    marks, texts = parts[::2], parts[1::2]
    return [_cell(*cell) for cell in zip(marks, texts, strict=True)]


def as_page(cells, name):
    """Returns a script's cells as Markdown, and links to the script (and notebook) at the end."""
    blocks = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells]
    notebook = f", as [a notebook]({name}.ipynb)" if name in NOTEBOOKS else ""
    head = f"<!-- Made from {name}.py by tools/tutorials.py. -->"
    return "\n\n".join([head, *blocks, f"All of this as [a script]({name}.py){notebook}."]) + "\n"


def as_notebook(cells):
    """Returns a script's cells as the text of a Jupyter notebook without outputs."""
    document = {
        "cells": [_notebook_cell(number, *cell) for number, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(mark, text):
    if mark.strip() != "[markdown]":
        return "code", text.strip("\n")
    lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip("\n").splitlines()]
    return "markdown", "\n".join(lines)


def _notebook_cell(number, kind, text):
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    more = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return cell | more | {"source": text.splitlines(keepends=True)}


if __name__ == "__main__":
    main()
