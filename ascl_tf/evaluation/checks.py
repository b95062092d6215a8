"""Checks that tell a robust model from a broken measurement.

Those of `ascl_tf.attacks.model_checks` look at the model before it is attacked, those
here at the records afterwards. Each has a name and explains itself; none stops the
evaluation. For the ideas behind them: Athalye et al. 2018, arXiv:1802.00420; Croce and
Hein 2020, arXiv:2003.01690; Carlini et al. 2019, arXiv:1902.06705.
"""

from ascl_tf.attacks import model_checks
from ascl_tf.attacks.model_checks import MODEL_CHECKS

# Random starts move robust accuracy; less than this many points proves nothing.
ACCURACY_TOLERANCE = 1.0


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
    return [
        _findings((name, check(record, records)) for name, check in RECORD_CHECKS.items())
        for record in records
    ]


def attach(measured, model_warnings):
    """Writes into each record what is suspicious and which checks passed; returns the records.

    Args:
        measured: list of records; `checks` holds what their attacks found themselves.
        model_warnings: as `check_model` returns them.
    """
    names = (*MODEL_CHECKS, *RECORD_CHECKS)
    for record, warnings in zip(measured, check_records(measured), strict=True):
        raised = {}
        for warning in (*model_warnings, *warnings, *record["checks"]):
            # What two checks find under one name is told once.
            raised.setdefault(warning["name"], warning)
        record["checks"] = list(raised.values())
        record["checks_passed"] = [name for name in names if name not in raised]
    return measured


def _findings(named_messages):
    return [{"name": name, "message": message} for name, message in named_messages if message]


def _robust_above_standard(record, _):
    if record["robust_accuracy"] > record["standard_accuracy"]:
        return (
            f"robust accuracy {record['robust_accuracy']:.2f} % is above standard accuracy "
            f"{record['standard_accuracy']:.2f} %: images wrong without attack were counted"
        )


def _fewer_steps_stronger(record, records):
    for other in records:
        if (
            _comparable(record, other, differing="num_steps")
            and 0 < other["attack"]["num_steps"] < record["attack"]["num_steps"]
            and other["robust_accuracy"] < record["robust_accuracy"] - ACCURACY_TOLERANCE
        ):
            return (
                f"`{other['protocol']}` with fewer steps is stronger "
                f"({other['robust_accuracy']:.2f} % against {record['robust_accuracy']:.2f} %): "
                "gradients are masked or the steps overshoot; do not trust the higher number"
            )


def _larger_radius_weaker(record, records):
    for other in records:
        if (
            _comparable(record, other, differing="epsilon")
            and _radius(other) < _radius(record)
            and other["robust_accuracy"] < record["robust_accuracy"] - ACCURACY_TOLERANCE
        ):
            return (
                f"`{other['protocol']}` with a smaller radius is stronger "
                f"({other['robust_accuracy']:.2f} % against {record['robust_accuracy']:.2f} %): "
                "the larger ball contains the smaller, so this attack got lost"
            )


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
}
