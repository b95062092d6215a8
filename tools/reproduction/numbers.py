"""Numbers of tables: the paper's from flags/rows.toml, ours over seeds."""

import statistics
from collections.abc import Mapping
from typing import NamedTuple

NOT_RUN = "--"
# Protocol -> what the tables call its number, in their order.
NUMBERS = {
    "standard": ("SA", "standard_accuracy"),
    "pgd20": ("RA-PGD-20", "robust_accuracy"),
    "pgd20_eps16": ("RA-PGD-20 at 16/255", "robust_accuracy"),
    "autoattack": ("RA-AA", "robust_accuracy"),
}
FAILED = "failed"
CHECKPOINTS = ("best", "last", None)
TRANSFER = "transfer"


class Value(NamedTuple):
    """A number over seeds; `spread` is the sample standard deviation, None for one seed."""

    mean: float
    spread: float | None
    num_seeds: int


def paper_numbers(paper, head=""):
    """Returns protocol -> the paper's number, of a `Row.paper`; {} where it gives none.

    Numbers below the name of a head are for that one alone.
    """
    if not isinstance(paper, Mapping):
        return {}
    chosen = paper.get(head, {}) if _is_by_head(paper) else paper
    return {protocol: chosen[protocol] for protocol in NUMBERS if protocol in chosen}


def paper_transfer(paper):
    """Returns source -> the paper's robust accuracy against examples made on it."""
    return paper.get(TRANSFER, {}) if isinstance(paper, Mapping) else {}


def paper_text(paper):
    """Returns a `Row.paper` as a reader wants it, such as "SA 84.48, RA-PGD-20 44.05"."""
    if not isinstance(paper, Mapping):
        return paper or NOT_RUN
    if TRANSFER in paper:
        return f"RA against transfer from {_listed(paper[TRANSFER])}"
    if _is_by_head(paper):
        return "; ".join(f"{head}: {paper_text(found)}" for head, found in paper.items())
    return _listed({NUMBERS[protocol][0]: value for protocol, value in paper.items()})


def _is_by_head(paper):
    return all(isinstance(value, Mapping) for value in paper.values())


def _listed(named):
    # An integer is what the paper gives without decimals.
    shown = {k: str(v) if isinstance(v, int) else f"{v:.2f}" for k, v in named.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def over_seeds(values):
    """Returns the `Value` of numbers, one for each seed; None for none."""
    values = list(values)
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Value(statistics.fmean(values), spread, len(values))


def measured(records, protocol):
    """Returns checkpoint -> `Value` of a protocol's number among records of one classifier."""
    field = "standard_accuracy" if protocol == "standard" else "robust_accuracy"
    found = {}
    for checkpoint in CHECKPOINTS:
        by_seed = {
            record["seed"]: record[field]
            for record in records
            if record.get("checkpoint") == checkpoint and is_of(record, protocol)
        }
        if by_seed:
            found[checkpoint] = over_seeds(by_seed.values())
    return found


def is_of(record, protocol):
    """Returns whether a record is of a protocol; --preset=smoke has a faster AutoAttack."""
    return record["protocol"] in (protocol, f"{protocol}_fast")


def shown(value):
    """Returns a `Value` as text."""
    text = f"{value.mean:.2f}"
    return text if value.spread is None else f"{text} ± {value.spread:.2f}"


def joined(texts):
    """Returns the numbers of best and last checkpoint, or one where they agree."""
    return " / ".join(dict.fromkeys(texts)) or NOT_RUN


def as_fields(paper, value):
    """Returns the fields of the CSV that hold a number of the paper and of ours."""
    fields = {} if paper is None else {"paper": f"{paper:.2f}"}
    if value is not None:
        fields |= {"mean": f"{value.mean:.4f}", "num_seeds": value.num_seeds}
        if value.spread is not None:
            fields["standard_deviation"] = f"{value.spread:.4f}"
        if paper is not None:
            fields["difference"] = f"{value.mean - paper:.4f}"
    return fields
