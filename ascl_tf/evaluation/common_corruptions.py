"""Accuracy under common corruptions (CIFAR-10-C), generated here or read from files.

    records = evaluate_corruptions(classifier, test_set)
    summarize_corruptions(records)["mean_15"]

No attack takes place: `robust_accuracy` of these records is the accuracy on the corrupted
images, by itself, whether or not the clean image was right.
"""

import dataclasses
import hashlib
import time
from collections.abc import Sequence

import numpy as np

from ascl_tf.data.corruptions import BENCHMARK_CORRUPTIONS, CORRUPTIONS, SEVERITIES
from ascl_tf.data.corruptions.weather import PROCEDURAL
from ascl_tf.evaluation import checks
from ascl_tf.evaluation.corruption_sources import GENERATED, open_source
from ascl_tf.evaluation.evaluation_data import as_evaluation_data
from ascl_tf.evaluation.measurement import Measurement, Outcome, counter
from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS, STANDARD

# Corrupted images are shown as they are.
_SHOWN = dataclasses.replace(STANDARD, name=COMMON_CORRUPTIONS)
_SUBSTITUTE = (
    "the photographs of frost are not at hand: procedural textures took their place, so that this "
    "number cannot be compared with published ones"
)


def evaluate_corruptions(
    logits_fn,
    dataset,
    *,
    corruptions=None,
    severities=SEVERITIES,
    seed=0,
    batch_size=250,
    num_images=None,
    source=GENERATED,
    frost_textures=None,
    data_dir=None,
    progress=None,
    model_sha256=None,
    on_records=None,
):
    """Returns one record for each corruption and severity.

    Generated images depend on the seed and on their places in the data set; `batch_size`
    changes time and memory, and numbers by rounding at most. No more than a batch of them is
    kept.

    Args:
        logits_fn: any callable from images [B, H, W, C] float32 in [0, 1] to logits
            [B, num_classes], as `evaluate_robustness` takes it.
        dataset: the clean images, uint8 [N, H, W, 3], and labels, as `load_dataset` gives
            them, or as a pair.
        corruptions: names out of `CORRUPTIONS`; None takes the benchmark's 15, and those of the
            other 4 that the source has.
        severities: numbers out of 1 to 5.
        seed: Python int >= 0, for generated images.
        batch_size: images per call; the last batch is padded, and masked.
        num_images: how many images from the start of the data set; None for all.
        source: "generated"; "tfds", `cifar10_corrupted` in `data_dir`, whose images have an
            order of their own; else a folder with the published `.npy` files, whose labels
            must be those of `dataset`.
        frost_textures: `FrostTextures` for generated frost; None takes what is at hand.
        data_dir: folder of prepared TFDS sets.
        progress: callable (protocol name, images done, images to do, note=), or None.
        model_sha256: what the records shall say; None hashes a Keras model's weights.
        on_records: callable that receives the records so far whenever a corruption is done, and
            so all that are returned, too; None for none.

    Returns:
        List of dictionaries that JSON can hold, with `corruption`, `severity`,
        `num_corruptions` (how many are measured), `source`
        ("generated", "tfds", "files"), `frost_textures` (where frost was generated: the name
        of the textures), `robust_accuracy` (percent right of the corrupted images),
        `standard_accuracy` (of the clean ones), `mean_difference` (mean absolute difference of
        corrupted and clean images in gray levels; None for "tfds") and `corrupted_sha256`
        (of the corrupted images' bytes).

    Raises:
        ValueError: if an argument is not as above.
        RunError: if files are missing or do not fit, or if logits are not finite.
    """
    data = as_evaluation_data(dataset, num_images=num_images)
    origin = open_source(source, data, seed, frost_textures, data_dir)
    corruptions = _checked_corruptions(data, origin, corruptions, severities)
    # Nothing is drawn but the corrupted images, whose seeds may be larger.
    measurement = Measurement.of(
        logits_fn, data, batch_size=batch_size, seed=0, model_sha256=model_sha256
    )
    num_to_do = len(corruptions) * len(severities) * len(data.labels)
    advance = counter(progress, COMMON_CORRUPTIONS, num_to_do)
    measured = []
    for corruption in corruptions:
        measured += [
            _measure(measurement, origin, corruption, severity, advance)
            | _what_to_know(origin, corruption, measurement.of_model)
            | {"num_corruptions": len(corruptions), "seed": seed}
            for severity in severities
        ]
        if on_records is not None:
            on_records(list(measured))
    return measured


def check_corruptions(
    dataset,
    *,
    corruptions=None,
    severities=SEVERITIES,
    seed=0,
    num_images=None,
    source=GENERATED,
    frost_textures=None,
    data_dir=None,
):
    """Raises what `evaluate_corruptions` would raise of these arguments, without a measurement.

    For those who measure something else first. Arguments and errors as there.
    """
    data = as_evaluation_data(dataset, num_images=num_images)
    origin = open_source(source, data, seed, frost_textures, data_dir)
    _checked_corruptions(data, origin, corruptions, severities)


