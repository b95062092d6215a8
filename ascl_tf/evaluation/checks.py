"""Checks that tell a robust model from a broken measurement.

Some look at the model before it is attacked, some at the records afterwards.
Each has a name and explains itself; none stops the evaluation.
For the ideas behind them: Athalye et al. 2018, arXiv:1802.00420; Croce and Hein
2020, arXiv:2003.01690; Carlini et al. 2019, arXiv:1902.06705.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Two calls on the same images, or in other company, may differ by rounding only.
OUTPUT_TOLERANCE = 1e-3
# Softmax rows sum to 1 up to this, in any float type.
PROBABILITY_TOLERANCE = 1e-2
# A model may saturate on a few images; beyond this share the attack is blind.
MAX_ZERO_GRADIENT_SHARE = 0.05
# Random starts move robust accuracy; less than this many points proves nothing.
ACCURACY_TOLERANCE = 1.0


class Sample(NamedTuple):
    """What the checks of a model see: some test images and one answer for them."""

    logits_fn: object
    images: tf.Tensor
    labels: tf.Tensor
    logits: np.ndarray


def check_model(logits_fn, images, labels):
    """Returns what is suspicious about a model, before any attack.

    Args:
        logits_fn: callable images -> logits [B, num_classes].
        images: [B, H, W, C] float32 in [0, 1], a few dozen test images.
        labels: int [B].

    Returns:
        List of dictionaries with `name` and `message`; empty if all is well.
    """
    images = tf.convert_to_tensor(images, tf.float32)
    labels = tf.convert_to_tensor(labels, tf.int32)
    sample = Sample(logits_fn, images, labels, np.asarray(logits_fn(images)))
    return _findings((name, check(sample)) for name, check in MODEL_CHECKS.items())


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


def _random_output(sample):
    again = np.asarray(sample.logits_fn(sample.images))
    difference = _relative_difference(sample.logits, again)
    if difference > OUTPUT_TOLERANCE:
        return (
            f"two calls on the same images differ by {difference:.2g} of the largest logit: "
            "the model is random (dropout, noise), so one attack underestimates; "
            "use expectation over transformation or switch the randomness off"
        )


def _batch_dependent_output(sample):
    half = len(sample.logits) // 2
    company = tf.concat([sample.images[:half], 1.0 - sample.images[half:]], axis=0)
    difference = _relative_difference(
        sample.logits[:half], np.asarray(sample.logits_fn(company))[:half]
    )
    if difference > OUTPUT_TOLERANCE:
        return (
            f"the logits of an image change by {difference:.2g} of the largest logit when other "
            "images of its batch change: the model is in training mode; export it in inference mode"
        )


def _probabilities(sample):
    sums = sample.logits.sum(axis=1)
    in_range = sample.logits.min() >= 0 and sample.logits.max() <= 1
    if in_range and np.all(np.abs(sums - 1) < PROBABILITY_TOLERANCE):
        return (
            "every row of the output is in [0, 1] and sums to 1: these look like probabilities, "
            "not logits; a second softmax flattens the gradients that the attack follows"
        )


def _zero_gradients(sample):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sample.images)
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=sample.labels, logits=sample.logits_fn(sample.images)
        )
    gradient = tape.gradient(cross_entropy, sample.images)
    if gradient is None:
        gradient = tf.zeros_like(sample.images)
    is_zero = np.all(np.asarray(gradient) == 0, axis=(1, 2, 3))
    if is_zero.mean() > MAX_ZERO_GRADIENT_SHARE:
        return (
            f"the gradient of the cross-entropy is zero for {100 * is_zero.mean():.0f} % of "
            f"{len(is_zero)} images (at most {100 * MAX_ZERO_GRADIENT_SHARE:.0f} % expected): "
            "gradient attacks are blind there; use a gradient-free attack as well"
        )


def _relative_difference(first, second):
    if not first.size:
        return 0.0
    return float(np.max(np.abs(first - second)) / max(np.max(np.abs(first)), 1e-12))


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


MODEL_CHECKS = {
    "random_output": _random_output,
    "batch_dependent_output": _batch_dependent_output,
    "probabilities": _probabilities,
    "zero_gradients": _zero_gradients,
}
RECORD_CHECKS = {
    "robust_above_standard": _robust_above_standard,
    "fewer_steps_stronger": _fewer_steps_stronger,
    "larger_radius_weaker": _larger_radius_weaker,
}
