"""Sums of accuracies or measures with signs, and how sure they are.

A contrast is written as in flags/claims.toml:

    table1/ascl:laf@pgd20 - table1/at@pgd20

is the robust accuracy of one row's head less that of another row. A term is `row@number`,
`row:head@number`, or `table2:ASCL<AT@transfer_pgd20`, target and source of a transfer. A number
is a protocol's; `sweep_epsilon=8/255`, `sweep_steps=20` and `corruptions=fog` are one point of
it, and `corruptions` is the mean over all. `input_landscape=rise` is what a figure measured: not
an accuracy in percentage points, but in units of its own, of each image or component.
"""

import dataclasses
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from ascl_tf.errors import RunError
from ascl_tf.evaluation.verdicts import verdicts_of
from tools.reproduction.measures import unpack

_TERM = re.compile(r"\s*([+-]?)\s*([\w/]+)(?::([\w<]+))?@([\w/=]+)\s*")
# These are of one seed: the spread over seeds is that of the number that is nearest.
_NEAREST = {
    "corruptions": "standard",
    "sweep_epsilon": "pgd20",
    "sweep_steps": "pgd20",
    "transfer_pgd20": "pgd20",
}
# What of a record a point of a protocol's curve is; of a figure it is a measure.
_POINTS = {
    "corruptions": lambda record: record["corruption"],
    "sweep_epsilon": lambda record: record["epsilon"],
    "sweep_steps": lambda record: str(record["attack"]["num_steps"]),
}


class MissingRecord(Exception):
    """Nothing has been measured of a term."""


class Records(list[Mapping[str, Any]]):
    """The records of all tables and figures. Claims ask for the same ones again and again.

    Attributes:
        by_protocol: protocol -> its records.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()):
        super().__init__(records)
        self.by_protocol: dict[str, list[Mapping[str, Any]]] = {}
        for record in self:
            self.by_protocol.setdefault(record["protocol"], []).append(record)

    def of(self, term: "Term") -> list[Mapping[str, Any]]:
        """Returns the measurements of a term."""
        return [r for r in self.by_protocol.get(term.protocol, ()) if term.is_of(r)]


@dataclasses.dataclass(frozen=True)
class Term:
    """One accuracy or measure of a contrast, with its sign.

    Attributes:
        sign: +1 or -1.
        row, head: as records have them; `head` is "target<source" of a transfer.
        number: a protocol, or a point of its curve; a figure and its measure.
        checkpoint: "best" or "last"; "" where there is one only.
    """

    sign: int
    row: str
    head: str
    number: str
    checkpoint: str

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return " ".join(filter(None, [self.row, self.head, self.number]))

    @property
    def protocol(self) -> str:
        """The protocol that the number is of."""
        return self.number.partition("=")[0]

    def is_of(self, record: Mapping[str, Any]) -> bool:
        """Returns whether a record is a measurement of this term."""
        if "<" in self.head:
            place = f"{record.get('target')}<{record.get('source')}" == self.head
        else:
            place = (record["row"], record["head"]) == (self.row, self.head)
        return place and self.is_number(record)

    def is_number(self, record: Mapping[str, Any]) -> bool:
        """Returns whether a record is of this protocol, point and checkpoint, of any model."""
        point = self.number.partition("=")[2]
        if record["protocol"] != self.protocol or (point and point_of(record) != point):
            return False
        return record.get("checkpoint") in (self.checkpoint, None) or not self.checkpoint

    def nearest(self) -> "Term":
        """Returns the term whose spread over seeds stands in for this one's."""
        return dataclasses.replace(self, number=_NEAREST.get(self.protocol, self.number))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A contrast in percentage points, or in the unit of a figure's measure, and its uncertainty.

    Attributes:
        value: of the test images, the mean over seeds.
        error: standard error: of the images, and of the seeds; None where no row has several.
        degrees: degrees of freedom of the latter.
        num_images, num_seeds: the fewest of any term; of an inversion it has components.
    """

    value: float
    error: float | None
    degrees: int
    num_images: int
    num_seeds: int

    @property
    def detectable(self) -> float | None:
        """The difference that an interval of 95 % leaves out with a probability of 80 %.

        2.8 standard errors of many degrees of freedom, 14 of one; None without an error.
        """
        if self.error is None:
            return None
        return self.error * float(special.stdtrit(self.degrees, [0.975, 0.8]).sum())

    def limits(self, num_parts: int = 1) -> tuple[float, float] | None:
        """Returns the limits of 95 %, or of as much for all of `num_parts` (Bonferroni)."""
        if self.error is None:
            return None
        width = self.error * float(special.stdtrit(self.degrees, 1 - 0.025 / num_parts))
        return self.value - width, self.value + width


def parse(text: str, checkpoint: str = "best") -> list[Term]:
    """Returns the terms of a contrast.

    Raises:
        ValueError: if it is not written as above.
    """
    found: list[Term] = []
    place = 0
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None or (found and not match[1]):
            raise ValueError(f"expected row:head@number, with signs between; found {text!r}")
        sign, row, head, number = match.groups()
        found.append(Term(-1 if sign == "-" else 1, row, head or "", number, checkpoint))
        place = match.end()
    return found


def estimate(terms: Sequence[Term], records: Records) -> Estimate:
    """Returns a contrast's value and uncertainty, paired by image.

    With z_i the contrast of image i, averaged over seeds, and s_g^2 the variance over seeds of
    what the contrast takes from one model (`seed_variance`), of k_g seeds:

        error^2 = var(z_i) / n + sum over models g of s_g^2 / k_g

    Where one record has more images than another, both are cut to the fewer: they are the first
    ones of the same test set. Measures of a figure are of the same images for all models and
    seeds; components of an inversion are the same for the models of a seed.

    Raises:
        MissingRecord: if a term has no record, or one of an older version, without verdicts.
    """
    models = _by_model(terms)
    found = [values_by_seed(model, records) for model in models]
    num_images = min(len(z) for by_seed in found for z in by_seed.values())
    means = [np.mean([z[:num_images] for z in by_seed.values()], axis=0) for by_seed in found]
    of_images = np.sum(means, axis=0)
    variance, degrees = np.var(of_images, ddof=1) / num_images, []
    for model, by_seed in zip(models, found, strict=True):
        spread, freedom = seed_variance(model, records)
        degrees.append(freedom)
        variance += spread / len(by_seed)
    return Estimate(
        value=float(np.mean(of_images)),
        error=math.sqrt(variance) if min(degrees) else None,
        degrees=min(degrees),
        num_images=num_images,
        num_seeds=min(map(len, found)),
    )


def seed_variance(model: Sequence[Term], records: Records) -> tuple[float, int]:
    """Returns the variance over seeds of a model's share of a contrast, and its degrees of freedom.

    Pooled over all rows and heads that were measured with several seeds; (0.0, 0) where none was.
    """
    nearest = [term.nearest() for term in model]
    measured = (
        r for name in {t.protocol for t in nearest} for r in records.by_protocol.get(name, ())
    )
    relevant = Records(r for r in measured if any(term.is_number(r) for term in nearest))
    runs = set()  # Rows that are one run count once.
    for row, head in sorted({(record["row"], record["head"]) for record in relevant}):
        placed = [dataclasses.replace(term, row=row, head=head) for term in nearest]
        runs.add(frozenset(_numbers_by_seed(placed, relevant)))
    several = [[value for _, value in run] for run in runs if len(run) > 1]
    degrees = sum(len(values) - 1 for values in several)
    squares = sum((len(values) - 1) * statistics.variance(values) for values in several)
    return (squares / degrees, degrees) if degrees else (0.0, 0)


def model_checks(terms: Sequence[Term], records: Records) -> set[str]:
    """Returns the names of the checks that a model of a contrast has not passed."""
    measured = [record for term in terms for record in records.of(term)]
    return {check["name"] for record in measured for check in record.get("checks", ())}


def point_of(record: Mapping[str, Any]) -> str:
    """Returns the point of its protocol's curve, or the measure of a figure, of a record."""
    return record["measure"] if "measure" in record else _POINTS[record["protocol"]](record)


