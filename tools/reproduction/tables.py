"""Tables of an artifact, from its document: a grid of text, Markdown, CSV."""

import csv
import io
from typing import NamedTuple

from tools.reproduction import numbers
from tools.reproduction.artifacts import LABELS, folders_of
from tools.reproduction.numbers import FAILED
from tools.rows_table import NOT_RUN, NUMBERS

HEADS = {
    "": "trained along",
    "lsf": "lsf: linear, standard",
    "laf": "laf: linear, adversarial",
    "fsf": "fsf: full, standard",
    "faf": "faf: full, adversarial",
    "ensemble": "ensemble of three",
}
DIAGONAL = "–"
SOURCE = "flagfiles"
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


class Grid(NamedTuple):
    """A table as text: headings, rows of as many cells, and a line about it."""

    headings: list[str]
    rows: list[list[str]]
    note: str = ""


class Line(NamedTuple):
    """One classifier of a table: its place, and its records."""

    folder: str
    title: str
    head: str
    paper: str
    records: list
    failed: set


def make_grids(artifact, graph, document):
    """Returns the `Grid`s of an artifact; `document` is {} where it was not run."""
    if artifact.is_matrix:
        return [_matrix(artifact, graph, document)]
    grids = [_accuracies(artifact, graph, document)] if artifact.columns else []
    records = document.get("records", [])
    if "corruptions" in artifact.figures:
        grids.append(_corruptions(artifact, graph, records))
    if "sweeps" in artifact.figures:
        grids += [_sweep(artifact, graph, records, protocol) for protocol in _SWEEP_POINTS]
    return grids


def to_markdown(grid):
    """Returns a grid as a table of Markdown, its note below."""
    lines = [grid.headings, ["---"] * len(grid.headings), *grid.rows]
    text = "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines)
    return f"{text}\n\n{grid.note}\n" if grid.note else f"{text}\n"


def to_csv(artifact, graph, document):
    """Returns all numbers of an artifact as CSV, one a line."""
    output = io.StringIO()
    writer = csv.DictWriter(output, CSV_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    if artifact.is_matrix:
        writer.writerows(_matrix_numbers(artifact, graph, document))
    elif artifact.columns:
        writer.writerows(_accuracy_numbers(artifact, graph, document))
    else:
        writer.writerows(_figure_numbers(document))
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
            found.append(Line(folder, row.title, head.name, row.paper, mine, failed))
    return found


def _accuracies(artifact, graph, document):
    lines = lines_of(artifact, graph, document)
    has_heads = len(lines) > len({line.folder for line in lines})
    headings = ["row", *(["head"] if has_heads else [])]
    for protocol in artifact.columns:
        label = NUMBERS[protocol][0]
        headings += [f"{label}, {part}" for part in ("paper", "ours", "difference")]
    headings += ["seeds", SOURCE]
    cells = []
    for line in lines:
        row = [line.title, *([HEADS[line.head]] if has_heads else [])]
        for protocol in artifact.columns:
            row += _three_cells(line, protocol)
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
        return f"flags/{folder}"
    changes = [f"{name}={value}" for name, value in extra.settings.items()]
    changes += [f"epochs={graph.pretrain_config(graph.row(folder)).epochs}"] * bool(
        extra.compute_of
    )
    return f"flags/{extra.like}, {', '.join(changes)}"


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
                    **_numbers(paper, value),
                }


def _numbers(paper, value):
    """Returns the fields of the CSV that hold a number of the paper and of ours."""
    fields = {} if paper is None else {"paper": f"{paper:.2f}"}
    if value is not None:
        fields |= {"mean": f"{value.mean:.4f}", "num_seeds": value.num_seeds}
        if value.spread is not None:
            fields["standard_deviation"] = f"{value.spread:.4f}"
        if paper is not None:
            fields["difference"] = f"{value.mean - paper:.4f}"
    return fields


def _matrix_cells(artifact, graph, document):
    """Yields (target, source, paper, `Value` or None) off the diagonal, target by target."""
    folders = folders_of(artifact, graph.preset)
    labels = {folder: LABELS[folder.partition("/")[2]] for folder in folders}
    for target_folder, target in labels.items():
        paper = numbers.paper_transfer(graph.row(target_folder).paper)
        for source in labels.values():
            by_seed = {
                record["seed"]: record["robust_accuracy"]
                for record in document.get("records", [])
                if (record.get("target"), record.get("source")) == (target, source)
            }
            yield target, source, paper.get(source), numbers.over_seeds(by_seed.values())


