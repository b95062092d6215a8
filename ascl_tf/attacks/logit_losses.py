"""Losses on logits that the attacks of AutoAttack maximize, one value per image.

Croce and Hein 2020, arXiv:2003.01690, section 4. The ratios of logit differences do not change
when all logits are shifted or scaled, so a model cannot hide behind the size of its logits.
"""

import tensorflow as tf

# Equal logits give 0 instead of NaN.
_TINY = 1e-12


def cross_entropy(logits, labels):
    """Returns -log softmax(logits)[label], [B]."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def dlr_loss(logits, labels):
    """Returns the difference of logits ratio, [B].

    With logits z, sorted z(1) >= z(2) >= z(3), and label y:

        -(z_y - max_{j != y} z_j) / (z(1) - z(3))

    Croce and Hein 2020, Eq. 6. Positive where the image is misclassified.

    Args:
        logits: [B, K] float, K >= 3.
        labels: int [B].
    """
    top = tf.math.top_k(logits, k=3)
    is_label = tf.cast(tf.equal(top.indices[:, 0], tf.cast(labels, tf.int32)), logits.dtype)
    other = top.values[:, 1] * is_label + top.values[:, 0] * (1 - is_label)
    spread = top.values[:, 0] - top.values[:, 2]
    return -(_pick(logits, labels) - other) / (spread + _TINY)


def targeted_dlr_loss(logits, labels, targets):
    """Returns the difference of logits ratio towards a target class, [B].

        -(z_y - z_t) / (z(1) - (z(3) + z(4)) / 2)

    Croce and Hein 2020, Eq. 7.

    Args:
        logits: [B, K] float, K >= 4.
        labels: int [B], the classes y.
        targets: int [B], the classes t.
    """
    top = tf.math.top_k(logits, k=4).values
    spread = top[:, 0] - 0.5 * (top[:, 2] + top[:, 3])
    return -(_pick(logits, labels) - _pick(logits, targets)) / (spread + _TINY)


def margin(logits, labels):
    """Returns z_y - max_{j != y} z_j, [B]: positive where the image is classified correctly."""
    is_label = tf.one_hot(labels, tf.shape(logits)[1], on_value=True, off_value=False)
    others = tf.where(is_label, logits.dtype.min, logits)
    return _pick(logits, labels) - tf.reduce_max(others, axis=1)


def is_correct(logits, labels):
    """Returns whether the first largest logit is the label's, bool [B]."""
    return tf.equal(tf.argmax(logits, axis=1, output_type=labels.dtype), labels)


def likely_classes(logits, rank):
    """Returns the class with the `rank`-th largest logit, int32 [B]; rank 1 is the prediction."""
    order = tf.argsort(logits, axis=1, direction="DESCENDING", stable=True)
    return order[:, rank - 1]


def _pick(logits, classes):
    return tf.gather(logits, classes, axis=1, batch_dims=1)
