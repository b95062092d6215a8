"""Writes the results table of README.md from the records in results/.

python tools/results_table.py            rewrites the part between the markers
python tools/results_table.py --check    exits with 1 if that part is out of date
"""

import argparse
import json
import pathlib
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
BEGIN = "<!-- results:begin (written by tools/results_table.py) -->"
END = "<!-- results:end -->"
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
        "Its laf on an untrained encoder",
        "quickstart/evaluate_finetune_laf_random_encoder.json",
        "`make quickstart-untrained`",
    ),
)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--readme", type=pathlib.Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "results")
    arguments = parser.parse_args(argv)
    old = arguments.readme.read_text(encoding="utf-8")
    new = with_table(old, make_table(arguments.results))
    if arguments.check and new != old:
        sys.exit(f"{arguments.readme}: the results table is out of date; run {sys.argv[0]}")
    if new != old:
        arguments.readme.write_text(new, encoding="utf-8")


def make_table(results):
    """Returns the Markdown table; a row without a record shows `--`."""
    lines = [
        "| run | SA paper | SA | RA-PGD-20 paper | RA-PGD-20 | the same by cleverhans "
        "| test images | command |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        path = results / row.record
        records = json.loads(path.read_text(encoding="utf-8"))["records"] if path.exists() else []
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


def with_table(text, table):
    """Returns `text` with `table` between the markers."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"expected the markers {BEGIN} and {END}; found no such pair")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


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
