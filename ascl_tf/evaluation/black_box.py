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

from ascl_tf.evaluation import checks, measuring
from ascl_tf.evaluation.attack_kinds import ATTACKS
from ascl_tf.evaluation.inputs import as_evaluation_data
from ascl_tf.evaluation.protocols import Protocol, get_protocol
from ascl_tf.evaluation.recheck import measure, recheck
from ascl_tf.evaluation.robustness import as_compiled


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
    clean = {
        label: measuring.clean_pass(
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
    judges = {label: _make_judge(clean[label].logits_fn) for label in targets}
    for source in sources:
        attacked = {t: judges[t] for t in targets if diagonal or t != source}
        for target, outcome in _attack_all(clean[source], attack, attacked, source, progress):
            pairs[target, source] = _record(clean, attack, target, source, outcome)
        found = _in_order(pairs, targets, sources)
        if found and on_records is not None:
            on_records(found)
    return found


def matrix_of(records, field="robust_accuracy"):
    """Returns the numbers of `transfer_matrix` as a table.

    Args:
        records: as `transfer_matrix` returns them.
        field: which number of a record.

    Returns:
        Dictionary with `targets` (labels of the rows), `sources` (labels of the columns)
        and `values`, a list per target; None where a model would meet its own examples.
    """
    targets = list(dict.fromkeys(record["target"] for record in records))
    sources = list(dict.fromkeys(record["source"] for record in records))
    # Columns in the order of the rows: without a diagonal, the first row lacks one.
    sources.sort(key=lambda s: targets.index(s) if s in targets else len(targets))
    found = {
        (record["target"], record["source"]): record[field]
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


def _attack_all(clean, attack, judges, source, progress):
    """Returns (target, outcome) pairs: who is right on the examples made on one source."""
    if not judges:
        return []
    num_images = len(clean.is_right)
    craft = _make_craft(clean.logits_fn, attack)
    seconds, craft_seconds = dict.fromkeys(judges, 0.0), 0.0
    is_right = {target: np.ones(num_images, bool) for target in judges}
    num_done, num_to_do = 0, num_images * attack.num_restarts
    for restart in range(attack.num_restarts):
        for batch in measuring.batches(clean, np.arange(num_images), restart=restart):
            began = time.perf_counter()
            adversarial_images = craft(batch.images, batch.labels, batch.seeds)
            # A device may still be at work; what it does belongs to this time.
            np.asarray(adversarial_images[:1])
            craft_seconds += time.perf_counter() - began
            for target, judge in judges.items():
                began = time.perf_counter()
                report = judge(batch.images, adversarial_images, batch.labels)
                recheck(report, attack)
                is_right[target][batch.rows] &= report.is_correct.numpy()[: len(batch.rows)]
                seconds[target] += time.perf_counter() - began
            num_done += len(batch.rows)
            if progress is not None:
                progress(f"{attack.name}: made on {source}", num_done, num_to_do)
    return [(t, (is_right[t], craft_seconds + seconds[t])) for t in judges]


def _make_craft(logits_fn, attack):
    kind = ATTACKS[attack.kind]

    def craft(images, labels, seeds):
        return kind.attack(logits_fn, images, labels, attack, seeds)

    return tf.function(craft, autograph=False) if kind.in_graph else craft


def _make_judge(logits_fn):
    @tf.function(autograph=False)
    def judge(images, adversarial_images, labels):
        return measure(logits_fn, images, adversarial_images, labels)

    return judge


def _record(clean, attack, target, source, outcome):
    is_right, wall_seconds = outcome
    record = measuring.attacked_record(
        clean[target],
        attack,
        clean[target].is_right & is_right,
        wall_seconds=wall_seconds,
        transferred_accuracy=measuring.percent(is_right),
        target=target,
        source=source,
        source_model_sha256=clean[source].record["model_sha256"],
    )
    # Examples of a source whose gradient vanishes show nothing about the target.
    of_source = {
        f"source_{check['name']}": f"source {source}: {check['message']}"
        for check in clean[source].record["checks"]
        if source != target
    }
    of_target = checks.model_outcomes(clean[target].record)
    (record,) = checks.attach([record], of_target | of_source)
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
    return dataclasses.replace(chosen, name=f"transfer_{chosen.name}")


def makes_examples(protocol):
    """Returns whether a `Protocol` attacks batch by batch, so that its examples can be reused."""
    kind = ATTACKS.get(protocol.kind)
    return kind is not None and not kind.whole_set and protocol.kind != "none"


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
    images = tf.constant(data.rows(slice(1))[0])
    counts = {label: int(model.logits_fn(images).shape[1]) for label, model in attacks.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{label} {count}" for label, count in counts.items())
        raise ValueError(f"`models` must have the same number of classes; received {found}.")


def _renamed(progress, name):
    if progress is None:
        return None
    return lambda _, num_done, num_to_do: progress(name, num_done, num_to_do)
