"""Checks that tell a robust model from a broken measurement.

Those of `check_model` look at the model before it is attacked, and are made by everything
that measures one; the others look at the records afterwards. Each has a name and explains
itself; none stops the evaluation. A check that had nothing to look at counts neither as raised
nor as passed.
For the ideas behind them: Athalye et al. 2018, arXiv:1802.00420; Croce and Hein 2020,
arXiv:2003.01690; Carlini et al. 2019, arXiv:1902.06705.
"""

import hashlib

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import model_checks
from ascl_tf.attacks.logits import make_logits_function
from ascl_tf.evaluation.batch_attacks import PERTURBATION_TOLERANCE
from ascl_tf.evaluation.evaluation_data import as_unit_float
from ascl_tf.evaluation.protocols import norm_of

CLASS_COUNT = "class_count"
MODEL_CHECKS = (*model_checks.MODEL_CHECKS, CLASS_COUNT)
# Random starts move robust accuracy; less than this many points proves nothing.
ACCURACY_TOLERANCE = 1.0
# On published models without masked gradients PGD stays within ten points of AutoAttack.
_AUTOATTACK_TOLERANCE = 15.0
# At half the range every image can be turned into the same gray. An l2 ball that reaches as far in
# all pixels is wider by the root of their number; of the radii in use for 224x224 pixels 10 is one
# of the largest.
_LARGEST_EPSILON = {"linf": 0.5, "l2": 10.0}
# Half a gray level: less is lost when an image is stored in 8 bits.
_SMALLEST_EPSILON = 0.5 / 255
# An l2 length up to here is a radius that is usual in l-infinity.
_USUAL_LINF = 16 / 255


def check_model(classifier, images, labels, *, num_classes=None):
    """Returns what a model's output on a few dozen images shows, before any attack.

    Args:
        classifier: as `evaluate_robustness` takes it. Of an ensemble (see `model_ensemble`)
            each member is looked at too.
        images: [N, H, W, C], uint8, or float in [0, 1]; those that are looked at are chosen here.
        labels: int [N]; negative: unlabeled.
        num_classes: how many classes the data set declares, Python int; None: it does not.

    Returns:
        {name: explanation, "" where all is well}, without the checks that had nothing to look
        at. Names are those of `MODEL_CHECKS`.
    """
    rows = model_checks.spread_rows(labels)
    images, labels = tf.constant(as_unit_float(images[rows])), labels[rows]
    outcomes = _outcomes_of_model(classifier, images, labels)
    members = getattr(classifier, "members", ())
    of_members = [_outcomes_of_model(member, images, labels) for member in members]
    for name in dict.fromkeys(name for found in of_members for name in found):
        outcomes[name] = outcomes.get(name) or _of_members(name, of_members)
    if num_classes:
        num_logits = int(make_logits_function(classifier)(images[:1]).shape[1])
        outcomes[CLASS_COUNT] = _class_count(num_classes, num_logits)
    return {name: outcomes[name] for name in MODEL_CHECKS if name in outcomes}


def as_fields(outcomes):
    """Returns the fields `checks` and `checks_passed` of a record, of outcomes by name."""
    return {
        "checks": [
            {"name": name, "message": message} for name, message in outcomes.items() if message
        ],
        "checks_passed": [name for name, message in outcomes.items() if not message],
    }


def attach(measured, of_model):
    """Writes into each record what is suspicious and which checks passed; returns the records.

    Args:
        measured: list of records; `checks` holds what their attacks found themselves.
        of_model: outcomes by name, as `check_model` returns them.
    """
    all_outcomes = [_outcomes(record, measured) for record in measured]
    for record, outcomes in zip(measured, all_outcomes, strict=True):
        own = {warning["name"]: warning["message"] for warning in record["checks"]}
        found = {}
        for name, message in (*of_model.items(), *outcomes.items(), *own.items()):
            # What two checks find under one name is told once.
            if message is not None:
                found[name] = found.get(name) or message
        record |= as_fields(found)
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


def _outcomes_of_model(classifier, images, labels):
    logits_fn = make_logits_function(classifier)
    return model_checks.model_outcomes(logits_fn, logits_fn, images, labels, loss="ce")


def _of_members(name, of_members):
    """Returns the explanation of the first member that a check has found, and names them all."""
    raised = {i: found[name] for i, found in enumerate(of_members, 1) if found.get(name)}
    if not raised:
        return ""
    which = f"member{'s' if len(raised) > 1 else ''} {', '.join(map(str, raised))}"
    return f"{which} of {len(of_members)}: {next(iter(raised.values()))}"


def _class_count(num_classes, num_logits):
    if num_classes == num_logits:
        return ""
    return (
        f"the data set has {num_classes} classes but the model has {num_logits} logits: class ids "
        "may differ between the two, so that correct predictions count as wrong"
    )


