"""The tables of docs/reliability.md, made from results/chaos.json."""

import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = ROOT / "results" / "chaos.json"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- chaos:begin (written by tools/chaos.py --write) -->"
END = "<!-- chaos:end -->"
NOT_RUN = "--"
KILLED = {
    "runs": "a tiny run of all stages",
    "reproductions": "`tools/reproduce.py` (Table 7, smoke)",
}


def read_record(path=RECORD):
    """Returns what `make chaos` has found, {} where it was not run."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(record, path=RECORD, page=PAGE):
    """Writes the record and the tables made from it."""
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    page.write_text(with_tables(text, record), encoding="utf-8")


def with_tables(text, record):
    """Returns a page with the tables of `record` between its markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{make_tables(record)}{END}{after}"


def make_tables(record):
    """Returns the Markdown tables of kills, faults and bad inputs, and when they were made."""
    parts = [
        _kill_table(record.get("kills", {})),
        _case_table("fault injected", record.get("faults", []), has_tests=True),
        _case_table("bad input", record.get("bad_inputs", [])),
    ]
    if record:
        versions = record["versions"]
        parts.append(
            f"Found by `{record['command']}` in {record['wall_seconds'] / 60:.0f} minutes, with "
            f"TensorFlow {versions['tensorflow']}, Keras {versions['keras']}, Python "
            f"{versions['python']}.\n"
        )
    return "\n".join(parts)


def _kill_table(kills):
    lines = [
        "| killed | kills | where | ended as the undisturbed one |",
        "| --- | --- | --- | --- |",
    ]
    for name, title in KILLED.items():
        found = kills.get(name)
        cells = [NOT_RUN] * 3
        if found:
            places = sorted(found["places"].items(), key=lambda place: (-place[1], place[0]))
            where = ", ".join(f"{place} {count}" for place, count in places)
            cells = [found["kills"], where, f"{found['alike']} of {found['ended']}"]
        lines.append(_row(title, *cells))
    return "\n".join(lines) + "\n"


def _case_table(title, found, has_tests=False):
    headings = [title, "cases", "gave", *(["test"] if has_tests else [])]
    lines = [_row(*headings), _row(*["---"] * len(headings))]
    for row in found:
        passed = "" if row["passed"] == row["cases"] else f"{row['passed']} of {row['cases']}: "
        tests = [", ".join(f"`{test}`" for test in row["tests"])] if has_tests else []
        lines.append(_row(row["name"], row["cases"], passed + row["gives"], *tests))
    total = sum(row["cases"] for row in found) if found else NOT_RUN
    lines.append(_row("together", total, *[""] * (len(headings) - 2)))
    return "\n".join(lines) + "\n"


def _row(*cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"
