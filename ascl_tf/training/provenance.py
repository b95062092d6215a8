"""What a stage was trained on, and with what: the `spans` of its history.

A span is a stretch of steps with the same inputs (hashes of the images, the validation images,
the pseudo-labels, the encoder that it started from) in the same surroundings (versions, commit,
devices, replicas, precision). Other inputs are refused where a stage goes on; other surroundings
begin a span, and that is said. The spans lie in the checkpoints, and so in the stage's record.
"""

import hashlib

import numpy as np

from ascl_tf.errors import RunError

_NAMES = {"data": "training images", "validation": "validation images"}
_SUFFIX = "_sha256"
_PSEUDO_LABELS = f"pseudo_labels{_SUFFIX}"


def describe_inputs(train, validation, **hashes):
    """Returns what a stage is trained on, as plain values.

    Args:
        train: `ImageDataset`, without pseudo-labels; they follow in `with_pseudo_labels`.
        validation: `ImageDataset`, or None.
        hashes: of what else the stage starts from, such as `encoder_sha256`; None for none.
    """
    others = {name: value for name, value in hashes.items() if value is not None}
    return {
        "data_set": train.name,
        "data_sha256": train.sha256,
        "validation_sha256": None if validation is None else validation.sha256,
        **others,
    }


def with_pseudo_labels(inputs, dataset):
    """Returns inputs with the hash of a data set's pseudo-labels, where it has any."""
    if dataset.pseudo_labels is None:
        return inputs
    content = np.ascontiguousarray(dataset.pseudo_labels, dtype="<i4")
    return {**inputs, _PSEUDO_LABELS: hashlib.sha256(content).hexdigest()}


def check_inputs(spans, inputs, where):
    """Raises RunError if the last of the spans had other inputs than a stage has now.

    Nothing is compared with steps of a version that recorded none, nor pseudo-labels while there
    are none yet.
    """
    recorded = spans[-1] if spans else {}
    if "data_sha256" not in recorded:
        return
    keys = {key for key in {*recorded, *inputs} if key.endswith(_SUFFIX)}
    keys -= {_PSEUDO_LABELS} - set(inputs)
    differing = [
        f"{_name(key)} of SHA-256 {inputs.get(key)} (recorded: {recorded.get(key)})"
        for key in sorted(keys)
        if recorded.get(key) != inputs.get(key)
    ]
    if differing:
        raise RunError(
            place=where,
            expected="what it has been trained on so far",
            found=f"{', '.join(differing)}. Put back what it began with, or choose another "
            "`workdir` for another run",
        )


def inputs_of(spans):
    """Returns what the last of a stage's spans says of its inputs; empty where it says nothing."""
    last = spans[-1] if spans else {}
    return {k: v for k, v in last.items() if k == "data_set" or k.endswith(_SUFFIX)}


def begin_span(spans, inputs, surroundings, *, step, steps_per_epoch):
    """Adds a span to `spans` if what follows step `step` differs from what came before.

    Returns:
        What has changed, in words; empty if nothing has, and in a stage's beginning.
    """
    now = {**surroundings, **inputs}
    if not spans and step:
        spans.append({"from_step": 1, "from_epoch": 1})  # By a version that recorded none.
    before = spans[-1] if spans else {}
    if {**before, **now} == before:
        return ""
    begin = {"from_step": step + 1, "from_epoch": step // steps_per_epoch + 1}
    spans.append({**begin, **now})
    return _describe_changes(before, now) if before else ""


def _describe_changes(before, now):
    before, now = _flat(before), _flat(now)
    names = [name for name in now if before.get(name) != now[name]]
    gone = [name for name in before if name not in now and not name.startswith("from_")]
    changes = [f"{name} {now[name]} (before: {before.get(name, 'unknown')})" for name in names]
    return ", ".join([*changes, *(f"{name} unknown (before: {before[name]})" for name in gone)])


def _flat(span):
    versions = span.get("versions", {})
    return {**{k: v for k, v in span.items() if k != "versions"}, **versions}


def _name(key):
    stem = key.removesuffix(_SUFFIX)
    return _NAMES.get(stem, stem.replace("_", " "))