def _matrix(artifact, graph, document):
    rows = {}
    empty = FAILED if document.get("failed") else NOT_RUN
    for target, source, paper, value in _matrix_cells(artifact, graph, document):
        cell = empty if value is None else numbers.shown(value)
        if paper is not None:
            difference = "" if value is None else f", {value.mean - paper:+.2f}"
            cell += f" (paper {paper:.2f}{difference})"
        rows.setdefault(target, [target]).append(DIAGONAL if target == source else cell)
    seeds = len(document.get("seeds", [])) if document.get("records") else NOT_RUN
    note = (
        "Robust accuracy in percent: rows are the targets that are attacked, columns the sources "
        f"that the examples were made for. Number of seeds: {seeds}."
    )
    return Grid(["target \\ source", *rows], list(rows.values()), note)


def _matrix_numbers(artifact, graph, document):
    for target, source, paper, value in _matrix_cells(artifact, graph, document):
        if target != source:
            fields = {"row": target, "head": source, "number": "RA against transfer"}
            yield {**fields, **_numbers(paper, value)}


def _columns(artifact, graph):
    """Returns folder -> label of the models of a figure."""
    folders = folders_of(artifact, graph.preset)
    return {folder: LABELS[folder.partition("/")[2]] for folder in folders}


def _corruptions(artifact, graph, records):
    """Returns mean accuracy over the severities, for each corruption and model."""
    models = _columns(artifact, graph)
    means = {}
    for record in records:
        if "corruption" in record:
            key = (record["corruption"], record["row"])
            means.setdefault(key, []).append(record["robust_accuracy"])
    names = list(dict.fromkeys(name for name, _ in means))
    rows = [[name, *(_mean(means.get((name, folder), [])) for folder in models)] for name in names]
    if names:
        in_all = [[n for key, n in means.items() if key[1] == folder] for folder in models]
        rows.append([f"mean of {len(names)}", *(_mean(sum(values, [])) for values in in_all)])
    else:
        rows.append(["all", *[NOT_RUN] * len(models)])
    note = "Accuracy in percent, mean over the severities. " + _paper_of_figure(artifact, graph)
    return Grid(["corruption", *models.values()], rows, note)


# Points of the sweeps that the tables show; the figures show all.
_SWEEP_POINTS = {
    "sweep_steps": ("steps", (0, 1, 5, 10, 20, 50, 100)),
    "sweep_epsilon": ("radius", tuple(f"{n}/255" for n in range(0, 33, 4))),
}


def _sweep(artifact, graph, records, protocol):
    """Returns robust accuracy at some points of a sweep, for each model."""
    models = _columns(artifact, graph)
    heading, points = _SWEEP_POINTS[protocol]
    found = {
        (_point(record, protocol), record["row"]): record["robust_accuracy"]
        for record in records
        if record["protocol"] == protocol
    }
    rows = []
    for point in points:
        values = [found.get((str(point), folder)) for folder in models]
        if any(value is not None for value in values) or not found:
            rows.append([str(point), *(_mean([] if v is None else [v]) for v in values)])
    return Grid([heading, *models.values()], rows, "Robust accuracy in percent.")


def _point(record, protocol):
    if protocol == "sweep_steps":
        return str(record["attack"]["num_steps"])
    return "0/255" if record["epsilon"] == "0" else record["epsilon"]


def _figure_numbers(document):
    for record in document.get("records", []):
        point = record.get("corruption") or _point(record, record["protocol"])
        severity = f" {record['severity']}" if "severity" in record else ""
        yield {
            "row": record["row"],
            "number": f"{record['protocol']} {point}{severity}",
            "mean": f"{record['robust_accuracy']:.4f}",
            "num_seeds": 1,
            "num_images": record["num_images"],
        }


def _mean(values):
    value = numbers.over_seeds(values)
    return NOT_RUN if value is None else f"{value.mean:.2f}"


def _paper_of_figure(artifact, graph):
    """Returns what the headers say of the paper's figure."""
    texts = [graph.row(folder) for folder in folders_of(artifact, graph.preset)]
    said = [f"{row.title}: {row.paper}" for row in texts if row.paper.startswith("a curve: ")]
    said = [text.replace("a curve: ", "") for text in said]
    return f"Paper: {'; '.join(said)}." if said else ""


def _escaped(text):
    return text.replace("|", "\\|")
