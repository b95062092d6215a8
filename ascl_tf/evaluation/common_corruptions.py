"""Accuracy under common corruptions (CIFAR-10-C), generated here or read from files.

    records = evaluate_corruptions(classifier, test_set)
    summarize_corruptions(records)["mean_15"]

No attack takes place: `robust_accuracy` of these records is the accuracy on the corrupted
images, by itself, whether or not the clean image was right.
"""

import hashlib
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.arguments import check_integer
from ascl_tf.attacks.logits import make_logits_function
from ascl_tf.data.corruptions import BENCHMARK_CORRUPTIONS, CORRUPTIONS, SEVERITIES
from ascl_tf.data.corruptions.frost_textures import PROCEDURAL
from ascl_tf.errors import RunError
from ascl_tf.evaluation import checks, records
from ascl_tf.evaluation.corruption_sources import GENERATED, open_source
from ascl_tf.evaluation.inputs import as_evaluation_data, check_labels_fit
from ascl_tf.evaluation.protocols import STANDARD

PROTOCOL = "corruptions"
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
        corrupted and clean images in grey levels; None for "tfds") and `corrupted_sha256`
        (of the corrupted images' bytes).

    Raises:
        ValueError: if an argument is not as above.
        RunError: if files are missing or do not fit, or if logits are not finite.
    """
    data = as_evaluation_data(dataset, num_images=num_images)
    origin = open_source(source, data, seed, frost_textures, data_dir)
    corruptions = _checked_corruptions(data, origin, corruptions, severities)
    check_integer("batch_size", batch_size, 1)
    if model_sha256 is None and hasattr(logits_fn, "get_weights"):
        model_sha256 = records.weights_sha256(logits_fn)
    scorer = _Scorer(make_logits_function(logits_fn), min(batch_size, len(data.labels)))
    check_labels_fit(data.labels, scorer.logits_fn(tf.constant(data.rows(slice(1))[0])).shape[1])
    of_model = checks.check_model(logits_fn, data.images, data.labels, num_classes=data.num_classes)
    constant = {
        "protocol": PROTOCOL,
        "attack": STANDARD.settings(),
        "epsilon": STANDARD.epsilon.text,
        "standard_accuracy": scorer.accuracy(data.images, data.labels),
        "source": origin.name,
        "data_set": data.name,
        "data_sha256": data.sha256,
        "model_sha256": model_sha256,
        "num_images": len(data.labels),
        "num_corruptions": len(corruptions),
        "seed": seed,
        "versions": records.environment_versions(),
    }
    advance = _progress_of(progress, len(corruptions) * len(severities) * len(data.labels))
    measured = []
    for corruption in corruptions:
        measured += [
            constant
            | _measure(scorer, origin, corruption, severity, advance)
            | _what_to_know(origin, corruption, of_model)
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
    chosen = [record for record in measured if record["protocol"] == PROTOCOL]
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


class _Scorer:
    """Which images a classifier gets right; one trace serves every batch."""

    def __init__(self, logits_fn, batch_size):
        self.logits_fn = logits_fn
        self.batch_size = batch_size
        self._judge = tf.function(self._judge_batch, autograph=False)

    def is_correct(self, images, labels):
        """Returns bool [B] for at most `batch_size` images, uint8.

        Raises:
            RunError: if logits are not finite.
        """
        missing = self.batch_size - len(labels)
        padded = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)), mode="edge")
        predictions, are_finite = self._judge(tf.constant(padded))
        if not are_finite:
            raise RunError(
                f"protocol {PROTOCOL}: expected finite logits; the model returned NaN or inf."
            )
        return predictions.numpy()[: len(labels)] == labels

    def accuracy(self, images, labels):
        """Returns the percentage of images that are right."""
        starts = range(0, len(labels), self.batch_size)
        parts = [slice(start, start + self.batch_size) for start in starts]
        return _percent([self.is_correct(images[part], labels[part]) for part in parts])

    def _judge_batch(self, images):
        logits = self.logits_fn(tf.cast(images, tf.float32) / 255)
        are_finite = tf.reduce_all(tf.math.is_finite(logits))
        return tf.argmax(logits, axis=1, output_type=tf.int32), are_finite


def _measure(scorer, origin, corruption, severity, advance):
    """Returns the fields of a record that one corruption at one severity gives."""
    began = time.perf_counter()
    is_correct, digest, differences = [], hashlib.sha256(), []
    for corrupted, clean, labels in origin.batches(corruption, severity, scorer.batch_size):
        is_correct.append(scorer.is_correct(corrupted, labels))
        digest.update(np.ascontiguousarray(corrupted))
        if clean is not None:
            moved = np.abs(corrupted.astype(np.int16) - clean)
            differences.append(moved.mean(axis=(1, 2, 3)))
        advance(len(labels), f"{corruption} {severity}")
    return {
        "corruption": corruption,
        "severity": severity,
        "robust_accuracy": _percent(is_correct),
        "mean_difference": float(np.mean(np.concatenate(differences))) if differences else None,
        "corrupted_sha256": digest.hexdigest(),
        "wall_seconds": time.perf_counter() - began,
    }


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


def _progress_of(progress, num_to_do):
    num_done = 0

    def advance(count, note):
        nonlocal num_done
        num_done += count
        if progress is not None:
            progress(PROTOCOL, num_done, num_to_do, note=note)

    return advance


def _percent(parts):
    return 100.0 * float(np.mean(np.concatenate(parts)))
