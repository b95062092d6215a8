"""The ledger of claims as a table, for docs/claims.md and the report."""

import collections

from tools.reproduction import ledger
from tools.reproduction.contrasts import Records
from tools.reproduction.documents import read_document
from tools.reproduction.grids import Grid
from tools.reproduction.numbers import NOT_RUN

HEADINGS = [
    "#",
    "where",
    "claim",
    "the paper",
    "verdict",
    "decided by",
    "difference",
    "95 %",
    "images",
    "seeds",
    "command",
]


def judge_all(folder):
    """Returns the `Claim`s, judged by the records in results/<preset>."""
    documents = [read_document(path.parent) for path in sorted(folder.glob("*/records.json"))]
    records = Records(
        record
        for document in documents
        for record in [*document["records"], *document.get("measures", [])]
    )
    return [ledger.judge(entry, records) for entry in ledger.read_claims()]


def make_grid(claims, preset_name):
    """Returns the ledger as a `Grid`."""
    rows = [_row(claim, preset_name) for claim in claims]
    return Grid(list(HEADINGS), rows, make_summary(claims))


def make_summary(claims):
    """Returns how many claims have which verdict, and how many would have one by chance."""
    counts = collections.Counter(claim.verdict for claim in claims)
    order = (*ledger.DECIDED, ledger.OPEN, ledger.NOT_MEASURABLE, ledger.NOT_MEASURED)
    listed = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict])
    chance = ledger.expected_by_chance(claims)
    told = f" Were there no differences, {chance:.1f} at most would hold or be reversed by chance."
    return f"Of {len(claims)} claims: {listed}.{told if chance else ''}"


def _row(claim, preset_name):
    entry, part = claim.entry, claim.deciding_part
    where = entry["where"]
    found = part.estimate
    verdict = claim.verdict
    if verdict == ledger.OPEN and found.error:
        verdict += f" (seen from {found.detectable:.2g})"
    if part.note:
        verdict += f": {part.note}"
    # Accuracies have two decimals; correlations, silhouettes and nats are small.
    digits = 2 if entry.get("unit", "points") == "points" else 3
    artifact = where.lower().replace(" ", "")
    return [
        str(entry["id"]),
        where,
        " ".join([entry["claim"], *filter(None, [entry.get("remark")])]),
        entry["paper"],
        verdict,
        part.text,
        NOT_RUN if found is None else f"{found.value:+.{digits}f}",
        NOT_RUN if part.limits is None else " to ".join(f"{x:+.{digits}f}" for x in part.limits),
        NOT_RUN if found is None else str(found.num_images),
        NOT_RUN if found is None else str(found.num_seeds),
        f"python tools/reproduce.py --artifact={artifact} --preset={preset_name}",
    ]
