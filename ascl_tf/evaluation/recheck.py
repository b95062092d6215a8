"""What an attack returns is measured again here before it is believed."""

from typing import NamedTuple

import tensorflow as tf

from ascl_tf.errors import RunError

# float32 arithmetic on pixels in [0, 1] is exact to 6e-8; more than this is a broken attack.
PERTURBATION_TOLERANCE = 1e-6


class Report(NamedTuple):
    """What is measured again on a batch that an attack returned."""

    is_correct: tf.Tensor
    is_finite: tf.Tensor
    max_perturbation: tf.Tensor
    lowest: tf.Tensor
    highest: tf.Tensor
    logits_are_finite: tf.Tensor


def measure(logits_fn, images, adversarial_images, labels):
    """Returns a `Report` on a batch that an attack returned (graph-safe)."""
    logits = logits_fn(adversarial_images)
    predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
    return Report(
        is_correct=tf.equal(predictions, labels),
        is_finite=tf.reduce_all(tf.math.is_finite(adversarial_images)),
        max_perturbation=tf.reduce_max(tf.abs(adversarial_images - images)),
        lowest=tf.reduce_min(adversarial_images),
        highest=tf.reduce_max(adversarial_images),
        logits_are_finite=tf.reduce_all(tf.math.is_finite(logits)),
    )


def recheck(report, protocol):
    """Raises unless the images of a `Report` are in ball and box, and everything is finite.

    Raises:
        RunError: naming the protocol, what was expected and what was found.
    """
    name = protocol.name
    if not report.is_finite:
        raise RunError(f"protocol {name}: expected finite images; the attack returned NaN.")
    limit = float(protocol.epsilon) + PERTURBATION_TOLERANCE
    if report.max_perturbation > limit:
        raise RunError(
            f"protocol {name}: expected |perturbation| <= {protocol.epsilon.text}; "
            f"the attack returned {float(report.max_perturbation):.8f} (limit {limit:.8f})."
        )
    lowest, highest = float(report.lowest), float(report.highest)
    if lowest < -PERTURBATION_TOLERANCE or highest > 1 + PERTURBATION_TOLERANCE:
        raise RunError(
            f"protocol {name}: expected images in [0, 1]; "
            f"the attack returned values from {lowest:g} to {highest:g}."
        )
    if not report.logits_are_finite:
        raise RunError(f"protocol {name}: expected finite logits; the model returned NaN or inf.")
