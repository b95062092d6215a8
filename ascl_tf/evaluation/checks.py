"""Checks that tell a robust model from a broken measurement.

Those of `ascl_tf.attacks.model_checks` look at the model before it is attacked, those
here at the records afterwards. Each has a name and explains itself; none stops the
evaluation. A check that had nothing to look at counts neither as raised nor as passed.
For the ideas behind them: Athalye et al. 2018, arXiv:1802.00420; Croce and Hein 2020,
arXiv:2003.01690; Carlini et al. 2019, arXiv:1902.06705.
"""

from ascl_tf.attacks import model_checks
from ascl_tf.attacks.model_checks import MODEL_CHECKS
from ascl_tf.evaluation.recheck import PERTURBATION_TOLERANCE

# Random starts move robust accuracy; less than this many points proves nothing.
ACCURACY_TOLERANCE = 1.0
# On published models without masked gradients PGD stays within ten points of AutoAttack.
_AUTOATTACK_TOLERANCE = 15.0
# At half the range every image can be turned into the same grey.
_LARGEST_EPSILON = 0.5
# Half a grey level: less is lost when an image is stored in 8 bits.
_SMALLEST_EPSILON = 0.5 / 255


def check_model(logits_fn, images, labels):
    """Returns what is suspicious about a model, before any attack.

    Args:
        logits_fn: callable images -> logits [B, num_classes].
        images: [B, H, W, C] float32 in [0, 1], a few dozen test images.
        labels: int [B].

    Returns:
        List of dictionaries with `name` and `message`; empty if all is well.
    """
    found = model_checks.check_model(logits_fn, logits_fn, images, labels, loss="ce")
    return _findings(found.items())


def check_records(records):
    """Returns what is suspicious about each of several records of one model.

    Args:
        records: list of records, as `evaluate_robustness` returns them.

    Returns:
        One list for each record, like that of `check_model`.
    """
    return [_findings(_outcomes(record, records).items()) for record in records]


def attach(measured, model_warnings):
    """Writes into each record what is suspicious and which checks passed; returns the records.

    Args:
        measured: list of records; `checks` holds what their attacks found themselves.
        model_warnings: as `check_model` returns them.
    """
    all_outcomes = [_outcomes(record, measured) for record in measured]
    for record, outcomes in zip(measured, all_outcomes, strict=True):
        raised = {}
        for warning in (*model_warnings, *_findings(outcomes.items()), *record["checks"]):
            # What two checks find under one name is told once.
            raised.setdefault(warning["name"], warning)
        made = (*MODEL_CHECKS, *(name for name, outcome in outcomes.items() if outcome is not None))
        record["checks"] = list(raised.values())
        record["checks_passed"] = [name for name in made if name not in raised]
    return measured


def add(measured, name, message):
    """Writes the outcome of one more check into each record; returns the records.

    Args:
        measured: list of records that `attach` has seen.
        name: of the check.
        message: what is suspicious; empty if nothing is.
    """
    for record in measured:
        if message:
            record["checks"] = [*record["checks"], {"name": name, "message": message}]
        else:
            record["checks_passed"] = [*record["checks_passed"], name]
    return measured


def _outcomes(record, records):
    """Returns {check: explanation, "" where all is well, None where nothing could be checked}."""
    return {name: check(record, records) for name, check in RECORD_CHECKS.items()}


def _findings(named_messages):
    return [{"name": name, "message": message} for name, message in named_messages if message]


def _robust_above_standard(record, _):
    if record["robust_accuracy"] <= record["standard_accuracy"]:
        return ""
    return (
        f"robust accuracy {record['robust_accuracy']:.2f} % is above standard accuracy "
        f"{record['standard_accuracy']:.2f} %: images wrong without attack were counted"
    )


def _fewer_steps_stronger(record, records):
    others = [
        other
        for other in records
        if _comparable(record, other, differing="num_steps")
        and 0 < other["attack"]["num_steps"] < record["attack"]["num_steps"]
    ]
    return _first_stronger(
        record,
        others,
        "with fewer steps",
        "gradients are masked or the steps overshoot; do not trust the higher number",
    )


def _larger_radius_weaker(record, records):
    others = [
        other
        for other in records
        if _comparable(record, other, differing="epsilon") and _radius(other) < _radius(record)
    ]
    return _first_stronger(
        record,
        others,
        "with a smaller radius",
        "the larger ball contains the smaller, so this attack got lost",
    )


def _far_above_autoattack(record, records):
    if record["attack"]["kind"] in ("none", "autoattack"):
        return None
    others = [
        other
        for other in records
        if other["attack"]["kind"] == "autoattack" and _radius(other) <= _radius(record)
    ]
    return _first_stronger(
        record,
        others,
        f"by more than {_AUTOATTACK_TOLERANCE:g} points",
        "this attack is misled, as where gradients are masked; do not trust the higher number",
        tolerance=_AUTOATTACK_TOLERANCE,
    )


def _square_stronger(record, _):
    accuracies = {
        name: found["robust_accuracy"]
        for name, found in record.get("attacks", {}).items()
        if name != "clean"
    }
    if "square" not in accuracies or len(accuracies) < 2:
        return None
    return model_checks.square_stronger(accuracies) or ""


def _epsilon_unit(record, _):
    radius = _radius(record)
    if radius == 0:
        return None
    if _SMALLEST_EPSILON <= radius < _LARGEST_EPSILON:
        return ""
    return (
        f"epsilon {record['epsilon']} is {255 * radius:.3g} of 255 grey levels: expected between "
        "half a level and half the range, beyond which every image can be turned into the same "
        "grey; epsilon is meant in [0, 1] pixel units, such as 8/255"
    )


def _perturbation_out_of_ball(record, _):
    if "max_perturbation" not in record:
        return None
    found, radius = record["max_perturbation"], _radius(record)
    if found <= radius + PERTURBATION_TOLERANCE:
        return ""
    return (
        f"a pixel moved by {found:.8f} where epsilon is {record['epsilon']} ({radius:.8f}): the "
        "attack left its ball, so that this is robust accuracy at another radius"
    )


def _first_stronger(record, others, how, conclusion, tolerance=ACCURACY_TOLERANCE):
    """Explains the first of `others` that leaves fewer images robust; None without others."""
    if not others:
        return None
    for other in others:
        if other["robust_accuracy"] < record["robust_accuracy"] - tolerance:
            return (
                f"`{other['protocol']}` {how} is stronger "
                f"({other['robust_accuracy']:.2f} % against {record['robust_accuracy']:.2f} %): "
                f"{conclusion}"
            )
    return ""


def _comparable(record, other, *, differing):
    """Whether two gradient attacks agree in everything but steps, or but the radius."""
    ignored = {"step_size", "num_restarts", "random_start", differing}
    first, second = record["attack"], other["attack"]
    same = all(first[key] == second[key] for key in first if key not in ignored)
    return same and first["num_steps"] > 0


def _radius(record):
    numerator, _, denominator = record["epsilon"].partition("/")
    return float(numerator) / float(denominator or 1)


RECORD_CHECKS = {
    "robust_above_standard": _robust_above_standard,
    "fewer_steps_stronger": _fewer_steps_stronger,
    "larger_radius_weaker": _larger_radius_weaker,
    "far_above_autoattack": _far_above_autoattack,
    "square_stronger": _square_stronger,
    "epsilon_unit": _epsilon_unit,
    "perturbation_out_of_ball": _perturbation_out_of_ball,
}
