"""Contrastive losses of the paper (eq. 4, 7, 8, 9), one unreduced value per anchor.

Every function takes the rows of one replica, with unit l2 norm, compares them with the
rows of all replicas, and returns one value for each row of its own replica. `gather.global_mean`
takes the mean. Equation numbers are those of Li et al., "Adversarial supervised
contrastive learning", Machine Learning, 2022; t stands for `temperature`.
"""

import tensorflow as tf

from ascl_tf.losses.gather import gather_across_replicas, gather_views, local_rows
from ascl_tf.losses.inputs import (
    check_choice,
    check_shape,
    check_temperature,
    float_matrix,
    is_labeled,
    label_vector,
    num_rows,
    view_pair_matrix,
)

DENOMINATORS = ("joint", "clean", "adversarial")
POSITIVES = ("cross", "all")


def nt_xent_loss(projections: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Returns the NT-Xent loss, whose positive is the other view of the same image.

    For anchor i with the other view j (eq. 4; Chen et al. 2020, arXiv:2002.05709, eq. 1):

        loss_i = -log( exp(z_i.z_j / t) / sum_{a != i} exp(z_i.z_a / t) )

    On several replicas, a runs over the views of the global batch.

    Args:
        projections: [2 * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1.
        temperature: Python number > 0.

    Returns:
        [2 * num_images], float64 for float64 `projections`, else float32.

    Raises:
        ValueError: if the rank, the number of rows or the temperature does not fit the above.

    Example:
        >>> views = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]  # Two views of two images.
        >>> print(nt_xent_loss(views, temperature=1.0).numpy().round(3))
        [0.551 0.551 0.551 0.551]
    """
    check_temperature(temperature)
    anchors = view_pair_matrix("projections", projections)
    others = gather_views(anchors, 2)
    num_others = num_rows(others)
    own_columns = local_rows(num_rows(anchors) // 2, 2)
    return _loss_per_anchor(
        _contrastive_logits(anchors, others, temperature),
        is_positive=_is_column((own_columns + num_others // 2) % num_others, num_others),
        in_denominator=~_is_column(own_columns, num_others),
    )


def supervised_contrastive_loss(
    projections: tf.Tensor, labels: tf.Tensor, *, temperature: float
) -> tf.Tensor:
    """Returns the supervised contrastive loss, with positives averaged outside the logarithm.

    For anchor i with positive set P(i), the rows of the same class other than i (eq. 7;
    Khosla et al. 2020, arXiv:2004.11362, eq. 2, without a factor t or t/0.07):

        loss_i = -1/|P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / t) / sum_{a != i} exp(z_i.z_a / t) )

    Rows with label -1 are unlabeled and do not take part: they are neither positives nor
    negatives. On several replicas, p and a run over the rows of the global batch.

    Args:
        projections: [num_anchors, dim], any float dtype, unit l2 norm per row, in any order.
        labels: [num_anchors], integer class ids or -1.
        temperature: Python number > 0.

    Returns:
        [num_anchors], float64 for float64 `projections`, else float32. Rows without a
        positive, and unlabeled rows, get exactly 0.

    Raises:
        ValueError: if a rank, a length, the dtype of `labels` or the temperature does not fit
            the above.

    Example:
        >>> projections = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
        >>> loss = supervised_contrastive_loss(projections, [0, 0, 1, 1], temperature=1.0)
        >>> print(loss.numpy().round(3))
        [0.551 0.551 0.551 0.551]
    """
    check_temperature(temperature)
    anchors = float_matrix("projections", projections, "[num_anchors, dim]")
    labels = label_vector(labels, num_rows(anchors), "[num_anchors]")
    others = gather_across_replicas(anchors)
    other_labels = gather_across_replicas(labels)
    not_self = ~_is_column(local_rows(num_rows(anchors), 1), num_rows(others))
    return _loss_per_anchor(
        _contrastive_logits(anchors, others, temperature),
        is_positive=_is_same_class(labels, other_labels) & not_self,
        in_denominator=is_labeled(other_labels)[None, :] & not_self,
    )


def adversarial_supervised_contrastive_loss(
    clean_projections: tf.Tensor,
    adversarial_projections: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: float,
    denominator: str = "joint",
    positives: str = "cross",
) -> tf.Tensor:
    """Returns the ASCL loss, between clean views and adversarial images of the same class.

    For clean view i of an image, with the chosen denominator D_i (eq. 9):

        loss_i = -1/|P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / t) / D_i )

    P(i) are the adversarial images of the same class, including that of i's own image, and
    with positives="all" also the other clean views of the class. D_i sums exp(z_i.z_a / t)

        joint        over the clean views a != i and all adversarial images
        clean        over the clean views a != i only
        adversarial  over all adversarial images only

    Differs from the paper: eq. 9 lacks the index p. Taken literally it is "clean", where
    positives are outside their own denominator, so the loss is not a log-probability (it can be
    negative). Images with label -1 do not take part. On several replicas, p and a run over
    the global batch.

    Args:
        clean_projections: [2 * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1. These are the anchors.
        adversarial_projections: [num_images, dim], one adversarial image for each image.
        labels: [num_images], integer class ids or -1.
        temperature: Python number > 0.
        denominator: "joint", "clean" or "adversarial".
        positives: "cross" or "all".

    Returns:
        [2 * num_images], view-major, float64 for float64 projections, else float32.
        Views of unlabeled images get exactly 0.

    Raises:
        ValueError: if a rank, a length, the dtype of `labels`, the temperature or a name does not
            fit the above.

    Example:
        >>> view_0 = view_1 = tf.constant([[1.0, 0.0], [0.0, 1.0]])  # Of two images.
        >>> clean = tf.concat([view_0, view_1], axis=0)
        >>> perturbed = [[1.0, 0.0], [0.0, 1.0]]
        >>> loss = adversarial_supervised_contrastive_loss(
        ...     clean, perturbed, [0, 1], temperature=1.0, denominator="joint"
        ... )
        >>> print(loss.numpy().round(3))
        [1.133 1.133 1.133 1.133]
    """
    check_temperature(temperature)
    check_choice("denominator", denominator, DENOMINATORS)
    check_choice("positives", positives, POSITIVES)
    anchors = view_pair_matrix("clean_projections", clean_projections)
    num_images = num_rows(anchors) // 2
    described = "[num_images, dim]"
    perturbed = float_matrix("adversarial_projections", adversarial_projections, described)
    check_shape("adversarial_projections", perturbed, [num_images, anchors.shape[1]], described)
    labels = label_vector(labels, num_images)

    # The adversarial images are gathered as a third view: one collective for both.
    others = gather_views(tf.concat([anchors, perturbed], axis=0), 3)
    other_labels = tf.tile(gather_across_replicas(labels), [3])
    num_others = num_rows(others)
    not_self = ~_is_column(local_rows(num_images, 3)[: 2 * num_images], num_others)
    is_clean = tf.range(num_others)[None, :] < num_others // 3 * 2
    columns = {"joint": not_self, "clean": not_self & is_clean, "adversarial": ~is_clean}
    candidates = not_self if positives == "all" else ~is_clean
    return _loss_per_anchor(
        _contrastive_logits(anchors, others, temperature),
        is_positive=_is_same_class(tf.tile(labels, [2]), other_labels) & candidates,
        in_denominator=is_labeled(other_labels)[None, :] & columns[denominator],
    )


def adversarial_pair_supervised_contrastive_loss(
    adversarial_projections: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: float,
    clean_projections: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns the supervised contrastive loss between adversarial views, which the paper rejects.

    For adversarial view i, where P(i) are the adversarial views of the same class other than i
    (eq. 8):

        loss_i = -1/|P(i)| * sum_{p in P(i)} log( exp(z_i.z_p / t) / sum_{a != i} exp(z_i.c_a / t) )

    Without `clean_projections`, c_a is the adversarial view a: eq. 7 on adversarial views. With
    them, c_a is the clean view a, which is eq. 8 taken literally and not a log-probability.
    Images with label -1 do not take part. On several replicas, p and a run over the global batch.

    Args:
        adversarial_projections: [2 * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1. These are the anchors.
        labels: [num_images], integer class ids or -1.
        temperature: Python number > 0.
        clean_projections: None, or the same views without perturbation, in the same order.

    Returns:
        [2 * num_images], view-major, float64 for float64 projections, else float32.
        Views of unlabeled images get exactly 0.

    Raises:
        ValueError: if a rank, a length, the dtype of `labels` or the temperature does not fit
            the above.

    Example:
        >>> perturbed = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
        >>> loss = adversarial_pair_supervised_contrastive_loss(perturbed, [0, 1], temperature=1.0)
        >>> print(loss.numpy().round(3))
        [0.551 0.551 0.551 0.551]
    """
    check_temperature(temperature)
    anchors = view_pair_matrix("adversarial_projections", adversarial_projections)
    num_images = num_rows(anchors) // 2
    labels = label_vector(labels, num_images)
    view_labels = tf.tile(labels, [2])
    if clean_projections is None:
        return supervised_contrastive_loss(anchors, view_labels, temperature=temperature)
    clean = view_pair_matrix("clean_projections", clean_projections)
    check_shape("clean_projections", clean, anchors.shape.as_list(), "[2 * num_images, dim]")

    others = gather_views(tf.concat([anchors, clean], axis=0), 4)
    other_labels = tf.tile(gather_across_replicas(labels), [4])
    num_views = num_rows(others) // 2
    not_self = ~_is_column(local_rows(num_images, 2), num_views)
    nowhere = tf.zeros_like(not_self)
    is_other_perturbed = tf.concat([not_self, nowhere], axis=1)
    is_other_clean = tf.concat([nowhere, not_self], axis=1)
    return _loss_per_anchor(
        _contrastive_logits(anchors, others, temperature),
        is_positive=_is_same_class(view_labels, other_labels) & is_other_perturbed,
        in_denominator=is_labeled(other_labels)[None, :] & is_other_clean,
    )


def _contrastive_logits(anchors: tf.Tensor, others: tf.Tensor, temperature: float) -> tf.Tensor:
    return tf.matmul(anchors, others, transpose_b=True) / float(temperature)  # [N, N_all]


def _is_column(columns: tf.Tensor, num_columns: int | tf.Tensor) -> tf.Tensor:
    """Returns bool [N, num_columns]: True in row i at column `columns[i]` only."""
    return columns[:, None] == tf.range(num_columns)[None, :]


def _is_same_class(anchor_labels: tf.Tensor, other_labels: tf.Tensor) -> tf.Tensor:
    """Returns bool [N, N_all]; unlabeled rows are of no class, not even of one another's."""
    same = anchor_labels[:, None] == other_labels[None, :]
    return same & is_labeled(anchor_labels)[:, None]


def _loss_per_anchor(
    contrastive_logits: tf.Tensor, *, is_positive: tf.Tensor, in_denominator: tf.Tensor
) -> tf.Tensor:
    """Returns [N]: minus the mean over positives of log(exp(logit) / denominator).

    Positives may stand outside the denominator. An anchor without positive gives exactly 0;
    in every loss here an anchor with an empty denominator has no positive either.
    """
    log_ratios = _log_ratios(contrastive_logits, in_denominator)
    total = tf.reduce_sum(tf.where(is_positive, log_ratios, tf.zeros_like(log_ratios)), axis=1)
    num_positives = tf.reduce_sum(tf.cast(is_positive, total.dtype), axis=1)
    return -tf.math.divide_no_nan(total, num_positives)


def _log_ratios(contrastive_logits: tf.Tensor, in_denominator: tf.Tensor) -> tf.Tensor:
    """Returns [N, N_all]: log(exp(logit) / sum of exp over the row's denominator).

    On columns of the denominator this is `log_softmax`. For an empty denominator the values
    are finite and mean nothing.
    """
    masked = tf.where(in_denominator, contrastive_logits, contrastive_logits.dtype.min)
    # Taken off first, so that small losses keep their digits at low temperatures.
    row_max = tf.stop_gradient(tf.reduce_max(masked, axis=1, keepdims=True))
    log_sum = tf.reduce_logsumexp(masked - row_max, axis=1, keepdims=True)
    return contrastive_logits - row_max - log_sum
