"""Losses on logits, one unreduced value per image: cross-entropy, KL, TRADES, MART.

Images with label -1 are unlabeled. Losses that take labels return exactly 0 for them.
"""

from typing import Any

import tensorflow as tf

from ascl_tf.losses.inputs import (
    check_beta,
    check_shape,
    float_matrix,
    is_labeled,
    label_vector,
    num_rows,
)


def cross_entropy_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy, -log softmax(logits)[label], in nats.

    Args:
        logits: [num_images, num_classes], any float dtype.
        labels: [num_images], integer class ids or -1.

    Returns:
        [num_images], float64 for float64 `logits`, else float32; 0 where the label is -1.

    Raises:
        ValueError: if a rank, a length or the dtype of `labels` does not fit the above.

    Example:
        >>> print(cross_entropy_loss([[0.0, 0.0], [0.0, 0.0]], [0, -1]).numpy().round(3))
        [0.693 0.   ]
    """
    logits = float_matrix("logits", logits, "[num_images, num_classes]")
    labels = label_vector(labels, num_rows(logits))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(_class_ids(labels), logits)
    return _zero_if_unlabeled(losses, labels)


def kl_divergence(clean_logits: tf.Tensor, adversarial_logits: tf.Tensor) -> tf.Tensor:
    """Returns KL(p || q) in nats, where p and q are the softmax of clean and adversarial logits.

    The gradient flows through both arguments.

    Args:
        clean_logits: [num_images, num_classes], any float dtype.
        adversarial_logits: the same shape.

    Returns:
        [num_images], float64 for float64 logits, else float32.

    Raises:
        ValueError: if a rank does not fit the above, or the shapes differ.

    Example:
        >>> print(kl_divergence([[0.0, 0.0]], [[0.0, 1.0]]).numpy().round(3))
        [0.12]
    """
    clean, adversarial = _logit_pair(clean_logits, adversarial_logits)
    log_p = tf.nn.log_softmax(clean)
    log_q = tf.nn.log_softmax(adversarial)
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1)


def trades_loss(
    clean_logits: tf.Tensor, adversarial_logits: tf.Tensor, labels: tf.Tensor, *, beta: float
) -> tf.Tensor:
    """Returns the TRADES loss, CE(clean, label) + beta * KL(clean || adversarial), in nats.

    Zhang et al. 2019, arXiv:1901.08573, eq. 5, with beta for 1/lambda. The gradient flows
    through both logits.

    Args:
        clean_logits: [num_images, num_classes], any float dtype.
        adversarial_logits: the same shape.
        labels: [num_images], integer class ids or -1.
        beta: Python number >= 0, the weight of the KL divergence.

    Returns:
        [num_images], float64 for float64 logits, else float32; 0 where the label is -1.

    Raises:
        ValueError: if a rank or the dtype of `labels` does not fit the above, the shapes differ, or
            `beta` is negative.

    Example:
        >>> print(trades_loss([[0.0, 0.0]], [[0.0, 1.0]], [0], beta=6.0).numpy().round(3))
        [1.414]
    """
    clean, adversarial, labels = _checked(clean_logits, adversarial_logits, labels, beta)
    losses = cross_entropy_loss(clean, labels) + float(beta) * kl_divergence(clean, adversarial)
    return _zero_if_unlabeled(losses, labels)


def mart_loss(
    clean_logits: tf.Tensor, adversarial_logits: tf.Tensor, labels: tf.Tensor, *, beta: float
) -> tf.Tensor:
    """Returns the MART loss: boosted cross-entropy plus a KL term weighted by the clean error.

    p and q are the softmax of clean and adversarial logits, y is the label, and r the most
    likely class of q other than y (Wang et al. 2020, "Improving adversarial robustness
    requires revisiting misclassified examples", eq. 11):

        -log q_y - log(1 - q_r) + beta * KL(p || q) * (1 - p_y)

    It keeps the published guards, because they limit the loss: 1.0001 - q_r + 1e-12,
    log(q + 1e-12) in the KL, and 1.0000001 - p_y. The gradient flows through both logits.

    Args:
        clean_logits: [num_images, num_classes], any float dtype.
        adversarial_logits: the same shape.
        labels: [num_images], integer class ids or -1.
        beta: Python number >= 0, the weight of the KL divergence.

    Returns:
        [num_images], float64 for float64 logits, else float32; 0 where the label is -1.

    Raises:
        ValueError: if a rank or the dtype of `labels` does not fit the above, the shapes differ, or
            `beta` is negative.

    Example:
        >>> print(mart_loss([[0.0, 0.0]], [[0.0, 1.0]], [0], beta=6.0).numpy().round(2))
        [2.99]
    """
    clean, adversarial, labels = _checked(clean_logits, adversarial_logits, labels, beta)
    p = tf.nn.softmax(clean)
    q = tf.nn.softmax(adversarial)
    q_runner_up = tf.gather(q, _runner_up(q, labels), batch_dims=1)
    margin = -tf.math.log(1.0001 - q_runner_up + 1e-12)
    divergence = tf.reduce_sum(p * (tf.nn.log_softmax(clean) - tf.math.log(q + 1e-12)), axis=1)
    clean_error = 1.0000001 - tf.gather(p, _class_ids(labels), batch_dims=1)
    boosted = cross_entropy_loss(adversarial, labels) + margin
    return _zero_if_unlabeled(boosted + float(beta) * divergence * clean_error, labels)


def weighted_by_class(losses: tf.Tensor, labels: tf.Tensor, class_weights: Any) -> tf.Tensor:
    """Returns the loss of each image times the weight of its class.

    The mean over a batch still divides by its number of images, so weights with mean 1 over the
    training set keep the scale of a loss.

    Args:
        losses: [num_images], any float dtype.
        labels: [num_images], integer class ids or -1.
        class_weights: [num_classes], numbers >= 0; None returns the losses unchanged.

    Returns:
        [num_images], dtype of `losses`; 0 where the label is -1.

    Example:
        >>> print(weighted_by_class(tf.constant([1.0, 1.0, 1.0]), [0, 1, -1], [0.5, 2.0]).numpy())
        [0.5 2.  0. ]
    """
    if class_weights is None:
        return losses
    labels = label_vector(labels, num_rows(losses))
    weights = tf.gather(tf.constant(class_weights, losses.dtype), _class_ids(labels))
    return _zero_if_unlabeled(losses * weights, labels)


def _runner_up(probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the most likely class other than the label, int32 [num_images]."""
    num_classes = probabilities.shape[1]
    is_label = tf.range(num_classes)[None, :] == labels[:, None]
    others = tf.where(is_label, -tf.ones_like(probabilities), probabilities)
    return tf.argmax(others, axis=1, output_type=tf.int32)


def _class_ids(labels: tf.Tensor) -> tf.Tensor:
    """Returns `labels` with 0 for unlabeled rows, whose results are discarded."""
    return tf.where(is_labeled(labels), labels, 0)


def _zero_if_unlabeled(losses: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.where(is_labeled(labels), losses, tf.zeros_like(losses))


def _checked(
    clean_logits: tf.Tensor, adversarial_logits: tf.Tensor, labels: tf.Tensor, beta: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    check_beta(beta)
    clean, adversarial = _logit_pair(clean_logits, adversarial_logits)
    return clean, adversarial, label_vector(labels, num_rows(clean))


def _logit_pair(
    clean_logits: tf.Tensor, adversarial_logits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    described = "[num_images, num_classes]"
    clean = float_matrix("clean_logits", clean_logits, described)
    adversarial = float_matrix("adversarial_logits", adversarial_logits, described)
    check_shape("adversarial_logits", adversarial, clean.shape.as_list(), described)
    return clean, adversarial
