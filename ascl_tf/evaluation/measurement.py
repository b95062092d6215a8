"""What every number of a model stands on: data, batches, a pass without attack, a record.

Robust accuracies, sweeps, transfer matrices, corruptions and AutoAttack all begin with a
`Measurement`. Their batches carry the same random numbers, so that equal attacks give equal
numbers.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks.arguments import check_integer
from ascl_tf.attacks.autoattack_run import percent
from ascl_tf.evaluation import checks, records
from ascl_tf.evaluation.batch_attacks import CompiledAttacks, as_compiled
from ascl_tf.evaluation.evaluation_data import (
    EvaluationData,
    as_evaluation_data,
    check_labels_fit,
    padded_batches,
)
from ascl_tf.evaluation.protocols import STANDARD, Protocol
from ascl_tf.evaluation.records import Record
from ascl_tf.evaluation.verdicts import pack

# Keeps the draws of evaluation apart from those of training with the same seed.
_RANDOM_STREAM = 0x5EED


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


class Outcome(NamedTuple):
    """What an attack has left.

    Attributes:
        is_robust: bool [N], which images are classified correctly.
        wall_seconds: time of the attack.
        max_perturbation: the longest perturbation in the protocol's norm; None where nobody
            looked.
        findings: what the attack itself found suspicious, dictionaries with `name` and `message`.
    """

    is_robust: np.ndarray
    wall_seconds: float
    max_perturbation: float | None = None
    findings: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One model on one data set; made by `Measurement.of`.

    Attributes:
        attacks: `CompiledAttacks` of the model.
        data: the images and labels that count.
        batch_size: Python int, at most N.
        seed: Python int.
        progress: callable (name, images done, images to do), or None.
        num_logits: how many classes the model tells apart.
        of_model: what `checks.check_model` found.
        shared: what all records of the model say.
        clean: `Outcome` without attack.
    """

    attacks: CompiledAttacks
    data: EvaluationData
    batch_size: int
    seed: int
    progress: Callable[..., None] | None
    num_logits: int
    of_model: dict[str, str]
    shared: dict[str, Any]
    clean: Outcome = None  # type: ignore[assignment]  # `of` measures it last.

    @classmethod
    def of(
        cls,
        logits_fn: Callable[..., Any] | CompiledAttacks,
        dataset: Any,
        *,
        batch_size: int,
        seed: int,
        num_images: int | None = None,
        progress: Callable[..., None] | None = None,
        model_sha256: str | None = None,
        num_classes: int | None = None,
    ) -> "Measurement":
        """Returns a `Measurement` after the checks of the model and a pass without attack.

        Arguments and errors as `evaluate_robustness`.
        """
        data = as_evaluation_data(dataset, num_images=num_images)
        check_integer("batch_size", batch_size, 1)
        check_integer("seed", seed, -(2**31), 2**31 - 1)
        if hasattr(logits_fn, "feature_dim"):
            raise ValueError(
                "`logits_fn` must return logits, as what `ascl_tf.finetune` returns; received an "
                "encoder, which returns features."
            )
        attacks = as_compiled(logits_fn)
        num_logits = _checked_logits(attacks, data, num_classes)
        bare = cls(
            attacks,
            data,
            min(batch_size, len(data.labels)),
            seed,
            progress,
            num_logits,
            checks.check_model(
                attacks.classifier, data.images, data.labels, num_classes=data.num_classes
            ),
            _shared_fields(attacks.classifier, data, seed, model_sha256),
        )
        everything = np.ones(len(data.labels), bool)
        return dataclasses.replace(bare, clean=bare.survivors(STANDARD, everything))

    def batches(self, rows: np.ndarray, *, restart: int = 0) -> Iterator[Batch]:
        """Yields a `Batch` for every `batch_size` of `rows` (int [M], places in the data set)."""
        seed = randomness.fold_in(tf.constant([self.seed, _RANDOM_STREAM], tf.int32), restart)
        for padded, num_real in padded_batches(rows, self.batch_size):
            images, labels = (tf.constant(part) for part in self.data.rows(padded))
            seeds = randomness.position_seeds(seed, tf.constant(padded, tf.int32))
            yield Batch(padded[:num_real], images, labels, seeds)

    def survivors(
        self,
        protocol: Protocol,
        candidates: np.ndarray,
        *,
        attack: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> Outcome:
        """Attacks `candidates` (bool [N]); returns the `Outcome`, which are still right.

        Images already lost are not attacked by the next restart.

        Args:
            protocol: a `Protocol` that works batch by batch.
            candidates: as above.
            attack: callable (images, labels, seeds) -> `Report`; None compiles the protocol's.
            name: for `progress`; None: the protocol's.

        Raises:
            RunError: as `Report.verify`.
        """
        began = time.perf_counter()
        attack = attack or self.attacks.attack(protocol)
        is_robust, max_perturbation = candidates.copy(), 0.0
        num_to_do = int(candidates.sum()) * protocol.num_restarts
        advance = counter(self.progress, name or protocol.name, num_to_do)
        for restart in range(protocol.num_restarts):
            for batch in self.batches(np.flatnonzero(is_robust), restart=restart):
                report = attack(batch.images, batch.labels, batch.seeds)
                report.verify(protocol)
                is_robust[batch.rows] = report.is_correct.numpy()[: len(batch.rows)]
                max_perturbation = max(max_perturbation, float(report.max_perturbation))
                advance(len(batch.rows))
        return Outcome(is_robust, time.perf_counter() - began, max_perturbation)

    def record(self, protocol: Protocol, outcome: Outcome, **fields: Any) -> Record:
        """Returns the record of one number, whose `checks` are what the attack itself found.

        Args:
            protocol: the attack, a `Protocol`.
            outcome: what it has left.
            **fields: what else the record says.
        """
        if outcome.max_perturbation is not None:
            fields["max_perturbation"] = outcome.max_perturbation
        verdicts = {"robust": outcome.is_robust}
        if outcome is not self.clean:
            verdicts["standard"] = self.clean.is_robust
        return self.shared | {
            "protocol": protocol.name,
            "attack": protocol.settings(),
            "epsilon": protocol.epsilon.text,
            "standard_accuracy": percent(self.clean.is_robust),
            "robust_accuracy": percent(outcome.is_robust),
            "verdicts": {name: pack(flags) for name, flags in verdicts.items()},
            "wall_seconds": outcome.wall_seconds,
            "checks": list(outcome.findings),
            **fields,
        }

    def collect(
        self,
        parts: Iterable[list[Record]],
        on_records: Callable[[list[Record]], None] | None = None,
    ) -> list[Record]:
        """Returns all records with what the checks say of the model and of each number.

        Args:
            parts: iterable of lists of records, measured as it is gone through.
            on_records: callable that receives the records so far after each part, or None.
        """
        measured, attached = [], []
        for part in parts:
            measured += part
            # Each compares all that are there, so that those of before are looked at again.
            attached = checks.attach([dict(record) for record in measured], self.of_model)
            if on_records is not None:
                on_records(attached)
        return attached


def counter(progress: Callable[..., None] | None, name: str, num_to_do: int) -> Callable[..., None]:
    """Returns a callable that adds images that are done, and tells `progress` (or None).

    It takes their number, and keywords for `progress`.
    """
    num_done = 0

    def advance(count: int, **note: Any) -> None:
        nonlocal num_done
        num_done += count
        if progress is not None:
            progress(name, num_done, num_to_do, **note)

    return advance


def _checked_logits(attacks: CompiledAttacks, data: EvaluationData, num_classes: int | None) -> int:
    received = attacks.num_logits(data.rows(slice(1))[0])
    if num_classes is not None and received != num_classes:
        raise ValueError(
            f"`logits_fn` must return {num_classes} logits per image; received {received}."
        )
    check_labels_fit(data.labels, received)
    return received


def _shared_fields(
    classifier: Any, data: EvaluationData, seed: int, model_sha256: str | None
) -> dict[str, Any]:
    if model_sha256 is None and hasattr(classifier, "get_weights"):
        model_sha256 = records.weights_sha256(classifier)
    return {
        "data_set": data.name,
        "data_sha256": data.sha256,
        "model_sha256": model_sha256,
        "num_images": len(data.labels),
        "seed": seed,
        "versions": records.environment_versions(),
    }
