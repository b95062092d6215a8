"""What an attack raises on an image without a label where its loss needs one.

    cross-entropy, the boosted one of MART      KL from the prediction on the natural image
    the supervised contrastive losses           NT-Xent, as the attack from `cl` raises it

A gradient reaches such an image through its own loss alone, and an image with a label through
the loss that has the label: neither changes how the other is attacked. Where all images of a
batch have a label, no pass is made and nothing is added.
"""

import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss, kl_divergence
from ascl_tf.losses.gather import count_replicas
from ascl_tf.losses.inputs import is_labeled
from ascl_tf.models import ADVERSARIAL


def natural_logits_if_unlabeled(method, images, labels):
    """Returns the logits [V * B, C] that `cross_entropy_or_divergence` holds constant.

    Inference mode, adversarial branch; zeros, without a pass, where every label is known.

    Args:
        method: a `Method` with a linear head.
        images: [V * B, H, W, 3], natural images or views, view-major.
        labels: int32 [B].
    """
    zeros_shape = [tf.shape(images)[0], method.linear_head.num_classes]
    return tf.cond(
        _any_unlabeled(labels),
        lambda: method.logits(images, branch=ADVERSARIAL, training=False),
        lambda: tf.zeros(zeros_shape, method.pixel_dtype),
    )


def cross_entropy_or_divergence(logits, natural_logits, labels):
    """Returns the cross-entropy of images with a label, KL(natural || perturbed) of the others.

    Args:
        logits: [B, C] of the perturbed images.
        natural_logits: [B, C]; of images with a label any finite numbers.
        labels: int32 [B], -1 = unlabeled.

    Returns:
        [B], at least float32, in nats.
    """
    divergence = kl_divergence(natural_logits, logits)
    return tf.where(is_labeled(labels), cross_entropy_loss(logits, labels), divergence)


def with_label_free_loss(losses, label_free_loss, projections, labels):
    """Returns `losses` plus a loss whose gradient reaches projections without a label alone.

    Args:
        losses: [2B], a loss that images without a label take no part in.
        label_free_loss: projections -> [2B].
        projections: [V * B, D] of perturbed images, view-major.
        labels: int32 [B], -1 = unlabeled.
    """

    def of_unlabeled():
        num_views = tf.shape(projections)[0] // tf.shape(labels)[0]
        is_fixed = tf.tile(is_labeled(labels), [num_views])[:, None]
        return label_free_loss(tf.where(is_fixed, tf.stop_gradient(projections), projections))

    if count_replicas() > 1:  # No branch can hold the exchange between replicas.
        return losses + of_unlabeled()
    return losses + tf.cond(_any_unlabeled(labels), of_unlabeled, lambda: tf.zeros_like(losses))


def _any_unlabeled(labels):
    return ~tf.reduce_all(is_labeled(labels))
