"""Calibration: how far a classifier's confidence is from its accuracy, and the logits for it."""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.analysis.landscape_inputs import as_landscape_inputs
from ascl_tf.attacks import linf_pgd
from ascl_tf.attacks.arguments import check_one_label_each
from ascl_tf.losses import cross_entropy_loss

# Keeps these draws apart from others with the same seed.
_RANDOM_STREAM = 0xCA11


def expected_calibration_error(logits, labels, *, num_bins=15):
    """Returns the expected calibration error and the data of the reliability diagram.

    With B_m the images whose confidence (largest softmax probability) lies in
    ((m - 1) / M, m / M], m = 1..M:

        ECE = sum_m |B_m| / N * | accuracy(B_m) - confidence(B_m) |

    Guo et al. 2017, arXiv:1706.04599, Eqs. 1 to 3. The maximum calibration error is the
    largest of these differences (Eq. 5), over the bins that are not empty.

    Args:
        logits: [N, num_classes], of clean or of attacked images.
        labels: int [N], the true classes.
        num_bins: M, Python int >= 1.

    Returns:
        Dictionary; every share in percent:
            "parameters": {"num_bins": int},
            "num_images": int,
            "accuracy", "mean_confidence": float,
            "expected_calibration_error", "maximum_calibration_error": float,
            "bin_edges": M + 1 floats, 0 to 100,
            "bin_counts": M ints, images per bin,
            "bin_confidences", "bin_accuracies": M entries, float, or None for an empty bin.

    Raises:
        ValueError: if shapes, types or `num_bins` are not as above, or a logit is not finite.
    """
    confidences, is_correct, bins = _binned(logits, labels, num_bins)
    edges = np.arange(num_bins + 1) / num_bins
    counts = np.bincount(bins, minlength=num_bins)
    confidence_sums = np.bincount(bins, confidences, minlength=num_bins)
    correct_counts = np.bincount(bins, is_correct, minlength=num_bins)
    gaps = np.abs(correct_counts - confidence_sums)
    return {
        "parameters": {"num_bins": num_bins},
        "num_images": len(labels),
        "accuracy": 100 * float(np.mean(is_correct)),
        "mean_confidence": 100 * float(np.mean(confidences)),
        "expected_calibration_error": 100 * float(gaps.sum() / len(labels)),
        "maximum_calibration_error": 100 * float(np.max(gaps / np.maximum(counts, 1))),
        "bin_edges": (100 * edges).tolist(),
        "bin_counts": counts.tolist(),
        "bin_confidences": _percent_per_bin(confidence_sums, counts),
        "bin_accuracies": _percent_per_bin(correct_counts, counts),
    }


def calibration_parts(logits, labels, *, num_bins=15):
    """Returns values whose mean is the expected calibration error, percent, float64 [N].

        sign(accuracy(B) - confidence(B)) * (is correct - confidence),    B the image's bin

    Their mean is the error; to first order, the standard error of that mean is the error's own: a
    bin whose accuracy is clearly off keeps its sign from sample to sample.

    Args:
        logits, labels, num_bins: as for `expected_calibration_error`.

    Raises:
        ValueError: as `expected_calibration_error`.
    """
    confidences, is_correct, bins = _binned(logits, labels, num_bins)
    gaps = is_correct - confidences
    signs = np.sign(np.bincount(bins, gaps, minlength=num_bins))
    return 100 * signs[bins] * gaps


def _binned(logits, labels, num_bins):
    """Returns (confidences, whether each is correct, its bin), checked."""
    logits, labels = finite_logits(logits, labels)
    if num_bins < 1:
        raise ValueError(f"`num_bins` must be >= 1; received {num_bins}.")
    confidences, is_correct = top_probabilities(logits), np.argmax(logits, axis=1) == labels
    edges = np.arange(num_bins + 1) / num_bins
    # Right-closed bins: a confidence of exactly m / M belongs to bin m, 1 to the last.
    bins = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, num_bins - 1)
    return confidences, is_correct, bins


