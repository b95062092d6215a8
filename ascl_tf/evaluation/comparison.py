"""Comparison of two records of the same images, image by image.

comparison = compare("at.json", "ascl.json")
comparison["difference"], comparison["interval"], comparison["p_value"]
"""

import json
import math
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ascl_tf.errors import RunError
from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS, SWEEP_EPSILON, SWEEP_STEPS
from ascl_tf.evaluation.records import (
    PathLike,
    read_records,
    record_problem,
    write_document,
)
from ascl_tf.evaluation.verdicts import verdicts_of

Comparison = dict[str, Any]

# Quantile of the standard normal distribution for 95 %, both sides.
_Z = statistics.NormalDist().inv_cdf(0.975)
# What was done to the images: equal in both of a pair.
_PROTOCOL_FIELDS = ("protocol", "attack", "corruption", "severity", "source")
# Which of several models of one file: equal where both say it.
_MODEL_FIELDS = ("checkpoint", "target", "row")
# What tells the records of one protocol apart.
_DETAILS = {
    SWEEP_STEPS: "{attack[num_steps]}",
    SWEEP_EPSILON: "{epsilon}",
    COMMON_CORRUPTIONS: "{corruption} {severity}",
}


class _Side(NamedTuple):
    """One of the two records.

    Attributes:
        name: name of the argument, or of the file without its folder: results never name folders.
        place: path and protocol; None if the record is the argument itself.
        record: the record itself.
    """

    name: str
    place: str | None
    record: Mapping[str, Any]

    def refusal(self, *error: RunError, **parts: Any) -> RunError:
        """Returns a RunError that names the record."""
        if self.place is None:
            return RunError(*error, field=self.name, **parts)
        return RunError(*error, place=self.place, **parts)


def compare(
    a: Mapping[str, Any] | PathLike,
    b: Mapping[str, Any] | PathLike,
) -> Comparison:
    """Returns how often `b` is right where `a` is wrong, and the other way around.

    With n images, of which `b` alone gets n_b right and `a` alone gets n_a right:

        difference = 100 (n_b - n_a) / n
        p_b = (n_b + 1) / (n + 2),    p_a = (n_a + 1) / (n + 2)
        interval = 100 (p_b - p_a -+ 1.96 sqrt((p_b + p_a - (p_b - p_a)^2) / (n + 2)))
        p_value = min(1, 2 P(X <= min(n_a, n_b))),    X ~ Binomial(n_a + n_b, 1/2)

    The interval is the Wald interval for paired proportions with the adjustment of Bonett and
    Price 2012 (J. Educ. Behav. Stat. 37:479-488), recommended by Fagerland et al. 2014 (Stat. Med.
    33:2850-2875). It has a width even if the two agree on every image. `p_value` is from
    McNemar's test (1947, Psychometrika 12:153-157), exact and two-sided. Both treat the images
    as a sample and the two models as fixed: another training run is another model.

    Args:
        a, b: records of any protocols, or paths of files with one record each.

    Returns:
        Dictionary that can be written as JSON: `a` and `b` (each with `name`, `protocol`, `label`,
        `accuracy` in percent, `model_sha256`, and `checkpoint`, `target` and `row` if the
        record has them), `data_set`, `num_images`, `difference` (b - a, in percentage points),
        `interval` (lower and upper 95 % limits, in the same unit), `num_only_a`, `num_only_b` and
        `p_value`.

    Raises:
        RunError: if a file cannot be read or does not hold exactly one record, a record has no
            verdicts, or the two records are of different images.

    Example:
        >>> record = {"protocol": "fgsm", "num_images": 8, "data_sha256": "ab"}
        >>> record |= dict.fromkeys(("epsilon", "seed", "model_sha256", "wall_seconds"), 0)
        >>> record |= {"versions": {}, "standard_accuracy": 100.0, "robust_accuracy": 75.0}
        >>> other = record | {"robust_accuracy": 37.5, "verdicts": {"robust": "HA=="}}
        >>> comparison = compare(record | {"verdicts": {"robust": "/A=="}}, other)
        >>> comparison["difference"], comparison["num_only_a"], comparison["num_only_b"]
        (-37.5, 3, 0)
        >>> [round(limit, 2) for limit in comparison["interval"]], comparison["p_value"]
        ([-69.69, 9.69], 0.25)
    """
    return _compare(_only_side("a", a), _only_side("b", b))