def _outcomes(record, records):
    """Returns {check: explanation, "" where all is well, None where nothing could be checked}."""
    return {name: check(record, records) for name, check in RECORD_CHECKS.items()}


def _robust_above_standard(record, _):
    if record["robust_accuracy"] <= record["standard_accuracy"]:
        return ""
    return (
        f"robust accuracy {record['robust_accuracy']:.2f} % is above standard accuracy "
        f"{record['standard_accuracy']:.2f} %: images that are wrong without an attack were counted"
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
        "the larger ball contains the smaller one, so this attack failed",
    )


def _far_above_autoattack(record, records):
    if record["attack"]["kind"] in ("none", "autoattack"):
        return None
    others = [
        other
        for other in records
        if other["attack"]["kind"] == "autoattack"
        and _norm(other) == _norm(record)
        and _radius(other) <= _radius(record)
    ]
    return _first_stronger(
        record,
        others,
        f"by more than {_AUTOATTACK_TOLERANCE:g} points",
        "this attack is misled, as by masked gradients; do not trust the higher number",
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
    norm = _norm(record)
    if norm == "l2" and _SMALLEST_EPSILON <= radius <= _USUAL_LINF:
        return (
            f"epsilon {record['epsilon']} is a usual radius in l-infinity; in l2 it is the length "
            "of the whole perturbation, and radii such as 128/255 are usual"
        )
    if _SMALLEST_EPSILON <= radius < _LARGEST_EPSILON[norm]:
        return ""
    if norm == "l2":
        return (
            f"epsilon {record['epsilon']} is {255 * radius:.3g} gray levels of l2 length: expected "
            "between half a level and 2550; epsilon is meant in [0, 1] pixel units, such as 128/255"
        )
    return (
        f"epsilon {record['epsilon']} is {255 * radius:.3g} of 255 gray levels: expected between "
        "half a level and half the range, beyond which every image can be turned into the same "
        "gray; epsilon is meant in [0, 1] pixel units, such as 8/255"
    )


def _perturbation_out_of_ball(record, _):
    if "max_perturbation" not in record:
        return None
    found, radius, norm = record["max_perturbation"], _radius(record), _norm(record)
    if found <= radius + PERTURBATION_TOLERANCE[norm]:
        return ""
    what = "a pixel" if norm == "linf" else "an image"
    return (
        f"{what} moved by {found:.8f} but epsilon is {record['epsilon']} ({radius:.8f}): the "
        "attack left its ball, so this is robust accuracy at another radius"
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
    """Returns whether two gradient attacks agree in everything but steps, or but the radius."""
    ignored = {"step_size", "num_restarts", "random_start", differing}
    first, second = record["attack"], other["attack"]
    same = all(first[key] == second[key] for key in first if key not in ignored)
    return same and first["num_steps"] > 0


def _norm(record):
    attack = record["attack"]
    return norm_of(attack["kind"], attack.get("options", {}))


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


CHECK = "seen_in_training"

# Exact copies that a published test set shares with its own training set.
_KNOWN_COPIES = {"cifar100": 10}


def count_seen(images, training_images):
    """Returns how many of `images` are also in `training_images`, pixel by pixel.

    Args:
        images, training_images: uint8 [N, H, W, C] and [M, H, W, C].

    Raises:
        ValueError: if one of them is not like that.
    """
    for name, array in (("images", images), ("training_images", training_images)):
        if array.dtype != np.uint8 or array.ndim != 4:
            raise ValueError(
                f"`{name}` must be uint8 with shape [num_images, height, width, channels]; "
                f"received {array.dtype} with shape {array.shape}."
            )
    if images.shape[1:] != training_images.shape[1:]:
        return 0
    seen = _hashes(training_images)
    return sum(_hash(image) in seen for image in images)


def explain_overlap(test, training):
    """Returns why an evaluation on `test` says little after training on `training`.

    Args:
        test, training: `ascl_tf.data.image_dataset.ImageDataset`s.

    Returns:
        One line, or an empty text if they share no image.
    """
    num_seen = count_seen(test.images, training.images)
    if not num_seen:
        return ""
    known = _KNOWN_COPIES.get(test.name.partition(":")[0].partition("/")[0], 0)
    line = (
        f"{num_seen} of {len(test.images)} test images are also among the {len(training.images)} "
        f"training images of {training.name}"
    )
    if 0 < num_seen <= known:
        return (
            f"{line}: {test.name} itself holds {known} such copies, which all numbers on it share "
            "(of near copies, which nothing here finds, it holds 10 %: arXiv:1902.00423)"
        )
    return f"{line}: a model trained on them may have memorized them"


def _hashes(images):
    return {_hash(image) for image in images}


def _hash(image):
    return hashlib.sha256(np.ascontiguousarray(image)).digest()
