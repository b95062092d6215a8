"""Writes the tables of docs/results.md, docs/pretrained.md and README.md from records and cards.

python tools/results_table.py            rewrites the parts between the markers
python tools/results_table.py --check    exits with 1 if they are out of date
"""

import argparse
import json
import pathlib
import statistics
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from ascl_tf.config import pretrained  # noqa: E402
from ascl_tf.config.paths import expanded_path  # noqa: E402
from tools.reproduction.artifacts import ARTIFACTS, folders_of  # noqa: E402
from tools.reproduction.documents import pictures_of  # noqa: E402
from tools.reproduction.presets import PRESETS  # noqa: E402
from tools.rows import METHOD_ROWS, find_rows  # noqa: E402

BEGIN = "<!-- results:begin (written by tools/results_table.py) -->"
END = "<!-- results:end -->"
METHODS_BEGIN = "<!-- methods:begin (written by tools/results_table.py) -->"
METHODS_END = "<!-- methods:end -->"
PRETRAINED_BEGIN = "<!-- pretrained:begin (written by tools/results_table.py) -->"
PRETRAINED_END = "<!-- pretrained:end -->"
NOT_RUN = "--"


class Row(NamedTuple):
    """One line of the table; `record` is relative to results/."""

    title: str
    record: str
    command: str
    paper: tuple[str, str] = (NOT_RUN, NOT_RUN)  # SA, RA-PGD-20


