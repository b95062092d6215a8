"""Checks for suspicious behavior of a classifier, before and after it is attacked.

No check stops an evaluation. Each returns its explanation, an empty string if nothing is
suspicious, or None if it had nothing to check.
For the ideas, see Croce and Hein 2020, arXiv:2003.01690, and Athalye et al. 2018,
arXiv:1802.00420.
"""

import itertools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import logit_losses

NUM_IMAGES = 64
# Names of the checks that look at a model before it is attacked.
MODEL_CHECKS = (
    "constant_output",
    "random_output",
    "batch_dependent_output",
    "probabilities",
    "zero_gradients",
)

_NUM_CALLS = 5
# Distance of two calls' logits, scaled to length 1.
_CALL_TOLERANCE = 1e-4
# Other images in the batch may move logits by rounding only; share of the largest logit.
_BATCH_TOLERANCE = 1e-3
# Rows of a softmax lie in [0, 1] and sum to 1 up to this, in any float type.
_RANGE_TOLERANCE, _SUM_TOLERANCE = 1e-5, 1e-2
# A model may saturate on a few images; beyond this share an attack is blind.
_ZERO_GRADIENT_SHARE = 0.05
# Percent of all images by which Square may do better than the attacks with gradients.
_SQUARE_TOLERANCE = 0.2


class AutoAttackWarning(UserWarning):
    """Warning that something about a classifier makes its robust accuracy doubtful."""


def check_model(
    predict: Callable[[tf.Tensor], tf.Tensor],
    gradient_fn: Callable[[tf.Tensor], tf.Tensor] | None,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    loss: str,
    expects_random: bool = False,
) -> dict[str, str]:
    """Returns {name: explanation} for every check that finds something suspicious.

    Args:
        predict: callable images -> logits, as the attacks see them.
        gradient_fn: callable images -> logits that a tape can differentiate, or None
            if no attack needs a gradient.
        images, labels: a few dozen float32 [B, H, W, C] and int [B], as arrays; those at
            `spread_rows` are the best choice. An image without a label that the model knows gets
            the prediction of the model as its label.
        loss: `ce` or `dlr`, whose gradient the attacks follow.
        expects_random: whether the attacks are meant for random output.
    """
    outcomes = model_outcomes(
        predict, gradient_fn, images, labels, loss=loss, expects_random=expects_random
    )
    return {name: message for name, message in outcomes.items() if message}


def model_outcomes(predict, gradient_fn, images, labels, *, loss, expects_random=False):
    """Returns {name: explanation} for every check that could be made; "" if nothing is suspicious.

    Args:
        predict, gradient_fn, images, labels, loss, expects_random: as in `check_model`.
    """
    images = tf.constant(images, tf.float32)
    logits = _logits(predict, images)
    if not np.all(np.isfinite(logits)):
        # Whoever measures refuses them; nothing can be said of them here.
        return {}
    labels = _known_labels(np.asarray(labels), logits)
    found = {
        "constant_output": _constant_output(labels, logits),
        "probabilities": _probabilities(logits),
    }
    labels = tf.constant(labels, tf.int32)
    if not expects_random:
        found["random_output"] = _random_output(predict, images, labels)
        if not found["random_output"]:
            found["batch_dependent_output"] = _batch_dependence(predict, images, logits)
    if gradient_fn is not None:
        found["zero_gradients"] = _zero_gradients(gradient_fn, images, labels, loss)
    return {name: found[name] for name in MODEL_CHECKS if found.get(name) is not None}


def spread_rows(labels):
    """Returns the indices of at most `NUM_IMAGES` images, spread evenly over classes, ascending.

    The first images of a data set are often all of one class. `labels`: int [N].
    """
    order = np.argsort(labels, kind="stable")
    _, sizes = np.unique(labels, return_counts=True)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    # The first image of each class, then the second of each, ...
    rank_in_class = np.arange(len(order)) - first
    return np.sort(order[np.argsort(rank_in_class, kind="stable")[:NUM_IMAGES]])


