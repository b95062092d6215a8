"""Robust accuracy against examples that were made on another model.

    records = transfer_matrix({"at": at_model, "ascl": ascl_model}, test_set)

The paper's Table 2. Rows are targets, the models that are attacked; columns are sources,
the models on which the examples are made. (The header of the printed table says the
opposite; the differences that the text takes from it only fit this reading.)
"""

import dataclasses
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.autoattack_run import percent
from ascl_tf.evaluation import checks
from ascl_tf.evaluation.batch_attacks import ATTACKS, adversarial, as_compiled, report_on
from ascl_tf.evaluation.evaluation_data import as_evaluation_data
from ascl_tf.evaluation.measurement import Measurement, Outcome, counter
from ascl_tf.evaluation.protocols import Protocol, get_protocol

# What the name of a protocol begins with in the records of a matrix.
TRANSFER = "transfer_"


def transfer_matrix(
    models,
    dataset,
    *,
    protocol="pgd20",
    sources=None,
    targets=None,
    diagonal=False,
    batch_size=250,
    seed=0,
    num_images=None,
    progress=None,
    model_sha256=None,
    on_records=None,
):
    """Returns one record for each pair of a target and a source.

    Examples are made once per source, for every image and with its true label (also where
    the source is wrong without attack), and shown to all targets. In a record:

        robust_accuracy: percent of all images that the target classifies correctly without
            attack and on each of the source's examples. An image that is wrong without
            attack counts as not robust, as everywhere here, so that a model against itself
            gives its white-box number, and this can be compared with it.
        transferred_accuracy: percent of all images that the target classifies correctly on
            the examples, whatever it says without attack: at least the former. The paper
            does not say which it prints; they differ by the images that an attack meant
            for another model puts right.

    Args:
        models: dictionary from label to any classifier that `evaluate_robustness` takes,
            or `CompiledAttacks` of one.
        dataset, batch_size, seed, num_images: as there.
        protocol: the attack on the source: a name of `PROTOCOLS`, or a `Protocol`; one that
            works batch by batch, so not AutoAttack.
        sources, targets: labels of `models`; None for all.
        diagonal: whether a model is also attacked by its own examples. A model that others'
            examples fool more often is then reported (check `black_box_stronger`).
        progress: callable (what is done, images done, images to do), or None.
        model_sha256: dictionary from label to what records shall say of a model; of those
            that it leaves out a Keras model's weights are hashed.
        on_records: callable that receives the records so far whenever the examples of a source
            are done, and so all that are returned, too; None for none.

    Returns:
        List of records, target by target, with `target`, `source`, `source_model_sha256` and
        the above; `protocol` is `transfer_` and the name of the attack. `wall_seconds` is the
        time in which the source's examples were made, plus that of this target on them.

    Raises:
        ValueError: if an argument is not as above, or if the models have different numbers
            of classes.
        RunError: as `evaluate_robustness`.
    """
    attack = _as_attack(protocol)
    if not isinstance(models, Mapping):
        raise ValueError(
            f"`models` must be a dictionary from label to model; received {type(models).__name__}."
        )
    sources, targets = _chosen(models, sources, "sources"), _chosen(models, targets, "targets")
    hashes = model_sha256 or {}
    attacks = {label: as_compiled(models[label]) for label in dict.fromkeys([*targets, *sources])}
    _check_classes(attacks, as_evaluation_data(dataset, num_images=1))
    measured = {
        label: Measurement.of(
            attacks[label],
            dataset,
            batch_size=batch_size,
            seed=seed,
            num_images=num_images,
            progress=_renamed(progress, f"standard: {label}"),
            model_sha256=hashes.get(label),
        )
        for label in attacks
    }
    pairs, found = {}, []
    reporters = {label: _make_reporter(attacks[label].logits_fn, attack.norm) for label in targets}
    for source in sources:
        attacked = {t: reporters[t] for t in targets if diagonal or t != source}
        for target, outcome in _attack_all(measured[source], attack, attacked, source, progress):
            pairs[target, source] = _record(measured, attack, target, source, outcome)
        found = _in_order(pairs, targets, sources)
        if found and on_records is not None:
            on_records(found)
    return found


def matrix_of(records):
    """Returns the robust accuracies in the records of `transfer_matrix` as a table.

    Returns:
        Dictionary with `targets` (labels of the rows), `sources` (labels of the columns)
        and `values`, a list per target; None where a model would meet its own examples.
    """
    targets = list(dict.fromkeys(record["target"] for record in records))
    sources = list(dict.fromkeys(record["source"] for record in records))
    # Columns in the order of the rows: without a diagonal, the first row lacks one.
    sources.sort(key=lambda s: targets.index(s) if s in targets else len(targets))
    found = {
        (record["target"], record["source"]): record["robust_accuracy"]
        for record in records
        if record["target"] != record["source"]
    }
    values = [[found.get((target, source)) for source in sources] for target in targets]
    return {"targets": targets, "sources": sources, "values": values}