def compare_files(a: PathLike, b: PathLike) -> list[Comparison]:
    """Returns a comparison for each pair of records with the same protocol in two files.

    If both records name a checkpoint (or a target, or a row), it must be the same.

    Raises:
        RunError: as in `compare`, or if there is no such pair.
    """
    pairs = [
        (first, second)
        for first in _sides(a)
        for second in _sides(b)
        if _are_pair(first.record, second.record)
    ]
    if not pairs:
        raise RunError(
            place=b,
            expected=f"a record with a protocol of {a} ({_protocols(a)})",
            found=_protocols(b),
        )
    return [_compare(first, second) for first, second in pairs]


def write_comparisons(path: PathLike, compared: list[Comparison]) -> None:
    """Writes `{"comparisons": [...]}`, completely or not at all.

    Raises:
        RunError: if the file holds anything else, such as records, or cannot be written.
    """
    target = pathlib.Path(path)
    if target.exists() and not _holds_comparisons(target):
        raise RunError(
            place=target, expected="a new file, or comparisons to replace", found="another file"
        )
    write_document(target, {"comparisons": compared})


def _sides(path: PathLike) -> list[_Side]:
    return [
        _Side(pathlib.Path(path).name, f"{path}, {_label(record)}", record)
        for record in read_records(path)
    ]


def _only_side(field: str, source: Mapping[str, Any] | PathLike) -> _Side:
    if isinstance(source, Mapping):
        problem = record_problem(source)
        if problem:
            raise RunError(f"`{field}`: {problem}")
        return _Side(field, None, source)
    sides = _sides(source)
    if len(sides) != 1:
        raise RunError(place=source, expected="one record", found=len(sides))
    return sides[0]


def _are_pair(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    is_same_protocol = all(a.get(field) == b.get(field) for field in _PROTOCOL_FIELDS)
    both_say = [field for field in _MODEL_FIELDS if field in a and field in b]
    return is_same_protocol and all(a[field] == b[field] for field in both_say)


def _compare(a: _Side, b: _Side) -> Comparison:
    _check_same_images(a, b)
    right_in_a, right_in_b = _verdicts(a), _verdicts(b)
    num_images = len(right_in_a)
    only_a = int(np.sum(right_in_a & ~right_in_b))
    only_b = int(np.sum(right_in_b & ~right_in_a))
    return {
        "a": _described(a),
        "b": _described(b),
        "data_set": a.record.get("data_set"),
        "num_images": num_images,
        "difference": 100.0 * (only_b - only_a) / num_images,
        "interval": _interval(only_a, only_b, num_images),
        "num_only_a": only_a,
        "num_only_b": only_b,
        "p_value": min(1.0, 2 * float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))),
    }


def _interval(only_a: int, only_b: int, num_images: int) -> list[float]:
    share_a, share_b = ((count + 1) / (num_images + 2) for count in (only_a, only_b))
    center = share_b - share_a
    width = _Z * math.sqrt((share_a + share_b - center**2) / (num_images + 2))
    return [100 * max(-1.0, center - width), 100 * min(1.0, center + width)]


def _verdicts(side: _Side) -> np.ndarray:
    try:
        return verdicts_of(side.record)
    except RunError as error:
        raise side.refusal(error) from error


def _check_same_images(a: _Side, b: _Side) -> None:
    for side in (a, b):
        if not isinstance(side.record.get("data_sha256"), str):
            raise side.refusal(expected="the hash of its images", found="none")
    expected, found = _images_of(a.record), _images_of(b.record)
    if expected != found:
        raise b.refusal(expected=f"the images of {a.place or a.name}, {expected}", found=found)


def _images_of(record: Mapping[str, Any]) -> str:
    # Corrupted images are known by a hash of their own beside that of the clean ones.
    corrupted = record.get("corrupted_sha256")
    also = f", corrupted to SHA-256 {corrupted}" if corrupted else ""
    return f"{record['num_images']} of the set with SHA-256 {record['data_sha256']}{also}"


def _described(side: _Side) -> dict[str, Any]:
    record = side.record
    return {
        "name": side.name,
        "protocol": record["protocol"],
        "label": _label(record),
        "accuracy": record["robust_accuracy"],
        "model_sha256": record["model_sha256"],
        **{field: record[field] for field in _MODEL_FIELDS if field in record},
    }


def _label(record: Mapping[str, Any]) -> str:
    by_model = "{target} by {source}" if "target" in record else ""
    detail = _DETAILS.get(record["protocol"], by_model).format(**record)
    return f"{record['protocol']}: {detail}" if detail else str(record["protocol"])


def _protocols(path: PathLike) -> str:
    return ", ".join(dict.fromkeys(_label(record) for record in read_records(path))) or "none"


def _holds_comparisons(path: pathlib.Path) -> bool:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and isinstance(document.get("comparisons"), list)