def square_stronger(accuracies):
    """Returns why the success of Square is suspicious, or None.

    Args:
        accuracies: attack name -> robust accuracy in percent after that attack, in order.
    """
    others = [value for name, value in accuracies.items() if name != "square"]
    if "square" not in accuracies or not others:
        return None
    if accuracies["square"] < min(others) - _SQUARE_TOLERANCE:
        return (
            f"Square, which uses no gradients, lowers robust accuracy to "
            f"{accuracies['square']:.2f} % but the other attacks stop at {min(others):.2f} %: the "
            "classifier masks its gradients, so its true robustness is probably lower"
        )
    return None


def _logits(predict, images):
    # Squares and differences of large float32 numbers are beyond float32.
    return np.asarray(predict(images), np.float64)


def _known_labels(labels, logits):
    is_known = (labels >= 0) & (labels < logits.shape[1])
    return np.where(is_known, labels, logits.argmax(axis=1))


def _constant_output(labels, logits):
    num_classes, answers = len(np.unique(labels)), logits.argmax(axis=1)
    if num_classes < 2:
        # Images of one class deserve one answer.
        return None
    if len(np.unique(answers)) > 1:
        return ""
    return (
        f"all {len(logits)} images tried, of {num_classes} classes, get the same prediction (class "
        f"{answers[0]}): the accuracies of this classifier are chance. It may expect pixels in "
        "0..255 or integers but gets floats in [0, 1], or its training has collapsed"
    )


def _random_output(predict, images, labels):
    calls = [_logits(predict, images) for _ in range(_NUM_CALLS)]
    correct = {int(np.sum(logits.argmax(axis=1) == labels)) for logits in calls}
    scaled = [logits / (np.linalg.norm(logits, axis=1, keepdims=True) + 1e-10) for logits in calls]
    distance = max(
        np.linalg.norm(first - second, axis=1).max()
        for first, second in itertools.combinations(scaled, 2)
    )
    if len(correct) > 1 or distance > _CALL_TOLERANCE:
        return (
            f"calls on the same images differ (by {distance:.2g} for logits of length 1): the "
            "classifier is random, so one draw underestimates an attack; turn the randomness off, "
            "or use the version `rand` of AutoAttack, which averages gradients"
        )
    return ""


def _batch_dependence(predict, images, logits):
    half = len(logits) // 2
    if not half:
        return None
    company = tf.concat([images[:half], 1.0 - images[half:]], axis=0)
    difference = np.abs(_logits(predict, company)[:half] - logits[:half])
    relative = difference.max(initial=0.0) / max(np.abs(logits).max(), 1e-12)
    if relative > _BATCH_TOLERANCE:
        return (
            f"the logits of an image change by {relative:.2g} of the largest logit when other "
            "images in its batch change: the classifier is in training mode; give the attack a "
            "function in inference mode"
        )
    return ""


def _probabilities(logits):
    in_range = logits.min() >= -_RANGE_TOLERANCE and logits.max() <= 1 + _RANGE_TOLERANCE
    if in_range and np.all(np.abs(logits.sum(axis=1) - 1) < _SUM_TOLERANCE):
        return (
            "every row of the output is in [0, 1] and sums to 1: these look like probabilities, "
            "not logits; cross-entropy on them flattens the gradients that the attacks follow"
        )
    return ""


def _zero_gradients(gradient_fn, images, labels, loss):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = gradient_fn(images)
        # Of two logits the ratio is always 1.
        uses_ratio = loss == "dlr" and logits.shape[1] > 2
        losses_of = logit_losses.dlr_loss if uses_ratio else logit_losses.cross_entropy
        total = tf.reduce_sum(losses_of(logits, labels))
    gradient = tape.gradient(total, images)
    gradient = tf.zeros_like(images) if gradient is None else gradient
    is_zero = np.all(gradient.numpy() == 0, axis=(1, 2, 3))
    # Wrong images are not attacked, and of one whose label comes third the ratio is 1.
    num_zero = int(np.sum(is_zero & logit_losses.is_correct(logits, labels).numpy()))
    if num_zero > _ZERO_GRADIENT_SHARE * len(labels):
        return (
            f"the gradient of the {'DLR loss' if uses_ratio else 'cross-entropy'} is zero for "
            f"{num_zero} of {len(labels)} images (at most {100 * _ZERO_GRADIENT_SHARE:.0f} % "
            "expected): attacks that follow gradients are blind there; trust only an attack "
            "without gradients (Square) or transferred images"
        )
    return ""
