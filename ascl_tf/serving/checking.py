"""Whether an exported file answers as the model that it was made of, also on attacked images."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks.autoattack_run import percent
from ascl_tf.errors import RunError
from ascl_tf.evaluation.batch_attacks import adversarial
from ascl_tf.evaluation.black_box import makes_examples
from ascl_tf.evaluation.evaluation_data import as_unit_float, check_labels_fit
from ascl_tf.evaluation.protocols import get_protocol

# Of logits that are larger than 1 times the largest.
TOLERANCE = 1e-4
NUM_IMAGES, _BATCH_SIZE = 100, 20
_USUAL = "pgd20"
_RANDOM_STREAM = 0xE4


class Reference(NamedTuple):
    """Images, maybe also attacked, with what the trained model says of them.

    Attributes:
        images: float32 [N, H, W, 3] in [0, 1].
        logits: float32 [N, C], the trained model's.
        labels: int [M], of the first images, which are clean; None where they are not known.
        protocol: name of the attack under which these M images follow once more; empty: none.
    """

    images: np.ndarray
    logits: np.ndarray
    labels: np.ndarray | None = None
    protocol: str = ""


def make_reference(served, dataset=None, protocol=None):
    """Returns a `Reference` for the files made of a model.

    Args:
        served: `Served`.
        dataset: `ImageDataset`, of which the first labeled images are taken; None: noise.
        protocol: name of the attack, PGD-20 in place of one that does not work batch by batch;
            None: no image is attacked.

    Raises:
        ValueError: if the model has no logit for a label.
    """
    if dataset is None or not dataset.num_labeled:
        shape = (8, *served.image_shape)
        images = np.random.default_rng(0).integers(0, 256, shape) / np.float32(255)
        return Reference(images, _in_batches(_eager(served), images))
    rows = np.flatnonzero(dataset.labels >= 0)[:NUM_IMAGES]
    images, labels = as_unit_float(dataset.images[rows]), dataset.labels[rows]
    check_labels_fit(labels, _eager(served)(images[:1]).shape[1])
    if protocol is None:
        return Reference(images, _in_batches(_eager(served), images), labels)
    attack = get_protocol(protocol)
    attack = attack if makes_examples(attack) else get_protocol(_USUAL)
    batch = tf.TensorSpec([None, *served.image_shape], tf.float32)
    specs = batch, tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 2], tf.int32)

    @tf.function(input_signature=specs, autograph=False)
    def attacked(images, labels, seeds):
        return adversarial(served.logits_fn, images, labels, attack, seeds)

    seed = tf.constant([0, _RANDOM_STREAM], tf.int32)
    seeds = randomness.position_seeds(seed, tf.range(len(rows))).numpy()
    examples = _in_batches(attacked, images, labels, seeds)
    images = np.concatenate([images, examples])
    return Reference(images, _in_batches(_eager(served), images), labels, attack.name)


def _eager(served):
    return lambda images: served.logits_fn(tf.constant(images))


def _in_batches(function, *arrays):
    """Returns what a function makes of the rows of arrays, few at a time: images may be large."""
    starts = range(0, len(arrays[0]), _BATCH_SIZE)
    parts = ([array[start : start + _BATCH_SIZE] for array in arrays] for start in starts)
    return np.concatenate([np.asarray(function(*part)) for part in parts])


def compare(reference, run, file, *, is_exact=True):
    """Returns how a file's answers differ from the trained model's, plain values for the card.

    Args:
        reference: `Reference`.
        run: images float32 [N, H, W, 3] -> logits [N, C], of the file.
        file: its path, for the message.
        is_exact: whether the logits must be the same but for rounding.

    Raises:
        RunError: if they are not, or are no numbers.
    """
    logits = _in_batches(run, reference.images)
    difference = float(np.abs(logits - reference.logits).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(reference.logits).max()))
    # Written so that NaN fails too.
    if not np.isfinite(difference) or (is_exact and difference >= allowed):
        raise RunError(
            place=file,
            expected=f"logits that differ from the trained model's by less than {allowed:.1e}",
            found=f"{difference:.1e}",
        )
    answers, expected = logits.argmax(axis=1), reference.logits.argmax(axis=1)
    found = {
        "logit_difference": difference,
        "class_agreement": percent(answers == expected),
        "num_images": len(answers),
        **({"protocol": reference.protocol} if reference.protocol else {}),
    }
    if reference.labels is None:
        return found
    found |= _accuracies(answers, reference)
    own = _accuracies(expected, reference)
    return found | {f"{name}_of_model": value for name, value in own.items()}


def _accuracies(answers, reference):
    is_right = answers[: len(reference.labels)] == reference.labels
    found = {"standard_accuracy": percent(is_right)}
    if reference.protocol:
        is_right_attacked = answers[len(reference.labels) :] == reference.labels
        found["robust_accuracy"] = percent(is_right & is_right_attacked)
    return found