ROWS = (
    Row(
        "Table 1, ASCL (laf): ResNet-18, CIFAR-10",
        "table1/ascl/evaluate_finetune_laf.json",
        "`python -m ascl_tf.train --stage=all`",
        paper=("81.67", "53.09"),
    ),
    Row(
        "Quick start: width 16, bundled images, laf",
        "quickstart/evaluate_finetune_laf.json",
        "`make quickstart`",
    ),
    Row(
        "The same head (laf) on an untrained encoder",
        "quickstart/evaluate_finetune_laf_random_encoder.json",
        "`make quickstart-untrained`",
    ),
)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--readme", type=expanded_path, default=ROOT / "README.md")
    parser.add_argument("--page", type=expanded_path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--models", type=expanded_path, default=ROOT / "docs" / "pretrained.md")
    parser.add_argument("--results", type=expanded_path, default=ROOT / "results")
    arguments = parser.parse_args(argv)
    results, check = arguments.results, arguments.check
    bring_up_to_date(arguments.page, lambda text: with_tables(text, results), check=check)
    short, models = make_short_table(results), make_pretrained_table()

    def with_models(text):
        return with_table(text, models, PRETRAINED_BEGIN, PRETRAINED_END)

    bring_up_to_date(arguments.models, with_models, check=check)
    bring_up_to_date(
        arguments.readme,
        lambda text: with_models(with_table(text, short, BEGIN, END)),
        check=check,
    )


def bring_up_to_date(page, renew, *, check):
    """Rewrites a page by `renew`, text -> text; with `check`, exits if that would change it."""
    old = page.read_text(encoding="utf-8")
    new = renew(old)
    if check and new != old:
        sys.exit(f"{page}: its tables are out of date; run {sys.argv[0]}")
    if new != old:
        page.write_text(new, encoding="utf-8")


def make_table(results):
    """Returns the Markdown table; a row without a record shows `--`."""
    lines = [
        "| run | SA paper | SA | RA-PGD-20 paper | RA-PGD-20 | the same by cleverhans "
        "| test images | command |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        records = _read(results / row.record).get("records", [])
        standard, robust = row.paper
        cells = [
            row.title,
            standard,
            _best_and_last(records, "standard", "standard_accuracy"),
            robust,
            _best_and_last(records, "pgd20", "robust_accuracy"),
            _best_and_last(records, "cleverhans_pgd20", "robust_accuracy"),
            str(records[0]["num_images"]) if records else NOT_RUN,
            row.command,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def make_short_table(results):
    """Returns the Markdown table of README.md: the runs and rows that have numbers, each run once.

    Of several seeds the first.
    """
    lines = ["| run | SA | RA-PGD-20 | test images | command |", "|---|---|---|---|---|"]
    for row in ROWS:
        records = _read(results / row.record).get("records", [])
        if records:
            lines.append(_short_line(row.title, records, row.command))
    shown = set()
    for preset in (preset for preset in PRESETS.values() if preset.is_published):
        for name in ARTIFACTS:
            document = _read(results / preset.name / name / "records.json")
            for folder, head in _measured_heads(document):
                mine = [r for r in document["records"] if (r["row"], r["head"]) == (folder, head)]
                seed = min(record["seed"] for record in mine)
                mine = [record for record in mine if record["seed"] == seed]
                models = frozenset(record["model_sha256"] for record in mine)
                if models not in shown:
                    shown.add(models)
                    title = f"{_row_title(folder, head)}, preset `{preset.name}`"
                    lines.append(_short_line(title, mine, f"`{document['command']}`"))
    return "\n".join(lines)


def _row_title(folder, head):
    """Returns a row as the paper's table has it, with its head where the title has none."""
    row = find_rows()[folder]
    table, title = row.place.partition(",")[0], row.title
    return f"{table}: {title}" + ("" if head in title else f", {head}")


def make_pretrained_table():
    """Returns the Markdown table of the models that come with the package, from their cards."""
    lines = [
        "| model | method | SA | RA-PGD-20 | RA-AA | test images | epochs | hours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in pretrained.list_pretrained():
        card = _read(pretrained.FOLDER / name / pretrained.CARD)
        stages = card["training"]
        cells = [
            f"`{name}`",
            card["method"],
            *_numbers_of_card(card),
            " + ".join(str(stage["epochs"]) for stage in stages),
            f"{sum(stage['hours'] for stage in stages):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _numbers_of_card(card):
    """Returns the accuracies of a card, and the number of images of most of them."""
    found = {record["protocol"]: record for record in card["records"]}
    chosen = [found.get(protocol) for protocol in ("standard", "pgd20", "autoattack")]
    most = max(record["num_images"] for record in chosen if record)
    return [*(_accuracy(record, most) for record in chosen), f"{most:,}"]


def _accuracy(record, most):
    if record is None:
        return NOT_RUN
    few = f" ({record['num_images']:,} images)" if record["num_images"] < most else ""
    return f"{record['robust_accuracy']:.2f}{few}"


def _measured_heads(document):
    """Returns the rows and heads of a document with a number for SA and for RA-PGD-20."""
    found = {}
    for record in document.get("records", []):
        found.setdefault((record["row"], record["head"]), set()).add(record["protocol"])
    return [place for place, protocols in found.items() if {"standard", "pgd20"} <= protocols]


def _short_line(title, records, command):
    cells = [
        title,
        _best_and_last(records, "standard", "standard_accuracy"),
        _best_and_last(records, "pgd20", "robust_accuracy"),
        str(records[0]["num_images"]),
        command,
    ]
    return f"| {' | '.join(cells)} |"


def make_preset_table(preset, results):
    """Returns the Markdown table of what tools/reproduce.py has made; "" where it has nothing.

    A line for each table and figure; -- where it has not been run.
    """
    documents = {name: _read(results / preset.name / name / "records.json") for name in ARTIFACTS}
    if not any(documents.values()):
        return ""
    lines = [
        f"Preset `{preset.name}` ([reproduce.md](reproduce.md)):",
        "",
        "| table or figure | rows run | seeds | picture | command |",
        "|---|---|---|---|---|",
    ]
    for name, artifact in ARTIFACTS.items():
        cells = _artifact_cells(artifact, preset, documents[name])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _artifact_cells(artifact, preset, document):
    if not document:
        return [artifact.heading, *[NOT_RUN] * 4]
    folder = f"../results/{preset.name}/{artifact.name}"
    folders = folders_of(artifact, preset)
    # A record of transfer is of two rows, and names the target.
    num_run = len({record["row"] or record["target"] for record in document["records"]})
    pictures = [f"[{name}]({folder}/{name}.png)" for name in pictures_of(artifact, document)]
    return [
        f"[{artifact.heading}]({folder}/table.md)",
        f"{num_run} of {len(folders)}" if document["records"] else NOT_RUN,
        _num_seeds(document["records"]),
        ", ".join(pictures) or NOT_RUN,
        f"`{document['command']}`",
    ]


def _num_seeds(records):
    """Returns how many seeds a row has, or from how many to how many; a picture is of one."""
    by_row = {}
    for record in records:
        by_row.setdefault((record["row"], record["head"]), set()).add(record["seed"])
    counts = {len(seeds) for seeds in by_row.values()} or {1}
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))


def make_methods_table(results):
    """Returns the Markdown table of one epoch of every method; -- where there is no record.

    An epoch's time is its number of steps times the median step of the benchmark, which
    measures all methods side by side.
    """
    benchmark = _read(results / "benchmark_methods.json")
    lines = [
        "| row | epoch, s | a step, relative to AT | peak memory, MiB "
        "| loss, first tenth | loss, last tenth |",
        "|---|---|---|---|---|---|",
    ]
    for row in METHOD_ROWS:
        epoch = _read(results / "one_epoch" / f"{row.partition('/')[2]}.json")
        cells = [
            f"`{row}`",
            _number(_epoch_seconds(benchmark, epoch), row, ".0f"),
            _number(benchmark.get("ratios", {}), row, ".2f"),
            _number(_mebibytes(benchmark), row, ".0f"),
            _number(epoch, "first_tenth_loss", ".4f"),
            _number(epoch, "last_tenth_loss", ".4f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _epoch_seconds(benchmark, epoch):
    steps = benchmark.get("seconds", {}) if epoch else {}
    return {row: epoch["num_steps"] * statistics.median(times) for row, times in steps.items()}


def _mebibytes(benchmark):
    return {row: peak / 2**20 for row, peak in benchmark.get("peak_memory_bytes", {}).items()}


def with_tables(text, results):
    """Returns `text` with the tables of results and of methods between their markers."""
    published = [preset for preset in PRESETS.values() if preset.is_published]
    tables = [make_table(results), *(make_preset_table(preset, results) for preset in published)]
    text = with_table(text, "\n\n".join(filter(None, tables)), BEGIN, END)
    return with_table(text, make_methods_table(results), METHODS_BEGIN, METHODS_END)


def with_table(text, table, begin, end):
    """Returns `text` with `table` between the markers."""
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"expected the markers {begin} and {end}; found no such pair")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _read(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _number(record, name, form):
    return format(record[name], form) if name in record else NOT_RUN


def _best_and_last(records, protocol, name):
    """The value at the best and at the last checkpoint, or one where they agree."""
    values = [
        f"{record[name]:.2f}"
        for checkpoint in ("best", "last")
        for record in records
        if (record["protocol"], record.get("checkpoint")) == (protocol, checkpoint)
    ]
    return " / ".join(dict.fromkeys(values)) or NOT_RUN


if __name__ == "__main__":
    main()