def _in_order(pairs, targets, sources):
    """Returns copies of the records of `pairs`, target by target, compared with each other."""
    found = {(t, s): dict(pairs[t, s]) for t in targets for s in sources if (t, s) in pairs}
    _check_against_own_examples(found)
    return list(found.values())


def _attack_all(measurement, attack, reporters, source, progress):
    """Returns (target, outcome) pairs: who is right on the examples made on one source."""
    if not reporters:
        return []
    num_images = len(measurement.data.labels)
    make_examples = _make_example_maker(measurement.attacks.logits_fn, attack)
    seconds, making_seconds = dict.fromkeys(reporters, 0.0), 0.0
    is_right = {target: np.ones(num_images, bool) for target in reporters}
    advance = counter(
        progress, f"{attack.name}: made on {source}", num_images * attack.num_restarts
    )
    for restart in range(attack.num_restarts):
        for batch in measurement.batches(np.arange(num_images), restart=restart):
            began = time.perf_counter()
            examples = make_examples(batch.images, batch.labels, batch.seeds)
            # A device may still be at work; what it does belongs to this time.
            np.asarray(examples[:1])
            making_seconds += time.perf_counter() - began
            for target, report_batch in reporters.items():
                began = time.perf_counter()
                report = report_batch(batch.images, examples, batch.labels)
                report.verify(attack)
                is_right[target][batch.rows] &= report.is_correct.numpy()[: len(batch.rows)]
                seconds[target] += time.perf_counter() - began
            advance(len(batch.rows))
    return [(t, Outcome(is_right[t], making_seconds + seconds[t])) for t in reporters]


def _make_example_maker(logits_fn, attack):
    @tf.function(autograph=False)
    def make_examples(images, labels, seeds):
        return adversarial(logits_fn, images, labels, attack, seeds)

    return make_examples


def _make_reporter(logits_fn, norm):
    @tf.function(autograph=False)
    def report_batch(images, examples, labels):
        return report_on(logits_fn, images, examples, labels, norm)

    return report_batch


def _record(measured, attack, target, source, outcome):
    model = measured[target]
    record = model.record(
        attack,
        outcome._replace(is_robust=model.clean.is_robust & outcome.is_robust),
        transferred_accuracy=percent(outcome.is_robust),
        target=target,
        source=source,
        source_model_sha256=measured[source].shared["model_sha256"],
    )
    # Examples of a source whose gradient vanishes show nothing about the target.
    of_source = {
        f"source_{name}": f"source {source}: {message}"
        for name, message in measured[source].of_model.items()
        if message and source != target
    }
    (record,) = checks.attach([record], model.of_model | of_source)
    return record


def _check_against_own_examples(pairs):
    """Compares each record with the white-box number of its target, where that is known."""
    for (target, source), record in pairs.items():
        if source == target or (target, target) not in pairs:
            continue
        own, message = pairs[target, target]["robust_accuracy"], ""
        if record["robust_accuracy"] < own - checks.ACCURACY_TOLERANCE:
            message = (
                f"examples made on {source} fool {target} more often than its own "
                f"({record['robust_accuracy']:.2f} % right against {own:.2f} %): its gradients "
                "are masked; do not trust the higher number"
            )
        checks.add([record], "black_box_stronger", message)


def _as_attack(protocol):
    chosen = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    if not makes_examples(chosen):
        raise ValueError(
            "`protocol` must be an attack that works batch by batch, such as pgd20; "
            f"received {chosen.name!r}."
        )
    return dataclasses.replace(chosen, name=f"{TRANSFER}{chosen.name}")


def makes_examples(protocol):
    """Returns whether a `Protocol` attacks batch by batch, so that its examples can be reused."""
    return protocol.kind in ATTACKS and protocol.kind != "none"


def _chosen(models, labels, name):
    chosen = list(models if labels is None else labels)
    unknown = [label for label in chosen if label not in models]
    if unknown:
        raise ValueError(
            f"`{name}` must be labels of `models` ({', '.join(models)}); received {unknown[0]!r}."
        )
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"`{name}` must be one or more labels, each once; "
            f"received {', '.join(chosen) or 'none'}."
        )
    return chosen


def _check_classes(attacks, data):
    images, _ = data.rows(slice(1))
    counts = {label: model.num_logits(images) for label, model in attacks.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise ValueError(f"`models` must have the same number of classes; received {found}.")


def _renamed(progress, name):
    if progress is None:
        return None
    return lambda _, num_done, num_to_do: progress(name, num_done, num_to_do)
