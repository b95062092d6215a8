"""Contrastive losses of any number of views, and cross-entropy over several clusterings."""

from collections.abc import Sequence

import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.losses.contrastive import supervised_contrastive_loss
from ascl_tf.losses.gather import gather_views, local_rows
from ascl_tf.losses.inputs import check_temperature, multi_view_matrix, num_rows


def multi_view_contrastive_loss(
    projections: tf.Tensor, *, num_views: int, temperature: float
) -> tf.Tensor:
    """Returns the contrastive loss whose positives are the other views of the same image.

    For anchor i with V - 1 positives P(i), the other views of its image:

        loss_i = -1/(V-1) * sum_{p in P(i)} log( exp(z_i.z_p / t) / sum_{a != i} exp(z_i.z_a / t) )

    This is the supervised contrastive loss with images as classes (Fan et al. 2021,
    arXiv:2111.01124; without the factor t/0.07 of the published code). For two views it is
    NT-Xent. On several replicas, a runs over the views of the global batch.

    Args:
        projections: [num_views * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1, and so on.
        num_views: V, a Python int >= 2.
        temperature: Python number > 0.

    Returns:
        [num_views * num_images], float64 for float64 `projections`, else float32.

    Raises:
        ValueError: if the rank, the number of rows or views, or the temperature does not fit
            the above.
    """
    rows = multi_view_matrix(projections, num_views)
    images = local_rows(num_rows(rows) // num_views, 1)  # Places in the global batch.
    return supervised_contrastive_loss(rows, tf.tile(images, [num_views]), temperature=temperature)


def clustering_loss(logits: Sequence[tf.Tensor], pseudo_labels: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of each image, averaged over several clusterings.

        loss_i = 1/M * sum_m -log softmax(logits_m,i)[pseudo_labels_i,m]

    Fan et al. 2021, arXiv:2111.01124.

    Args:
        logits: list of M tensors [B, k_m], any float dtype.
        pseudo_labels: int [B, M], clusters in 0..k_m - 1.

    Returns:
        [B], float64 for float64 `logits`, else float32.

    Raises:
        ValueError: if `pseudo_labels` does not have one column for each tensor in `logits`.
    """
    pseudo_labels = tf.convert_to_tensor(pseudo_labels)
    if pseudo_labels.shape.rank != 2 or pseudo_labels.shape[1] != len(logits):
        raise ValueError(
            f"`pseudo_labels` must have shape [B, {len(logits)}], a column for each logits; "
            f"received shape {pseudo_labels.shape}."
        )
    losses = [cross_entropy_loss(rows, pseudo_labels[:, m]) for m, rows in enumerate(logits)]
    return tf.add_n(losses) / len(losses)


def one_sided_nt_xent_loss(
    projections: tf.Tensor, *, num_views: int, temperature: float
) -> tf.Tensor:
    """Returns NT-Xent between each view and the other views of its image, summed over these.

    For anchor i with positives P(i), the V - 1 other views of its image, and k_a = z_a
    held constant:

        loss_i = -sum_{p in P(i)} log( exp(z_i.k_p / t) / sum_{a != i} exp(z_i.k_a / t) )

    Kim et al. 2020, arXiv:2006.07589, as in its published code; the paper has the sum over
    P(i) inside the logarithm. The gradient reaches z_i only as an anchor: all other rows are
    constants. On several replicas, a runs over the views of the global batch. For two views,
    the values are those of `nt_xent_loss`.

    Args:
        projections: [num_views * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1, and so on.
        num_views: V, a Python int >= 2.
        temperature: Python number > 0.

    Returns:
        [num_views * num_images], float64 for float64 `projections`, else float32.

    Raises:
        ValueError: if the rank, the number of rows or views, or the temperature does not fit
            the above.
    """
    check_temperature(temperature)
    anchors = multi_view_matrix(projections, num_views)
    keys = gather_views(tf.stop_gradient(anchors), num_views)
    logits = tf.matmul(anchors, keys, transpose_b=True) / float(temperature)  # [V * b, V * B]
    own_columns = local_rows(num_rows(anchors) // num_views, num_views)[:, None]
    columns = tf.range(num_rows(keys))[None, :]
    is_self = own_columns == columns
    is_same_image = (own_columns - columns) % (num_rows(keys) // num_views) == 0
    log_ratios = tf.nn.log_softmax(tf.where(is_self, logits.dtype.min, logits), axis=1)
    is_positive = is_same_image & ~is_self
    return -tf.reduce_sum(tf.where(is_positive, log_ratios, tf.zeros_like(log_ratios)), axis=1)
