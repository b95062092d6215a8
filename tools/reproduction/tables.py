"""Tables of an artifact, from its document: grids of text, and CSV."""

import csv
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

from tools import rows
from tools.reproduction import model_tables, numbers
from tools.reproduction.artifacts import folders_of
from tools.reproduction.grids import Grid
from tools.reproduction.numbers import FAILED, NOT_RUN, NUMBERS

HEADS = {
    "": "trained along",
    "lsf": "lsf: linear, standard",
    "laf": "laf: linear, adversarial",
    "fsf": "fsf: full, standard",
    "faf": "faf: full, adversarial",
    "ensemble": "ensemble of three",
}
SOURCE = "settings"
BEST_AND_LAST = "Two numbers with a slash are the best and the last epoch's."
CSV_FIELDS = (
    "row",
    "head",
    "number",
    "checkpoint",
    "paper",
    "mean",
    "standard_deviation",
    "num_seeds",
    "num_images",
    "difference",
)


class Line(NamedTuple):
    """One classifier of a table: its place, and its records."""

    folder: str
    title: str
    head: str
    paper: Mapping[str, Any] | str
    records: list
    failed: set


def make_grids(artifact, graph, document):
    """Returns the `Grid`s of an artifact; `document` is {} where it was not run."""
    if artifact.is_matrix:
        return [model_tables.matrix_grid(artifact, graph, document)]
    grids = [_accuracies(artifact, graph, document)] if artifact.columns else []
    if "corruptions" in artifact.figures:
        grids.append(model_tables.corruption_grid(artifact, graph, document))
    if "sweeps" in artifact.figures:
        grids += model_tables.sweep_grids(artifact, graph, document)
    return grids


def to_csv(artifact, graph, document):
    """Returns all numbers of an artifact as CSV, one a line."""
    output = io.StringIO()
    writer = csv.DictWriter(output, CSV_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    if artifact.is_matrix:
        writer.writerows(model_tables.matrix_numbers(artifact, graph, document))
    elif artifact.columns:
        writer.writerows(_accuracy_numbers(artifact, graph, document))
    else:
        writer.writerows(model_tables.figure_numbers(document))
    return output.getvalue()


def lines_of(artifact, graph, document):
    """Returns the `Line`s of a table of accuracies, row by row and head by head."""
    found = []
    for folder in folders_of(artifact, graph.preset):
        row = graph.row(folder)
        for head in row.heads:
            mine = [
                entry
                for entry in document.get("records", [])
                if (entry["row"], entry["head"]) == (folder, head.name)
            ]
            failed = {
                protocol
                for entry in document.get("failed", [])
                if (entry.get("row"), entry.get("head")) == (folder, head.name)
                for protocol in entry["protocols"]
            }
            found.append(Line(folder, row.row.title, head.name, row.row.paper, mine, failed))
    return found


def _accuracies(artifact, graph, document):
    lines = lines_of(artifact, graph, document)
    has_heads = len(lines) > len({line.folder for line in lines})
    has_paper = any(numbers.paper_numbers(line.paper, line.head) for line in lines)
    headings = ["row", *(["head"] if has_heads else [])]
    for protocol in artifact.columns:
        label = NUMBERS[protocol][0]
        parts = ("paper", "ours", "difference") if has_paper else ()
        headings += [f"{label}, {part}" for part in parts] or [label]
    headings += ["seeds", SOURCE]
    cells = []
    for line in lines:
        row = [line.title, *([HEADS[line.head]] if has_heads else [])]
        for protocol in artifact.columns:
            paper, ours, difference = _three_cells(line, protocol)
            row += [paper, ours, difference] if has_paper else [ours]
        num_seeds = len({record["seed"] for record in line.records})
        cells.append([*row, str(num_seeds) if num_seeds else NOT_RUN, _source(graph, line.folder)])
    return Grid(headings, cells, _note(artifact, document))


def _three_cells(line, protocol):
    """Returns the paper's number, ours, and the difference, as text."""
    paper = numbers.paper_numbers(line.paper, line.head).get(protocol)
    values = list(numbers.measured(line.records, protocol).values())
    ours = numbers.joined(map(numbers.shown, values))
    if not values and _has_failed(line, protocol):
        ours = FAILED
    elif values and _has_failed(line, protocol):
        ours += f" ({FAILED} for some seeds)"
    differences = [] if paper is None else [f"{value.mean - paper:+.2f}" for value in values]
    return [NOT_RUN if paper is None else f"{paper:.2f}", ours, numbers.joined(differences)]


def _has_failed(line, protocol):
    return any(numbers.is_of({"protocol": name}, protocol) for name in line.failed)


def _source(graph, folder):
    """Returns where a row's settings stand."""
    extra = {row.folder: row for row in graph.preset.extra_rows}.get(folder)
    if extra is None:
        return folder
    row = graph.row(folder)
    config = graph.pretrain_config(row)
    # At the preset's scale. Paths are names of other rows.
    changes = [f"{name}={_plain(getattr(config, name))}" for name in extra.settings]
    changes += [f"epochs={config.epochs}"] * bool(extra.compute_of or extra.passes)
    return f"{extra.like}, {', '.join(changes)}"


def _plain(value):
    return value.removeprefix(rows.RUNS) if isinstance(value, str) else value


def _note(artifact, document):
    """Returns what a reader must know of the numbers: percent, images, checkpoints."""
    counts = {}
    for record in document.get("records", []):
        for protocol in artifact.columns:
            if numbers.is_of(record, protocol):
                counts.setdefault(NUMBERS[protocol][0], set()).add(record["num_images"])
    images = [f"{label} {'/'.join(map(str, sorted(found)))}" for label, found in counts.items()]
    text = "Percent of the test images; one that is wrong without attack is not robust."
    return f"{text} {BEST_AND_LAST}" + (f" Test images: {', '.join(images)}." if images else "")


def _accuracy_numbers(artifact, graph, document):
    for line in lines_of(artifact, graph, document):
        for protocol in artifact.columns:
            paper = numbers.paper_numbers(line.paper, line.head).get(protocol)
            found = numbers.measured(line.records, protocol) or {None: None}
            common = {"row": line.folder, "head": line.head, "number": NUMBERS[protocol][0]}
            images = [r["num_images"] for r in line.records if numbers.is_of(r, protocol)]
            for checkpoint, value in found.items():
                count = {"num_images": images[0]} if images else {}
                yield {
                    **common,
                    **count,
                    "checkpoint": checkpoint or "",
                    **numbers.as_fields(paper, value),
                }
