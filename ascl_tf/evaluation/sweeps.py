"""Robust accuracy as a curve: over the number of PGD steps, and over the radius.

    records = sweep_steps(classifier, test_set)                     # 101 points, one pass
    records = sweep_epsilons(classifier, test_set)                  # 0, 2/255, ..., 32/255

Every point is the number that a protocol like `pgd20` with these settings gives: the same
images are attacked, from the same starts. The paper's Figure 6.
"""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.attacks.arguments import check_integer
from ascl_tf.evaluation.batch_attacks import report_on
from ascl_tf.evaluation.measurement import Measurement, Outcome, counter
from ascl_tf.evaluation.protocols import SWEEP_EPSILON, SWEEP_STEPS, get_protocol

# 0 to 32/255 in steps of 2/255, as they are written in records.
DEFAULT_EPSILONS = ("0", *(f"{level}/255" for level in range(2, 33, 2)))


def sweep_steps(
    logits_fn,
    dataset,
    *,
    num_steps=100,
    epsilon="8/255",
    step_size="2/255",
    batch_size=250,
    seed=0,
    num_images=None,
    progress=None,
    model_sha256=None,
    on_records=None,
):
    """Returns one record for each number of PGD steps from 0 to `num_steps`.

    One pass of `num_steps` steps gives them all: the k-th iterate of a long attack is the
    result of one with k steps. An image counts at k if it is classified correctly without
    attack and at the k-th iterate; at 0 it is the clean image, not the random start. What
    the gradient of a step computes anyway says whether the image is still right there, so
    that beside the pass without attack there is one forward pass more than there are steps.

    Args:
        logits_fn, dataset, batch_size, seed, num_images, progress, model_sha256: as
            `evaluate_robustness`.
        on_records: callable that receives what is returned; None for none.
        num_steps: Python int >= 1.
        epsilon: radius of the l-infinity ball in pixel units, text or number.
        step_size: length of one step, same unit; may exceed the ball.

    Returns:
        List of `num_steps` + 1 records with protocol `sweep_steps`; how many steps stands
        in `attack`. `wall_seconds` of each is that of the whole pass.

    Raises:
        ValueError: if an argument is not as above.
        RunError: as `evaluate_robustness`.
    """
    check_integer("num_steps", num_steps, 1)
    longest = _protocol(SWEEP_STEPS, epsilon, step_size, num_steps)
    measurement = Measurement.of(
        logits_fn,
        dataset,
        batch_size=batch_size,
        seed=seed,
        num_images=num_images,
        progress=progress,
        model_sha256=model_sha256,
    )
    began = time.perf_counter()
    is_robust = _follow_steps(measurement, longest)
    wall_seconds = time.perf_counter() - began
    points = [
        measurement.record(_shortened(longest, k), Outcome(is_robust[k], wall_seconds))
        for k in range(num_steps + 1)
    ]
    return measurement.collect([points], on_records)


def sweep_epsilons(
    logits_fn,
    dataset,
    *,
    epsilons=DEFAULT_EPSILONS,
    num_steps=20,
    step_size="2/255",
    batch_size=250,
    seed=0,
    num_images=None,
    progress=None,
    model_sha256=None,
    on_records=None,
):
    """Returns one record for each radius of the l-infinity ball.

    One compiled attack serves all radii. Each is attacked by itself: an image that is lost
    at a small radius is attacked again at a larger one, so that an attack that gets lost in
    the larger ball shows (check `larger_radius_weaker`).

    Args:
        logits_fn, dataset, batch_size, seed, num_images, progress, model_sha256, on_records: as
            `evaluate_robustness`; a radius takes the place of a protocol.
        epsilons: radii in pixel units, text or numbers, each once. 0 is the clean image.
        num_steps: Python int >= 1.
        step_size: length of one step, same unit; the same for all radii, so that it may
            exceed a small ball, where PGD then goes from wall to wall.

    Returns:
        List of records with protocol `sweep_epsilon`, in the order of `epsilons`.

    Raises:
        ValueError: if an argument is not as above.
        RunError: as `evaluate_robustness`.
    """
    check_integer("num_steps", num_steps, 1)
    protocols = [_protocol(SWEEP_EPSILON, epsilon, step_size, num_steps) for epsilon in epsilons]
    radii = {float(protocol.epsilon) for protocol in protocols}
    if not protocols or len(radii) < len(protocols):
        written = ", ".join(protocol.epsilon.text for protocol in protocols) or "none"
        raise ValueError(f"`epsilons` must be one or more different radii; received {written}.")
    measurement = Measurement.of(
        logits_fn,
        dataset,
        batch_size=batch_size,
        seed=seed,
        num_images=num_images,
        progress=progress,
        model_sha256=model_sha256,
    )
    attack = _make_radius_attack(measurement.attacks.logits_fn, protocols[0])
    points = ([_at_radius(measurement, protocol, attack)] for protocol in protocols)
    return measurement.collect(points, on_records)


