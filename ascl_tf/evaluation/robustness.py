"""Robust accuracy of any classifier under named protocols.

    records = evaluate_robustness(classifier, test_set, ["standard", "pgd20"])

The worst case counts, image by image, over restarts and over the clean image;
every image of the data set counts; and what an attack returns is measured again
here before it is believed.
"""

import dataclasses
import json
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks.arguments import check_integer
from ascl_tf.attacks.autoattack_versions import VERSIONS
from ascl_tf.attacks.logits import make_logits_function
from ascl_tf.evaluation import checks, records
from ascl_tf.evaluation.attack_kinds import ATTACKS
from ascl_tf.evaluation.batches import attack_seed, padded_batches
from ascl_tf.evaluation.ensembles import EnsembleOptions
from ascl_tf.evaluation.inputs import as_evaluation_data, check_labels_fit
from ascl_tf.evaluation.protocols import STANDARD, Protocol, get_protocol
from ascl_tf.evaluation.recheck import measure, recheck


class _Evaluation(NamedTuple):
    """What stays the same while the protocols change."""

    attacks: "CompiledAttacks"
    data: object
    batch_size: int
    seed: int
    progress: object
    model_sha256: str | None
    ensemble_options: EnsembleOptions


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
        """Returns the function (images, labels, positions, seed) -> report of a protocol."""
        key = json.dumps([protocol.name, protocol.settings()], sort_keys=True)
        if key not in self._traced:
            self._traced[key] = _make_attack_batch(self.logits_fn, protocol)
        return self._traced[key]


def as_compiled(logits_fn):
    """Returns the `CompiledAttacks` of a classifier, or `logits_fn` if it is that already."""
    return logits_fn if isinstance(logits_fn, CompiledAttacks) else CompiledAttacks(logits_fn)


def evaluate_robustness(
    logits_fn,
    dataset,
    protocols,
    *,
    num_classes=None,
    batch_size=250,
    seed=0,
    num_images=None,
    progress=None,
    model_sha256=None,
    per_image=False,
    ensemble_options=None,
    on_records=None,
):
    """Returns one record for each protocol.

    An image is robust under a protocol if it is classified correctly without
    attack and after each of the protocol's attacks. Attacks start from numbers that
    belong to (seed, restart, place in the data set), so `batch_size` changes time and
    memory, and numbers by rounding at most. Images already lost are not attacked again.

    Args:
        logits_fn: any callable from images [B, H, W, C] float32 in [0, 1] to logits
            [B, num_classes]: a Keras model, a SavedModel signature, a function. Or
            `CompiledAttacks` of one, which keeps its traces from call to call.
        dataset: as `ascl_tf.data.load_dataset` gives it, or a pair (images, labels):
            images uint8, or float in [0, 1]; labels int.
        protocols: a name of `PROTOCOLS`, a `Protocol`, or a list of these.
        num_classes: how many classes the logits must have; None takes what comes.
        batch_size: images per attack; the last batch is padded, and masked.
        seed: Python int.
        num_images: how many images from the start of the data set; None for all.
        progress: callable (protocol name, images done, images to do), or None. AutoAttack
            calls it for each of its attacks, with `note=` what is left so far.
        model_sha256: what the records shall say; None hashes a Keras model's weights.
        per_image: whether the records also hold a 0 or 1 for each image.
        ensemble_options: `EnsembleOptions`, where AutoAttack keeps its state and images.
        on_records: callable that receives the records so far whenever a protocol is done, and
            so all that are returned, too; None for none.

    Returns:
        List of dictionaries that JSON can hold. Accuracies are percent of all
        images. `wall_seconds` is the time of that protocol's attacks alone, the
        first trace included.

    Raises:
        ValueError: if an argument is not as above.
        RunError: if an attack leaves ball or box, or if images or logits stop
            being finite.
    """
    chosen = _as_protocols(protocols)
    data = as_evaluation_data(dataset, num_images=num_images)
    check_integer("batch_size", batch_size, 1)
    check_integer("seed", seed, -(2**31), 2**31 - 1)
    attacks = as_compiled(logits_fn)
    _check_classes(attacks.logits_fn, data, num_classes, chosen)
    if model_sha256 is None and hasattr(attacks.classifier, "get_weights"):
        model_sha256 = records.weights_sha256(attacks.classifier)
    run = _Evaluation(
        attacks,
        data,
        min(batch_size, len(data.labels)),
        seed,
        progress,
        model_sha256,
        ensemble_options or EnsembleOptions(),
    )
    of_model = checks.check_model(
        attacks.classifier, data.images, data.labels, num_classes=data.num_classes
    )
    constant = {
        "data_set": data.name,
        "data_sha256": data.sha256,
        "model_sha256": model_sha256,
        "num_images": len(data.labels),
        "seed": seed,
        "versions": records.environment_versions(),
    }
    measured, attached = [], []
    for result in _run_protocols(run, chosen, per_image):
        measured.append(constant | result)
        # Each compares all that are there, so that those of before are looked at again.
        attached = checks.attach([dict(record) for record in measured], of_model)
        if on_records is not None:
            on_records(attached)
    return attached


