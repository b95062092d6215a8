"""A table as text, and its Markdown."""

from typing import NamedTuple


class Grid(NamedTuple):
    """A table as text: headings, rows of as many cells, and a line about it."""

    headings: list[str]
    rows: list[list[str]]
    note: str = ""


def to_markdown(grid):
    """Returns a grid as a table of Markdown, its note below."""
    lines = [grid.headings, ["---"] * len(grid.headings), *grid.rows]
    text = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    return f"{text}\n\n{grid.note}\n" if grid.note else f"{text}\n"


def _escaped(text):
    return text.replace("|", "\\|")
