"""The verdict on each of the paper's claims, from records alone.

A claim has parts, each an inequality between sums of accuracies or of what figures measure
(contrasts.py), with a margin:

    holds              every part's lower limit of 95 % is above its margin
    reversed           some part's upper limit is below it, after Bonferroni over the parts
    open               neither; told with the difference that would have shown
    not measurable     a row answers one class for all, its accuracy is no better than chance, or,
                       in a figure, it has no gradient
    not measured       a record is missing, or no row has several seeds
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import special

from tools.reproduction import contrasts
from tools.reproduction.contrasts import Estimate, MissingRecord, Records
from tools.rows import ROOT, find_rows

CLAIMS = ROOT / "flags" / "claims.toml"
HOLDS, REVERSED, OPEN = "holds", "reversed at this scale", "open"
NOT_MEASURABLE, NOT_MEASURED = "not measurable", "not measured"
DECIDED = (HOLDS, REVERSED)
# Checks that a model has not passed, whose numbers then say nothing; and those of figures, where
# an image without a gradient looks flat.
_UNFIT = {"constant_output": "a model answers one class for all images"}
_UNFIT_FOR_FIGURES = {**_UNFIT, "zero_gradients": "a model has no gradient on some images"}
_LISTS = ("number", "other", "checkpoint", "point")


@dataclasses.dataclass(frozen=True)
class Part:
    """One inequality and what the records say of it.

    Attributes:
        text: the inequality.
        verdict: of this part alone.
        estimate: the left side; None where it was not measured.
        limits: of 95 %; None without.
        clearance: by how many standard errors the limits clear the margin; None without.
        note: why there is no verdict.
    """

    text: str
    verdict: str
    estimate: Estimate | None = None
    limits: tuple[float, float] | None = None
    clearance: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of the paper, its parts, and the verdict on it.

    Attributes:
        entry: as flags/claims.toml has it.
        verdict: see above.
        parts: in order.
    """

    entry: Mapping[str, Any]
    verdict: str
    parts: tuple[Part, ...]

    @property
    def deciding_part(self) -> Part:
        """The part that the verdict hangs on: of those with that verdict, the lowest clearance."""
        same = [part for part in self.parts if part.verdict == self.verdict] or self.parts
        return min(same, key=lambda part: -math.inf if part.clearance is None else part.clearance)


def read_claims() -> list[Mapping[str, Any]]:
    """Returns the claims of flags/claims.toml."""
    return list(tomllib.loads(CLAIMS.read_text(encoding="utf-8"))["claim"])


def judge(entry: Mapping[str, Any], records: Records) -> Claim:
    """Returns a claim with its verdict; `records` are those of all tables and figures."""
    groups = [(part, expand(part, records)) for part in entry["parts"]]
    num_parts = sum(len(inequalities) for _, inequalities in groups)
    parts, verdicts = [], []
    for part, inequalities in groups:
        chance = part.get("chance", 10.0)
        judged = [_judge_part(one, records, num_parts, chance) for one in inequalities]
        parts += judged
        verdicts.append(_together([each.verdict for each in judged], part.get("count")))
    return Claim(entry, _together(verdicts), tuple(parts))


def expected_by_chance(claims: Sequence[Claim]) -> float:
    """Returns how many verdicts would be "holds" or "reversed" if nothing differed, at most.

    Of a claim of one part 2.5 % hold so, 2.5 % are reversed; more parts hold together less often.
    """
    return 0.05 * sum(claim.verdict in (*DECIDED, OPEN) for claim in claims)


def _together(verdicts: Sequence[str], count: int | None = None) -> str:
    """Returns the verdict on parts together: all of them hold, or `count` of them."""
    if not verdicts or NOT_MEASURED in verdicts:
        return NOT_MEASURED
    if NOT_MEASURABLE in verdicts:
        return NOT_MEASURABLE
    if verdicts.count(HOLDS) >= (len(verdicts) if count is None else count):
        return HOLDS
    most_reversed = 0 if count is None else len(verdicts) - count
    return REVERSED if verdicts.count(REVERSED) > most_reversed else OPEN


def expand(part: Mapping[str, Any], records: Records) -> list[dict[str, Any]]:
    """Returns the inequalities of a part: one for each combination of its lists."""
    found: list[dict[str, Any]] = [{k: v for k, v in part.items() if k not in _LISTS}]
    for name in _LISTS:
        values = part.get(name, ["best"] if name == "checkpoint" else [None])
        if isinstance(values, Mapping):
            values = _points(values, records)
        found = [{**one, name: value} for one in found for value in values]
    return found