def _run_protocols(run, chosen, per_image):
    everything = np.ones(len(run.data.labels), bool)
    standard = _survivors(run, STANDARD, everything)
    for protocol in chosen:
        outcome = standard
        if ATTACKS[protocol.kind].whole_set:
            outcome = ATTACKS[protocol.kind].attack(run, protocol)
        elif protocol.kind != "none":
            outcome = _survivors(run, protocol, standard["robust"])
        result = {
            "protocol": protocol.name,
            "attack": protocol.settings(),
            "epsilon": protocol.epsilon.text,
            "standard_accuracy": _percent(standard["robust"]),
            "robust_accuracy": _percent(outcome["robust"]),
            "max_perturbation": outcome["max_perturbation"],
            "wall_seconds": outcome["wall_seconds"],
            "checks": outcome.get("findings", []),
        }
        if "attacks" in outcome:
            result["attacks"] = outcome["attacks"]
            result["planned_attacks"] = _planned_attacks(protocol)
        if per_image:
            result["per_image"] = {
                "standard": standard["robust"].astype(int).tolist(),
                "robust": outcome["robust"].astype(int).tolist(),
            }
        yield result


def _planned_attacks(protocol):
    """Returns every number of an ensemble, which its version alone names."""
    version = protocol.options.get("version", "standard")
    return [dataclasses.asdict(attack) for attack in VERSIONS[version]]


def _survivors(run, protocol, candidates):
    """Attacks `candidates` (bool [N]) and says which are still classified correctly."""
    began = time.perf_counter()
    attack_batch = run.attacks.attack(protocol)
    robust, max_perturbation = candidates.copy(), 0.0
    num_done, num_to_do = 0, int(candidates.sum()) * protocol.num_restarts
    for restart in range(protocol.num_restarts):
        seed = attack_seed(run.seed, restart)
        for rows, num_real in padded_batches(np.flatnonzero(robust), run.batch_size):
            images, labels = (tf.constant(part) for part in run.data.rows(rows))
            report = attack_batch(images, labels, tf.constant(rows, tf.int32), seed)
            recheck(report, protocol)
            robust[rows[:num_real]] = report.is_correct.numpy()[:num_real]
            max_perturbation = max(max_perturbation, float(report.max_perturbation))
            num_done += num_real
            if run.progress is not None:
                run.progress(protocol.name, num_done, num_to_do)
    return {
        "robust": robust,
        "max_perturbation": max_perturbation,
        "wall_seconds": time.perf_counter() - began,
    }


def _make_attack_batch(logits_fn, protocol):
    kind = ATTACKS[protocol.kind]

    def attack_batch(images, labels, positions, seed):
        seeds = randomness.position_seeds(seed, positions)
        adversarial_images = kind.attack(logits_fn, images, labels, protocol, seeds)
        return measure(logits_fn, images, adversarial_images, labels)

    return tf.function(attack_batch, autograph=False) if kind.in_graph else attack_batch


def _check_classes(logits_fn, data, num_classes, chosen):
    images, _ = data.rows(slice(1))
    received = logits_fn(tf.constant(images)).shape[1]
    if num_classes is not None and received != num_classes:
        raise ValueError(
            f"`logits_fn` must return {num_classes} logits per image; received {received}."
        )
    check_labels_fit(data.labels, received)
    if received < 2 and any(ATTACKS[protocol.kind].whole_set for protocol in chosen):
        raise ValueError(f"`logits_fn` must return two or more logits; received {received}.")


def _as_protocols(chosen):
    if isinstance(chosen, (str, Protocol)):
        chosen = [chosen]
    if not isinstance(chosen, Iterable):
        raise ValueError(
            "`protocols` must be a name, a `Protocol`, or a list of these; "
            f"received {type(chosen).__name__}."
        )
    found = [item if isinstance(item, Protocol) else get_protocol(item) for item in chosen]
    if not found:
        raise ValueError("`protocols` must name at least one protocol; received none.")
    for protocol in found:
        if protocol.kind not in ATTACKS:
            raise ValueError(
                f"`kind` of protocol {protocol.name!r} must be one of "
                f"{', '.join(ATTACKS)}; received {protocol.kind!r}."
            )
    return found


def _percent(is_counted):
    return 100.0 * float(np.mean(is_counted))