def compare_calibration(logits_by_model, labels, *, num_bins=15):
    """Returns the calibration of several models on the same images.

    Args:
        logits_by_model: dictionary label -> {"clean": logits} or
            {"clean": logits, "attacked": logits}, each [N, num_classes]; any other condition
            may be named too.
        labels: int [N].
        num_bins: as for `expected_calibration_error`.

    Returns:
        {"figure": "calibration",
         "parameters": {"num_bins": int, "num_images": int},
         "models": one per entry, in order:
             {"label": str, "conditions": {condition: what `expected_calibration_error`
              returns}, "measures": {condition: `calibration_parts`}}}.

    Raises:
        ValueError: as `expected_calibration_error`; if there is no model.
    """
    if not logits_by_model:
        raise ValueError("`logits_by_model` must hold at least one model; received none.")
    models = [
        {
            "label": label,
            "conditions": {
                condition: expected_calibration_error(logits, labels, num_bins=num_bins)
                for condition, logits in conditions.items()
            },
            "measures": {
                condition: calibration_parts(logits, labels, num_bins=num_bins).tolist()
                for condition, logits in conditions.items()
            },
        }
        for label, conditions in logits_by_model.items()
    ]
    return {
        "figure": "calibration",
        "parameters": {"num_bins": num_bins, "num_images": len(labels)},
        "models": models,
    }


def finite_logits(logits, labels):
    """Returns logits float64 [N, C] and labels [N]; ValueError unless finite, and one each."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or not logits.size:
        raise ValueError(
            "`logits` must have shape [num_images, num_classes] without a zero; "
            f"received shape {logits.shape}."
        )
    check_one_label_each(labels, len(logits))
    if not np.all(np.isfinite(logits)):
        raise ValueError("`logits` must be finite; received NaN or infinity.")
    return logits, labels


def top_probabilities(logits):
    """Returns the largest softmax probability of each row: 1 / sum_j exp(l_j - l_max)."""
    with np.errstate(over="ignore"):  # A difference beyond float64 is -inf, whose exp is 0, too.
        shifted = logits - logits.max(axis=1, keepdims=True)
    return 1 / np.exp(shifted).sum(axis=1)


def _percent_per_bin(sums, counts):
    return [
        100 * float(total / count) if count else None
        for total, count in zip(sums, counts, strict=True)
    ]


def logits_of(logits_fn, images, labels, *, attack=None, seed=0, batch_size=250, progress=None):
    """Returns the logits of all images, NumPy float32 [N, num_classes].

    Args:
        logits_fn: what `ascl_tf.attacks.logits.as_logits_function` takes.
        images: [N, H, W, C], float in [0, 1].
        labels: int [N], what an attack leads away from.
        attack: None, or the settings `epsilon`, `step_size`, `num_steps` and `random_start` of
            `ascl_tf.attacks.linf_pgd`, which then raises the cross-entropy of every image.
        seed: Python int; the start of an image belongs to (seed, place in `images`).
        batch_size: images at once, Python int >= 1.
        progress: callable (images done, images to do), or None.

    Raises:
        ValueError: if an argument is not as above.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1; received {batch_size}.")
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    seeds = _seeds(seed, len(images))

    def batch_logits(images, labels, seeds):
        return logits_fn(_attacked(logits_fn, images, labels, seeds, attack))

    signature = [
        tf.TensorSpec([None, *images.shape[1:]], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
    ]
    traced = tf.function(batch_logits, autograph=False, input_signature=signature)
    logits = []
    for begin in range(0, len(images), batch_size):
        rows = slice(begin, begin + batch_size)
        logits.append(traced(images[rows], labels[rows], seeds[rows]).numpy())
        if progress is not None:
            progress(min(begin + batch_size, len(images)), len(images))
    return np.concatenate(logits)


def adversarial_images(logits_fn, images, labels, *, attack, seed=0):
    """Returns the attacked images that `logits_of` gives logits of, NumPy float32 [N, H, W, C].

    All at once: for a few. Arguments and errors as of `logits_of`.
    """
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    traced = tf.function(_attacked, autograph=False)
    inputs = tf.constant(images), tf.constant(labels), _seeds(seed, len(images))
    return traced(logits_fn, *inputs, attack).numpy()


def _seeds(seed, num_images):
    """Returns the seed of each image's start, int32 [N, 2]: by its place."""
    stream = tf.constant([seed, _RANDOM_STREAM], tf.int32)
    return randomness.position_seeds(stream, tf.range(num_images))


def _attacked(logits_fn, images, labels, seeds, attack):
    if attack is None:
        return images
    objective = lambda perturbed: cross_entropy_loss(logits_fn(perturbed), labels)  # noqa: E731
    return linf_pgd(objective, images, seed=seeds, **attack)
