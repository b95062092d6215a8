"""Numbers of tables: the paper's from the headers of flags/, ours over seeds."""

import re
import statistics
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
_LABELS = {label: protocol for protocol, (label, _) in NUMBERS.items()}
# The longest first: RA-PGD-20 is the beginning of RA-PGD-20 at 16/255.
_NUMBER = re.compile(
    f"({'|'.join(sorted(map(re.escape, _LABELS), key=len, reverse=True))})"
    r" (\d+(?:\.\d+)?)"
)
_HEADS = {"standard head ": "lsf", "adversarial head ": "laf"}
_TRANSFER = "RA against transfer from "


class Value(NamedTuple):
    """A number over seeds; `spread` is the sample standard deviation, None for one seed."""

    mean: float
    spread: float | None
    num_seeds: int


def paper_numbers(text, head=""):
    """Returns protocol -> the paper's number, from a header such as "SA 84.48, RA-PGD-20 44.05".

    A part that begins with the name of a head is for that one alone.
    """
    found = {}
    if text.startswith((NOT_RUN, _TRANSFER)):
        return found
    for part in text.split(";"):
        part = part.strip()
        named = [mode for beginning, mode in _HEADS.items() if part.startswith(beginning)]
        if not named or named == [head]:
            found |= {_LABELS[label]: float(number) for label, number in _NUMBER.findall(part)}
    return found


def paper_transfer(text):
    """Returns source -> the paper's robust accuracy, from "RA against transfer from AT 1, ..."."""
    pairs = re.findall(r"([\w+ -]+?) (\d+(?:\.\d+)?)", text.removeprefix(_TRANSFER))
    return {source.strip(): float(number) for source, number in pairs}


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
    """Whether a record is of a protocol; --preset=smoke has a faster AutoAttack."""
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
