"""Writes the table of rows in docs/results.md: the paper's numbers, and what was measured.

python tools/rows_table.py            rewrites the table between the markers
python tools/rows_table.py --check    exits with 1 if it is out of date

The records of a row are expected where a run's results/ folder was copied to:
results/<table>/<row>/evaluate_<stage>.json, of the row that owns the run. What tools/reproduce.py
has measured at smaller scale, results/cpu/<artifact>/records.json, has a column of its own.
"""

import argparse
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from ascl_tf.config.paths import expanded_path  # noqa: E402
from tools import rows  # noqa: E402
from tools.reproduction import numbers  # noqa: E402
from tools.reproduction.numbers import NOT_RUN, NUMBERS  # noqa: E402
from tools.results_table import bring_up_to_date, with_table  # noqa: E402

BEGIN = "<!-- rows:begin (written by tools/rows_table.py) -->"
END = "<!-- rows:end -->"
SMALL_PRESET = "cpu"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--page", type=expanded_path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--results", type=expanded_path, default=ROOT / "results")
    arguments = parser.parse_args(argv)
    table = make_table(arguments.results)
    bring_up_to_date(
        arguments.page,
        lambda text: with_table(text, table, BEGIN, END),
        check=arguments.check,
    )


def make_table(results):
    """Returns the Markdown table; -- where nothing was measured."""
    at_preset = measured_at_preset(results, SMALL_PRESET)
    lines = [
        f"| row | name | paper | ours | ours, preset `{SMALL_PRESET}` |",
        "|---|---|---|---|---|",
    ]
    for folder, row in rows.find_rows().items():
        cells = [f"{row.place}: {row.title}", f"`{folder}`", numbers.paper_text(row.paper)]
        cells += [measured(results, folder), at_preset.get(folder, NOT_RUN)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def measured(results, folder):
    """Returns the numbers of a row's records as text, head by head; -- where there are none."""
    heads = []
    for path in rows.evaluation_files(folder):
        records = results / _records_file(path)
        if records.exists():
            found = json.loads(records.read_text(encoding="utf-8"))["records"]
            name = records.stem.removeprefix("evaluate_").removeprefix("finetune_")
            heads.append(f"{name}: {_numbers(found)}")
    return "; ".join(heads) or NOT_RUN


def measured_at_preset(results, preset):
    """Returns row -> the numbers that tools/reproduce.py has measured, as text, head by head."""
    heads = {}
    for path in sorted((results / preset).glob("*/records.json")):
        for record in json.loads(path.read_text(encoding="utf-8"))["records"]:
            # Corruptions and transfer have tables of their own.
            if record.get("head") and "corruption" not in record and record.get("row"):
                heads.setdefault((record["row"], record["head"]), []).append(record)
    found = {}
    for (folder, head), records in sorted(heads.items()):
        if text := _numbers_over_seeds(records):
            found.setdefault(folder, []).append(f"{head}: {text}")
    return {folder: "; ".join(texts) for folder, texts in found.items()}


def _records_file(evaluation):
    """Returns where an evaluation's records lie, relative to results/."""
    settings = rows.settings_of(evaluation)
    if "output" in settings:
        stage = pathlib.PurePath(settings["output"]).stem
        workdir = settings["output"].partition("/results/")[0]
    else:
        mode = settings.get("finetune", "")
        stage = f"evaluate_finetune_{mode}" if mode else "evaluate_pretrain"
        workdir = settings["workdir"]
    return f"{rows.row_of_run(workdir)}/{stage}.json"


def _numbers(records):
    return ", ".join(
        f"{label} {value}"
        for protocol, (label, field) in NUMBERS.items()
        if (value := _best_and_last(records, protocol, field))
    )


def _numbers_over_seeds(records):
    found = {
        label: numbers.measured(records, protocol).values()
        for protocol, (label, _) in NUMBERS.items()
    }
    return ", ".join(
        f"{label} {numbers.joined(map(numbers.shown, values))}"
        for label, values in found.items()
        if values
    )


def _best_and_last(records, protocol, field):
    """The value at the best and at the last checkpoint, or one where they agree."""
    values = [
        f"{record[field]:.2f}"
        for checkpoint in ("best", "last", None)
        for record in records
        if (record["protocol"], record.get("checkpoint")) == (protocol, checkpoint)
    ]
    return " / ".join(dict.fromkeys(values))


if __name__ == "__main__":
    main()
