"""Attacks on one batch: from the `kind` of a protocol to a compiled function.

A new kind of attack is one entry in `ATTACKS`; its numbers go to `protocols.py`. What an
attack returns is measured again here before it is believed.
"""

import json
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import l2_pgd, linf_pgd, norms
from ascl_tf.attacks.logits import make_logits_function
from ascl_tf.errors import RunError
from ascl_tf.evaluation import reference_attacks

# float32 arithmetic on pixels in [0, 1] is exact to 6e-8; more than this is a broken attack. An l2
# length adds up the rounding of all pixels.
PERTURBATION_TOLERANCE = {"linf": 1e-6, "l2": 1e-5}


class Report(NamedTuple):
    """What is measured again on a batch that an attack returned."""

    is_correct: tf.Tensor
    is_finite: tf.Tensor
    max_perturbation: tf.Tensor
    lowest: tf.Tensor
    highest: tf.Tensor
    logits_are_finite: tf.Tensor

    def verify(self, protocol):
        """Raises unless the images are in ball and box, and everything is finite.

        Raises:
            RunError: naming the protocol, what was expected and what was found.
        """
        name = protocol.name
        if not self.is_finite:
            raise RunError(f"protocol {name}: expected finite images; the attack returned NaN.")
        limit = float(protocol.epsilon) + PERTURBATION_TOLERANCE[protocol.norm]
        if self.max_perturbation > limit:
            raise RunError(
                f"protocol {name}: expected |perturbation| <= {protocol.epsilon.text}; "
                f"the attack returned {float(self.max_perturbation):.8f} (limit {limit:.8f})."
            )
        lowest, highest = float(self.lowest), float(self.highest)
        tolerance = PERTURBATION_TOLERANCE["linf"]
        if lowest < -tolerance or highest > 1 + tolerance:
            raise RunError(
                f"protocol {name}: expected images in [0, 1]; "
                f"the attack returned values from {lowest:g} to {highest:g}."
            )
        if not self.logits_are_finite:
            raise RunError(
                f"protocol {name}: expected finite logits; the model returned NaN or inf."
            )


def report_on(logits_fn, images, adversarial_images, labels, norm="linf"):
    """Returns a `Report` on a batch that an attack in a ball of `norm` returned (graph-safe)."""
    logits = logits_fn(adversarial_images)
    predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
    return Report(
        is_correct=tf.equal(predictions, labels),
        is_finite=tf.reduce_all(tf.math.is_finite(adversarial_images)),
        max_perturbation=longest(adversarial_images - images, norm),
        lowest=tf.reduce_min(adversarial_images),
        highest=tf.reduce_max(adversarial_images),
        logits_are_finite=tf.reduce_all(tf.math.is_finite(logits)),
    )


def longest(perturbations, norm):
    """Returns the largest norm of the images of `perturbations`, a float32 scalar."""
    # The sum of an l2 length would lose more than the tolerance in float32.
    lengths = norms.lengths(tf.cast(perturbations, tf.float64), norm)
    return tf.cast(tf.reduce_max(lengths), tf.float32)


class CompiledAttacks:
    """One model as a logits function, with the attacks on it that have been traced.

    A model that trains on and is measured again needs no new trace: pass the same object
    in place of the model to every `evaluate_robustness`.

    Args:
        classifier: as `logits_fn` of `evaluate_robustness`.
    """

    def __init__(self, classifier):
        self.classifier = classifier
        self.logits_fn = make_logits_function(classifier)
        self._traced = {}

    def attack(self, protocol):
        """Returns the function (images, labels, seeds) -> `Report` of a protocol."""
        key = json.dumps(protocol.settings(), sort_keys=True)
        if key not in self._traced:
            self._traced[key] = self._make_attack(protocol)
        return self._traced[key]

    def num_logits(self, images: np.ndarray) -> int:
        """Returns how many classes the model tells apart; images float32 [B, H, W, C]."""
        return int(self.logits_fn(tf.constant(images)).shape[1])

    def _make_attack(self, protocol):
        @tf.function(autograph=False)
        def attack_batch(images, labels, seeds):
            adversarial_images = adversarial(self.logits_fn, images, labels, protocol, seeds)
            return report_on(self.logits_fn, images, adversarial_images, labels, protocol.norm)

        return attack_batch


def as_compiled(logits_fn):
    """Returns the `CompiledAttacks` of a classifier, or `logits_fn` if it is that already."""
    return logits_fn if isinstance(logits_fn, CompiledAttacks) else CompiledAttacks(logits_fn)


def adversarial(logits_fn, images, labels, protocol, seeds):
    """Returns what the attack of a protocol makes of a batch (graph-safe).

    Args:
        logits_fn: images -> logits, float32.
        images: float32 [B, H, W, C] in [0, 1].
        labels: int32 [B].
        protocol: a `Protocol` whose kind is a key of `ATTACKS`.
        seeds: int32 [B, 2].
    """
    return ATTACKS[protocol.kind](logits_fn, images, labels, protocol, seeds)


def _no_attack(logits_fn, images, labels, protocol, seeds):
    return images


def _make_pgd(pgd):
    def attack(logits_fn, images, labels, protocol, seeds):
        def cross_entropy(perturbed):
            return tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=logits_fn(perturbed)
            )

        return pgd(
            cross_entropy, images, random_start=protocol.random_start, **_steps(protocol, seeds)
        )

    return attack


def _make_cleverhans(kind):
    def attack(logits_fn, images, labels, protocol, seeds):
        return reference_attacks.cleverhans_attack(
            kind,
            logits_fn,
            images,
            labels,
            random_start=protocol.random_start,
            **_steps(protocol, seeds),
            **protocol.options,
        )

    return attack


def _steps(protocol, seeds):
    return {
        "epsilon": float(protocol.epsilon),
        "step_size": float(protocol.step_size),
        "num_steps": protocol.num_steps,
        "seed": seeds,
    }


ATTACKS = {
    "none": _no_attack,
    "linf_pgd": _make_pgd(linf_pgd),
    "l2_pgd": _make_pgd(l2_pgd),
    **{f"cleverhans_{kind}": _make_cleverhans(kind) for kind in reference_attacks.KINDS},
}
