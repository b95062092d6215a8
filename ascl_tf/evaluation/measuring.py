"""What a measurement of several numbers stands on: one clean pass, and batches to attack.

A sweep or a transfer matrix measures one model under many attacks. Which images are right
without attack, what is suspicious about the model, and what a record says of both are
found once, by protocol `standard`; the batches carry the same random numbers as those of
`evaluate_robustness`, so that equal attacks give equal numbers.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.evaluation.batches import attack_seed, padded_batches
from ascl_tf.evaluation.inputs import EvaluationData, as_evaluation_data
from ascl_tf.evaluation.robustness import as_compiled, evaluate_robustness


class CleanPass(NamedTuple):
    """A model without attack.

    Attributes:
        logits_fn: images -> logits, float32, always with a gradient.
        data: the images and labels that count.
        is_right: bool [N], which images are classified correctly.
        record: the record of protocol `standard`.
        batch_size: Python int, at most N.
        seed: Python int.
    """

    logits_fn: object
    data: EvaluationData
    is_right: np.ndarray
    record: dict
    batch_size: int
    seed: int


class Batch(NamedTuple):
    """One padded batch: all have the same shape, so that one trace serves them.

    Attributes:
        rows: int [num_real], places in the data set; what is computed for the images after
            the first `num_real` is thrown away.
        images: float32 [B, H, W, C] in [0, 1].
        labels: int32 [B].
        seeds: int32 [B, 2], one pair per image.
    """

    rows: np.ndarray
    images: tf.Tensor
    labels: tf.Tensor
    seeds: tf.Tensor


def clean_pass(
    logits_fn, dataset, *, batch_size, seed, num_images=None, progress=None, model_sha256=None
):
    """Returns the `CleanPass` of a model; arguments and errors as `evaluate_robustness`."""
    attacks = as_compiled(logits_fn)
    data = as_evaluation_data(dataset, num_images=num_images)
    (record,) = evaluate_robustness(
        attacks,
        data,
        "standard",
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        model_sha256=model_sha256,
        per_image=True,
    )
    is_right = np.array(record.pop("per_image")["standard"], bool)
    return CleanPass(
        attacks.logits_fn, data, is_right, record, min(batch_size, len(is_right)), seed
    )


def batches(clean, rows, *, restart=0):
    """Yields a `Batch` for every `batch_size` of `rows` (int [M], places in the data set)."""
    seed = attack_seed(clean.seed, restart)
    for padded, num_real in padded_batches(rows, clean.batch_size):
        images, labels = (tf.constant(part) for part in clean.data.rows(padded))
        seeds = randomness.position_seeds(seed, tf.constant(padded, tf.int32))
        yield Batch(padded[:num_real], images, labels, seeds)


def attacked_record(clean, protocol, is_robust, *, wall_seconds, **fields):
    """Returns a record like those of `evaluate_robustness`, without findings of checks.

    Args:
        clean: the `CleanPass` of the attacked model.
        protocol: the attack, a `Protocol`.
        is_robust: bool [N]; only images that are right without attack may be.
        wall_seconds: time of the attack.
        **fields: what else the record says.
    """
    # How far the images moved was measured without attack there.
    kept = {name: value for name, value in clean.record.items() if name != "max_perturbation"}
    return kept | {
        "protocol": protocol.name,
        "attack": protocol.settings(),
        "epsilon": protocol.epsilon.text,
        "robust_accuracy": percent(is_robust),
        "wall_seconds": wall_seconds,
        "checks": [],
        **fields,
    }


def percent(is_counted):
    """Returns how many of `is_counted` (bool [N]) hold, in percent."""
    return 100.0 * float(np.mean(is_counted))
