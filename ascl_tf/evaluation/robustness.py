"""Robust accuracy of any classifier under named protocols.

    records = evaluate_robustness(classifier, test_set, ["standard", "pgd20"])

The worst case over restarts and the clean image counts, image by image. Every image of the
data set counts. The result of an attack is measured again here before it is believed.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ascl_tf.config import split_protocols
from ascl_tf.evaluation.autoattack_protocol import (
    AUTOATTACK,
    AutoAttackOptions,
    autoattack_outcome,
    check_states,
)
from ascl_tf.evaluation.batch_attacks import ATTACKS, CompiledAttacks
from ascl_tf.evaluation.measurement import Measurement
from ascl_tf.evaluation.per_class import PER_CLASS, accuracies_by_class
from ascl_tf.evaluation.protocols import Protocol, get_protocol
from ascl_tf.evaluation.records import Record


def evaluate_robustness(
    logits_fn: Callable[..., Any] | CompiledAttacks,
    dataset: Any,
    protocols: str | Protocol | Iterable[str | Protocol],
    *,
    num_classes: int | None = None,
    batch_size: int = 250,
    seed: int = 0,
    num_images: int | None = None,
    progress: Callable[..., None] | None = None,
    model_sha256: str | None = None,
    autoattack_options: AutoAttackOptions | None = None,
    on_records: Callable[[list[Record]], None] | None = None,
) -> list[Record]:
    """Returns one record for each protocol.

    An image is robust under a protocol if it is classified correctly without an attack and
    after each of the protocol's attacks. The random numbers of an attack depend only on (seed,
    restart, place in the data set), so `batch_size` affects time and memory, and numbers by
    rounding at most. Images that are already misclassified are not attacked again.

    Args:
        logits_fn: any callable from images [B, H, W, C] float32 in [0, 1] to logits
            [B, num_classes]: a Keras model, a SavedModel signature or a function. Or a
            `CompiledAttacks` of one, which keeps its traces between calls.
        dataset: the result of `ascl_tf.data.load_dataset`, or a pair (images, labels): images
            uint8, or float in [0, 1]; labels int.
        protocols: a name in `PROTOCOLS`, comma-separated names as in `--protocol`, a
            `Protocol`, or a list of these.
        num_classes: number of classes that the logits must have; None: any number.
        batch_size: images per attack. The last batch is padded and masked.
        seed: Python int.
        num_images: number of images to use, from the start of the data set; None: all.
        progress: callable (protocol name, images done, images to do), or None. AutoAttack
            calls it for each of its attacks, with `note=` on the images and accuracy left.
        model_sha256: hash of the model for the records; None: the hash of a Keras model's weights.
        autoattack_options: `AutoAttackOptions`: where AutoAttack keeps its state and images.
        on_records: callable that receives all records so far after each protocol, or None.

    Returns:
        List of dictionaries that can be written as JSON. Accuracies are in percent of all images.
        `verdicts` holds the verdict on each image, see `verdicts.verdicts_of`; `per_class` the
        accuracies of each class, see `per_class.accuracies_by_class`. `wall_seconds`
        is the time of that protocol's attacks alone, the first trace included.

    Raises:
        ValueError: if an argument does not fit the above.
        RunError: before anything is measured, if a state to resume is damaged or belongs to another
            evaluation; later, if an attack leaves the ball or the box, or if images or logits
            are no longer finite.

    Example:
        >>> import numpy as np
        >>> import tensorflow as tf
        >>> def logits_fn(images):
        ...     return tf.reduce_mean(images, axis=[1, 2])
        >>> near, far = np.full([2, 4, 4, 3], 0.2, np.float32)  # Of the boundary between classes.
        >>> near[..., 0], near[..., 1], far[..., 0] = 0.5, 0.49, 0.5
        >>> dataset = np.stack([near, far]), np.array([0, 0])
        >>> records = evaluate_robustness(logits_fn, dataset, ["standard", "fgsm"])
        >>> [(record["protocol"], record["robust_accuracy"]) for record in records]
        [('standard', 100.0), ('fgsm', 50.0)]
    """
    chosen = _as_protocols(protocols)
    measurement = Measurement.of(
        logits_fn,
        dataset,
        batch_size=batch_size,
        seed=seed,
        num_images=num_images,
        progress=progress,
        model_sha256=model_sha256,
        num_classes=num_classes,
    )
    if measurement.num_logits < 2 and any(protocol.kind == AUTOATTACK for protocol in chosen):
        raise ValueError(
            f"`logits_fn` must return two or more logits; received {measurement.num_logits}."
        )
    options = autoattack_options or AutoAttackOptions()
    # Refused now rather than after the protocols before.
    check_states(measurement, chosen, options)
    parts = ([_measure(measurement, protocol, options)] for protocol in chosen)
    return measurement.collect(parts, on_records)


def _measure(measurement: Measurement, protocol: Protocol, options: AutoAttackOptions) -> Record:
    """Returns the record of one protocol."""
    outcome, fields = measurement.clean, {}
    if protocol.kind == AUTOATTACK:
        outcome, fields = autoattack_outcome(measurement, protocol, options)
    elif protocol.kind != "none":
        outcome = measurement.survivors(protocol, measurement.clean.is_robust)
    data, clean = measurement.data, measurement.clean.is_robust
    fields[PER_CLASS] = accuracies_by_class(data.labels, clean, outcome.is_robust, data.class_names)
    return measurement.record(protocol, outcome, **fields)


def _names_in(item: Any) -> list[Any]:
    """Returns the comma-separated names in a string; anything else unchanged, in a list."""
    return split_protocols(item) if isinstance(item, str) else [item]


def _as_protocols(chosen: str | Protocol | Iterable[str | Protocol]) -> list[Protocol]:
    if isinstance(chosen, (str, Protocol)):
        chosen = [chosen]
    if not isinstance(chosen, Iterable):
        raise ValueError(
            "`protocols` must be a name, a `Protocol`, or a list of these; "
            f"received {type(chosen).__name__}."
        )
    names = [name for item in chosen for name in _names_in(item)]
    found = [item if isinstance(item, Protocol) else get_protocol(item) for item in names]
    if not found:
        raise ValueError("`protocols` must name at least one protocol; received none.")
    kinds = (*ATTACKS, AUTOATTACK)
    for protocol in found:
        if protocol.kind not in kinds:
            raise ValueError(
                f"`kind` of protocol {protocol.name!r} must be one of "
                f"{', '.join(kinds)}; received {protocol.kind!r}."
            )
    return found