def summarize_corruptions(measured):
    """Returns means of the records of one model under corruptions, ready for JSON.

    Args:
        measured: records; those of other protocols are left out.

    Returns:
        Dictionary: `per_corruption` (corruption -> accuracy in percent, mean over the
        severities), `mean_15` and `mean_19` (mean over the benchmark's 15 corruptions and over
        all 19; None where one is missing), `severities`, `standard_accuracy`, `num_images`,
        `source`, `frost_textures`.

    Raises:
        ValueError: if there are no such records, if they are of several models, seeds or
            sources, or if not every corruption has the same severities once each.
    """
    chosen = [record for record in measured if record["protocol"] == COMMON_CORRUPTIONS]
    if not chosen:
        raise ValueError("`measured` must hold records of corruptions; received none.")
    _check_uniform(chosen)
    accuracies = _by_corruption(chosen)
    means = {name: float(np.mean(list(found.values()))) for name, found in accuracies.items()}
    textures = [record["frost_textures"] for record in chosen if record["frost_textures"]]
    return {
        "per_corruption": means,
        "mean_15": _mean_of(means, BENCHMARK_CORRUPTIONS),
        "mean_19": _mean_of(means, CORRUPTIONS),
        "severities": sorted({record["severity"] for record in chosen}),
        "standard_accuracy": chosen[0]["standard_accuracy"],
        "num_images": chosen[0]["num_images"],
        "source": chosen[0]["source"],
        "frost_textures": textures[0] if textures else None,
    }


def _check_uniform(chosen):
    for field in ("model_sha256", "data_sha256", "num_images", "seed", "source"):
        values = {record[field] for record in chosen}
        if len(values) > 1:
            raise ValueError(
                f"`measured` must be of one `{field}`; received {sorted(map(str, values))}."
            )


def _by_corruption(chosen):
    """Returns corruption -> severity -> accuracy, all with the same severities."""
    accuracies = {}
    for record in chosen:
        by_severity = accuracies.setdefault(record["corruption"], {})
        if record["severity"] in by_severity:
            raise ValueError(
                "`measured` must hold each corruption and severity once; received "
                f"{record['corruption']} {record['severity']} twice."
            )
        by_severity[record["severity"]] = record["robust_accuracy"]
    severities = sorted(next(iter(accuracies.values())))
    for corruption, by_severity in accuracies.items():
        if sorted(by_severity) != severities:
            raise ValueError(
                f"`measured` must hold the severities {severities} of every corruption; "
                f"received {sorted(by_severity)} of {corruption}."
            )
    return accuracies


def _mean_of(means, names):
    if not all(name in means for name in names):
        return None
    return float(np.mean([means[name] for name in names]))


def _measure(measurement, origin, corruption, severity, advance):
    """Returns the record of one corruption at one severity."""
    began = time.perf_counter()
    is_right, digest, differences = [], hashlib.sha256(), []
    for corrupted, clean, labels in origin.batches(corruption, severity, measurement.batch_size):
        is_right.append(_is_right(measurement, corrupted, labels))
        digest.update(np.ascontiguousarray(corrupted))
        if clean is not None:
            moved = np.abs(corrupted.astype(np.int16) - clean)
            differences.append(moved.mean(axis=(1, 2, 3)))
        advance(len(labels), note=f"{corruption} {severity}")
    return measurement.record(
        _SHOWN,
        Outcome(np.concatenate(is_right), time.perf_counter() - began),
        corruption=corruption,
        severity=severity,
        source=origin.name,
        mean_difference=float(np.mean(np.concatenate(differences))) if differences else None,
        corrupted_sha256=digest.hexdigest(),
    )


def _is_right(measurement, images, labels):
    """Returns bool [B] for at most a batch of corrupted images."""
    corrupted = measurement.data._replace(images=images, labels=labels)
    shown = dataclasses.replace(measurement, data=corrupted)
    return shown.survivors(_SHOWN, np.ones(len(labels), bool)).is_robust


def _what_to_know(origin, corruption, of_model):
    """Returns the fields of a record that say what to make of its number."""
    textures = origin.textures_name if corruption == "frost" else None
    substitute = {PROCEDURAL: _SUBSTITUTE} if textures == PROCEDURAL else {}
    return {"frost_textures": textures, **checks.as_fields(of_model | substitute)}


def _checked_corruptions(data, origin, corruptions, severities):
    """Returns the corruptions to measure, after a look at everything that they need."""
    if data.images.dtype != np.uint8:
        raise ValueError(f"`dataset` must hold uint8 images; received {data.images.dtype}.")
    _check_choice("severities", severities, SEVERITIES)
    if corruptions is None:
        corruptions = origin.offered(severities)
    _check_choice("corruptions", corruptions, CORRUPTIONS)
    for corruption in corruptions:
        origin.check(corruption, severities)
    return corruptions


def _check_choice(name, chosen, known):
    if not isinstance(chosen, Sequence):
        raise ValueError(f"`{name}` must be a list; received {type(chosen).__name__}.")
    unknown = [item for item in chosen if item not in known]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"`{name}` must be one or more of {', '.join(map(str, known))}, each once; "
            f"received {', '.join(map(str, chosen)) or 'none'}."
        )