def _points(wanted: Mapping[str, Any], records: Records) -> list[str]:
    """Returns the points of a curve at which one of some rows is above an accuracy."""
    protocol, rows = wanted["of"], wanted["rows"]
    shown: dict[str, float] = {}
    for record in records:
        if record["protocol"] == protocol and record["row"] in rows:
            point = contrasts.point_of(record)
            shown[point] = max(shown.get(point, 0.0), record["robust_accuracy"])
    above, left_out = wanted.get("above", 0.0), wanted.get("without", ())
    return [p for p, accuracy in shown.items() if accuracy > above and p not in left_out]


def _judge_part(
    inequality: Mapping[str, Any], records: Records, num_parts: int, chance: float
) -> Part:
    text = fill(inequality["sum"], inequality)
    terms = contrasts.parse(text, inequality["checkpoint"])
    try:
        other = inequality.get("larger_than_size_of")
        if other is not None:
            terms, text = _sizes(text, fill(other, inequality), inequality, records)
        if "below" in inequality:
            return _judge_bound(text, terms, records, inequality["below"])
        found = contrasts.estimate(terms, records)
    except MissingRecord as missing:
        return Part(text, NOT_MEASURED, note=f"no record of {missing}")
    margin = inequality.get("above", 0.0)
    text += f" > {margin:g}"
    unfit = _why_unfit(terms, records, chance)
    if unfit:
        return Part(text, NOT_MEASURABLE, found, found.limits(), note=unfit)
    limits = found.limits()
    if limits is None:
        return Part(text, NOT_MEASURED, found, note="no row has several seeds")
    all_parts = found.limits(num_parts)
    verdict = HOLDS if limits[0] > margin else OPEN
    verdict = REVERSED if all_parts is not None and all_parts[1] < margin else verdict
    # A seed's spread may be 0 where a made-up record has none.
    clearance = (limits[0] - margin) / max(found.error, 1e-12)
    return Part(text, verdict, found, limits, clearance)


def _sizes(text, other, inequality, records):
    """Returns |text| - |other| as the contrast that it is with the signs that were found."""
    sides, shown = [], []
    for side, sign in ((text, 1), (other, -1)):
        terms = contrasts.parse(side, inequality["checkpoint"])
        sign *= 1 if contrasts.estimate(terms, records).value >= 0 else -1
        sides += [dataclasses.replace(term, sign=sign * term.sign) for term in terms]
        shown.append(f"|{side}|")
    return sides, " - ".join(shown)


def _judge_bound(text, terms, records, limit):
    """Judges that an accuracy is below a limit, by the exact bound of a binomial (Clopper-Pearson).

    Of the seed with the highest accuracy: it says that no run is above.
    """
    by_seed = contrasts.values_by_seed(terms, records)
    most = max(by_seed.values(), key=lambda values: values.mean())
    low, high = exact_limits(round(most.sum() / 100), len(most))
    verdict = HOLDS if high < limit else REVERSED if low > limit else OPEN
    found = Estimate(float(most.mean()), None, 0, len(most), len(by_seed))
    error = max((high - low) / (2 * special.ndtri(0.975)), 1e-12)
    return Part(f"{text} < {limit:g}", verdict, found, (low, high), (limit - high) / error)


def exact_limits(count: int, total: int) -> tuple[float, float]:
    """Returns the limits of 95 % of a share, in percent (Clopper and Pearson 1934)."""
    low = 0.0 if count == 0 else special.betaincinv(count, total - count + 1, 0.025)
    high = 1.0 if count == total else special.betaincinv(count + 1, total - count, 0.975)
    return 100 * float(low), 100 * float(high)


def _why_unfit(terms, records, chance):
    """Returns why a contrast says nothing, "" where it does."""
    checks = contrasts.model_checks(terms, records)
    is_figure = any("measure" in r for term in terms for r in records.of(term))
    unfit = _UNFIT_FOR_FIGURES if is_figure else _UNFIT
    told = [text for name, text in unfit.items() if name in checks]
    if told:
        return told[0]
    for term in terms:
        for record in _accuracies(term, records):
            num_right = round(record["standard_accuracy"] * record["num_images"] / 100)
            if exact_limits(num_right, record["num_images"])[0] <= chance:
                return f"{record['row'] or term.head}: standard accuracy no better than chance"
    return ""


def _accuracies(term, records):
    """Returns the records with a standard accuracy of a term's models: of a figure its run's."""
    of_term = records.of(term)
    models = {(_owner(r["row"]), r["head"], r["seed"]) for r in of_term if "measure" in r}
    measured = [r for r in records if "standard_accuracy" in r]
    return [r for r in of_term if "standard_accuracy" in r] + [
        r
        for r in measured
        if (_owner(r["row"]), r["head"], r["seed"]) in models and r.get("checkpoint") != "last"
    ]


def _owner(folder):
    """Returns the row whose run a row is."""
    row = find_rows().get(folder)
    return row.owner if row else folder


def fill(text: str, inequality: Mapping[str, Any]) -> str:
    """Returns the sum of an inequality with the values of its lists in it."""
    return text.format(**{name: inequality[name] for name in _LISTS})