def _protocol(name, epsilon, step_size, num_steps):
    """Returns protocol `pgd20` under another name and with these numbers."""
    return dataclasses.replace(
        get_protocol("pgd20"),
        name=name,
        epsilon=epsilon,
        step_size=step_size,
        num_steps=num_steps,
    )


def _shortened(protocol, num_steps):
    # Without a step there is no start either: what counts there is the clean image.
    return dataclasses.replace(protocol, num_steps=num_steps, random_start=num_steps > 0)


def _follow_steps(measurement, protocol):
    """Returns bool [num_steps + 1, N]: which images are right without attack and after k steps."""
    attack_batch = _make_step_attack(measurement.attacks.logits_fn, protocol)
    is_clean = measurement.clean.is_robust
    is_robust = np.zeros((protocol.num_steps + 1, len(is_clean)), bool)
    is_robust[0] = is_clean
    rows = np.flatnonzero(is_clean)
    advance = counter(measurement.progress, protocol.name, len(rows))
    for batch in measurement.batches(rows):
        is_right, report = attack_batch(batch.images, batch.labels, batch.seeds)
        report.verify(protocol)
        is_robust[1:, batch.rows] = is_right.numpy()[:, : len(batch.rows)]
        advance(len(batch.rows))
    return is_robust


def _make_step_attack(logits_fn, protocol):
    @tf.function(autograph=False)
    def attack_batch(images, labels, seeds):
        def watched_cross_entropy(perturbed):
            logits = logits_fn(perturbed)
            values = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            return values, tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)

        adversarial_images, is_right = _pgd(
            watched_cross_entropy,
            images,
            seeds,
            protocol,
            epsilon=float(protocol.epsilon),
            observation_dtype=tf.bool,
        )
        report = report_on(logits_fn, images, adversarial_images, labels)
        # The first that was observed is the random start, after no step.
        return tf.concat([is_right[1:], report.is_correct[None]], axis=0), report

    return attack_batch


def _make_radius_attack(logits_fn, protocol):
    @tf.function(autograph=False)
    def attack_batch(images, labels, seeds, epsilon):
        def cross_entropy(perturbed):
            return tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=logits_fn(perturbed)
            )

        adversarial_images = _pgd(cross_entropy, images, seeds, protocol, epsilon=epsilon)
        return report_on(logits_fn, images, adversarial_images, labels)

    return attack_batch


def _pgd(objective, images, seeds, protocol, **settings):
    return linf_pgd(
        objective,
        images,
        step_size=float(protocol.step_size),
        num_steps=protocol.num_steps,
        random_start=protocol.random_start,
        seed=seeds,
        **settings,
    )


def _at_radius(measurement, protocol, attack):
    # A tensor, not a number: a number would be traced again for each radius.
    epsilon = tf.constant(float(protocol.epsilon), tf.float32)
    outcome = measurement.survivors(
        protocol,
        measurement.clean.is_robust,
        attack=lambda *batch: attack(*batch, epsilon),
        name=f"{protocol.name} {protocol.epsilon.text}",
    )
    return measurement.record(protocol, outcome)
