"""Tables whose columns are models: transfer, corruptions, sweeps."""

from tools.reproduction import numbers
from tools.reproduction.artifacts import LABELS, folders_of
from tools.reproduction.grids import Grid
from tools.reproduction.numbers import FAILED, NOT_RUN

DIAGONAL = "–"
# Points of the sweeps that the tables show; the figures show all.
_SWEEP_POINTS = {
    "sweep_steps": ("steps", (0, 1, 5, 10, 20, 50, 100)),
    "sweep_epsilon": ("radius", tuple(f"{n}/255" for n in range(0, 33, 4))),
}


def _matrix_cells(artifact, graph, document):
    """Yields (target, source, paper, `Value` or None) off the diagonal, target by target."""
    folders = folders_of(artifact, graph.preset)
    labels = {folder: LABELS[folder.partition("/")[2]] for folder in folders}
    for target_folder, target in labels.items():
        paper = numbers.paper_transfer(graph.row(target_folder).row.paper)
        for source in labels.values():
            by_seed = {
                record["seed"]: record["robust_accuracy"]
                for record in document.get("records", [])
                if (record.get("target"), record.get("source")) == (target, source)
            }
            yield target, source, paper.get(source), numbers.over_seeds(by_seed.values())


def matrix_grid(artifact, graph, document):
    """Returns robust accuracy of each target against each source beside the paper's."""
    rows = {}
    empty = FAILED if document.get("failed") else NOT_RUN
    for target, source, paper, value in _matrix_cells(artifact, graph, document):
        cell = empty if value is None else numbers.shown(value)
        if paper is not None:
            difference = "" if value is None else f", {value.mean - paper:+.2f}"
            cell += f" (paper {paper:.2f}{difference})"
        rows.setdefault(target, [target]).append(DIAGONAL if target == source else cell)
    seeds = len({record["seed"] for record in document.get("records", [])}) or NOT_RUN
    note = (
        "Robust accuracy in percent: rows are the targets that are attacked, columns the sources "
        f"that the examples were made for. Number of seeds: {seeds}."
    )
    return Grid(["target \\ source", *rows], list(rows.values()), note)


def matrix_numbers(artifact, graph, document):
    """Yields the lines of the CSV of the transfer matrix."""
    for target, source, paper, value in _matrix_cells(artifact, graph, document):
        if target != source:
            fields = {"row": target, "head": source, "number": "RA against transfer"}
            yield {**fields, **numbers.as_fields(paper, value)}


def _columns(artifact, graph):
    """Returns folder -> label of the models of a figure."""
    folders = folders_of(artifact, graph.preset)
    return {folder: LABELS[folder.partition("/")[2]] for folder in folders}


def corruption_grid(artifact, graph, document):
    """Returns mean accuracy over the severities, for each corruption and model.

    Of two models, what the second has more than the first.
    """
    models = _columns(artifact, graph)
    means = {}
    for record in document.get("records", []):
        if "corruption" in record:
            key = (record["corruption"], record["row"])
            means.setdefault(key, []).append(record["robust_accuracy"])
    names = list(dict.fromkeys(name for name, _ in means))
    rows = {name: [means.get((name, folder), []) for folder in models] for name in names}
    in_all = [[n for key, n in means.items() if key[1] == folder] for folder in models]
    rows[f"mean of {len(names)}" if names else "all"] = [sum(values, []) for values in in_all]
    has_failed = _failed_models(document, models)
    cells = [[name, *_mean_cells(values, has_failed)] for name, values in rows.items()]
    note = "Accuracy in percent, mean over the severities. " + _paper_of_figure(artifact, graph)
    difference = ["difference"] * (len(models) == 2)
    return Grid(["corruption", *models.values(), *difference], cells, note)


def _mean_cells(values, has_failed):
    """Returns the mean of each model, and the difference of two."""
    means = [numbers.over_seeds(model) for model in values]
    cells = [_shown(mean, failed) for mean, failed in zip(means, has_failed, strict=True)]
    if len(means) != 2:
        return cells
    first, second = means
    return [*cells, f"{second.mean - first.mean:+.2f}" if first and second else NOT_RUN]


def _failed_models(document, models):
    """Returns for each model whether what was to be measured of it has failed."""
    failed = {entry.get("row") for entry in document.get("failed", [])}
    return [folder in failed for folder in models]


def _shown(value, has_failed):
    if value is None:
        return FAILED if has_failed else NOT_RUN
    return f"{value.mean:.2f}"


def sweep_grids(artifact, graph, document):
    """Returns a table for each kind of sweep."""
    return [_sweep_grid(artifact, graph, document, protocol) for protocol in _SWEEP_POINTS]


def _sweep_grid(artifact, graph, document, protocol):
    """Returns robust accuracy at some points of a sweep, for each model."""
    models = _columns(artifact, graph)
    heading, points = _SWEEP_POINTS[protocol]
    found = {
        (_point(record, protocol), record["row"]): record["robust_accuracy"]
        for record in document.get("records", [])
        if record["protocol"] == protocol
    }
    has_failed = _failed_models(document, models)
    rows = []
    for point in points:
        values = [found.get((str(point), folder)) for folder in models]
        if any(value is not None for value in values) or not found:
            values = [None if value is None else numbers.over_seeds([value]) for value in values]
            rows.append([str(point), *map(_shown, values, has_failed)])
    return Grid([heading, *models.values()], rows, "Robust accuracy in percent.")


def _point(record, protocol):
    if protocol == "sweep_steps":
        return str(record["attack"]["num_steps"])
    return "0/255" if record["epsilon"] == "0" else record["epsilon"]


def figure_numbers(document):
    """Yields the lines of the CSV of a figure: each record."""
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


def _paper_of_figure(artifact, graph):
    """Returns what the rows say of the paper's figure."""
    found = [graph.row(folder).row for folder in folders_of(artifact, graph.preset)]
    return " ".join(f"The paper on {row.title}: {row.remark}" for row in found if row.remark)