def values_of(record: Mapping[str, Any]) -> np.ndarray:
    """Returns what a record says of each image, [N]: 100 for a right one, or a measure.

    Raises:
        RunError: as `verdicts_of`.
    """
    return unpack(record["values"]) if "values" in record else 100.0 * verdicts_of(record)


def _by_model(terms):
    models: dict[tuple[str, str], list[Term]] = {}
    for term in terms:
        models.setdefault((term.row, term.head), []).append(term)
    return list(models.values())


def _matches(term, records):
    """Returns seed -> records of a term."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for record in records.of(term):
        found.setdefault(record["seed"], []).append(record)
    return found


def values_by_seed(model: Sequence[Term], records: Records) -> dict[int, np.ndarray]:
    """Returns seed -> the contrast of each image, of the terms of one model.

    Raises:
        MissingRecord: as `estimate`.
    """
    found = [_matches(term, records) for term in model]
    seeds = set.intersection(*map(set, found))
    if not seeds:
        pairs = zip(model, found, strict=True)
        raise MissingRecord(next((t for t, by_seed in pairs if not by_seed), model[0]).name)
    return {seed: _contrast(model, [by_seed[seed] for by_seed in found]) for seed in seeds}


def _contrast(model, measured):
    try:
        vectors = [np.mean(_cut([values_of(r) for r in found]), axis=0) for found in measured]
    except RunError as error:
        raise MissingRecord(f"{model[0].name} with a verdict on each image") from error
    signs = [term.sign for term in model]
    return sum(sign * z for sign, z in zip(signs, _cut(vectors), strict=True))


def _cut(vectors):
    num_images = min(map(len, vectors))
    return [vector[:num_images] for vector in vectors]


def _numbers_by_seed(model, records):
    """Returns {(hashes of the models, the contrast of their numbers)}, a pair for each seed."""
    found = [_matches(term, records) for term in model]
    pairs = set()
    for seed in set.intersection(*map(set, found)):
        measured = [by_seed[seed] for by_seed in found]
        means = [statistics.fmean(map(_number, some)) for some in measured]
        value = sum(term.sign * mean for term, mean in zip(model, means, strict=True))
        pairs.add((tuple(sorted({r["model_sha256"] for some in measured for r in some})), value))
    return pairs


def _number(record):
    """Returns the mean over a record's images, without reading the verdict on each."""
    return unpack(record["values"]).mean() if "values" in record else record["robust_accuracy"]
