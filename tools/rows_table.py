"""Writes what was measured for the rows of the paper into README.md and the flagfiles' headers.

python tools/rows_table.py            rewrites the table between the markers, and "Ours:" in flags/
python tools/rows_table.py --check    exits with 1 if either is out of date

A row is a folder flags/<table>/<row>; its title, place and the paper's numbers stand in the
headers. Its records are expected where a run's results/ folder was copied to:
results/<table>/<row>/evaluate_<stage>.json, of the row that owns the run. What tools/reproduce.py
has measured at smaller scale, results/cpu/<artifact>/records.json, has a column of its own.
"""

import argparse
import json
import pathlib
import re
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(ROOT))

from tools.reproduction import numbers  # noqa: E402
from tools.reproduction.numbers import NOT_RUN, NUMBERS  # noqa: E402

BEGIN = "<!-- rows:begin (written by tools/rows_table.py) -->"
END = "<!-- rows:end -->"
SMALL_PRESET = "cpu"
_HEADER = re.compile(
    r'# (?P<place>(?P<kind>\D+)(?P<table>\d*), (?:row|model) (?P<number>\d+)): "(?P<title>.+)", '
    r"stage: .*\n# Paper: (?P<paper>.*)   Ours: (?P<ours>.*)\n"
)


class Row(NamedTuple):
    """One row: its folder below flags/, and what its header says."""

    folder: str
    order: tuple[int, int, str, int]
    place: str
    title: str
    paper: str


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="of flags/ and results/")
    arguments = parser.parse_args(argv)
    outdated = []
    for path, new in wanted_files(arguments.root).items():
        if path.read_text(encoding="utf-8") != new:
            outdated.append(path)
            if not arguments.check:
                path.write_text(new, encoding="utf-8")
    if arguments.check and outdated:
        sys.exit(f"{outdated[0]} and {len(outdated) - 1} more: out of date; run {sys.argv[0]}")


def wanted_files(root):
    """Returns path -> text of README.md and of every row's flagfile, brought up to date."""
    rows = find_rows(root)
    files = {}
    ours = {row.folder: measured(root, row.folder) for row in rows}
    for row in rows:
        for path in sorted((root / "flags" / row.folder).glob("*.flags")):
            text = path.read_text(encoding="utf-8")
            start, end = _HEADER.match(text).span("ours")
            files[path] = text[:start] + ours[row.folder] + text[end:]
    readme = root / "README.md"
    table = make_table(rows, ours, measured_at_preset(root, SMALL_PRESET))
    files[readme] = with_table(readme.read_text(encoding="utf-8"), table)
    return files


def find_rows(root):
    """Returns the rows in the paper's order: tables, figures, then all else."""
    rows = []
    for path in (root / "flags").glob("*/*/pretrain.flags"):
        found = _HEADER.match(path.read_text(encoding="utf-8"))
        if found is None:
            raise ValueError(f"{path}: expected a header with place, title and paper's numbers")
        kind = {"Table ": 0, "Figure ": 1}.get(found["kind"], 2)
        order = (kind, int(found["table"] or 0), found["kind"], int(found["number"]))
        folder = path.parent.relative_to(root / "flags").as_posix()
        rows.append(Row(folder, order, found["place"], found["title"], found["paper"]))
    return sorted(rows, key=lambda row: row.order)


def measured(root, folder):
    """Returns the numbers of a row's records as text, head by head; -- where there are none."""
    heads = []
    for path in sorted((root / "flags" / folder).glob("evaluate*.flags")):
        records = root / "results" / _records_file(root, path)
        if records.exists():
            found = json.loads(records.read_text(encoding="utf-8"))["records"]
            name = records.stem.removeprefix("evaluate_").removeprefix("finetune_")
            heads.append(f"{name}: {_numbers(found)}")
    return "; ".join(heads) or NOT_RUN


def measured_at_preset(root, preset):
    """Returns folder -> the numbers that tools/reproduce.py has measured, as text, head by head."""
    heads = {}
    for path in sorted((root / "results" / preset).glob("*/records.json")):
        for record in json.loads(path.read_text(encoding="utf-8"))["records"]:
            # Corruptions and transfer have tables of their own.
            if record.get("head") and "corruption" not in record and record.get("row"):
                heads.setdefault((record["row"], record["head"]), []).append(record)
    found = {}
    for (folder, head), records in sorted(heads.items()):
        if text := _numbers_over_seeds(records):
            found.setdefault(folder, []).append(f"{head}: {text}")
    return {folder: "; ".join(texts) for folder, texts in found.items()}


def make_table(rows, ours, at_preset):
    """Returns the Markdown table."""
    lines = [
        f"| row | flagfiles | paper | ours | ours, preset `{SMALL_PRESET}` |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{row.place}: {row.title}", f"`flags/{row.folder}`", row.paper]
        cells += [ours[row.folder], at_preset.get(row.folder, NOT_RUN)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text, table):
    """Returns `text` with `table` between the markers."""
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"expected the markers {BEGIN} and {END}; found no such pair")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _records_file(root, path):
    """Returns where an evaluation's records lie, relative to results/."""
    settings = _settings(root, path)
    if "output" in settings:
        stage = pathlib.PurePath(settings["output"]).stem
        workdir = settings["output"].partition("/results/")[0]
    else:
        mode = settings.get("finetune", "")
        stage = f"evaluate_finetune_{mode}" if mode else "evaluate_pretrain"
        workdir = settings["workdir"]
    return f"{workdir.removeprefix('runs/')}/{stage}.json"


def _settings(root, path):
    """Returns the flags of a file and of those that it includes: name -> text."""
    settings = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.removeprefix("--").partition("=")
        if line.startswith("--flagfile="):
            settings |= _settings(root, root / value)
        elif line.startswith("--"):
            settings[name] = value
    return settings


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
