"""NT-Xent as RoCL has it: any number of views, and no gradient through what an anchor meets."""

import tensorflow as tf

from ascl_tf.losses.gather import gather_views, local_rows
from ascl_tf.losses.inputs import check_temperature, multi_view_matrix, num_rows


def one_sided_nt_xent_loss(projections, *, num_views, temperature):
    """Returns NT-Xent of each view against the other views of its image, summed over these.

    For anchor i with positives P(i), the V - 1 other views of its image, and k_a = z_a
    held constant:

        loss_i = -sum_{p in P(i)} log( exp(z_i.k_p / t) / sum_{a != i} exp(z_i.k_a / t) )

    Kim et al. 2020, arXiv:2006.07589, in the form of its published code; the paper has the
    sum over P(i) inside the logarithm. The gradient reaches z_i as an anchor only, as if
    every other row were a constant. On several replicas a runs over the views of the global
    batch. For two views the values are those of `nt_xent_loss`.

    Args:
        projections: [num_views * num_images, dim], any float dtype, unit l2 norm per row,
            view-major: view 0 of all images, then view 1, and so on.
        num_views: V, a Python int >= 2.
        temperature: Python number > 0.

    Returns:
        [num_views * num_images], float64 for float64 `projections`, else float32.

    Raises:
        ValueError: on a rank, a number of rows, of views, or a temperature that does not fit
            the above.
    """
    check_temperature(temperature)
    anchors = multi_view_matrix("projections", projections, num_views)
    keys = gather_views(tf.stop_gradient(anchors), num_views)
    logits = tf.matmul(anchors, keys, transpose_b=True) / float(temperature)  # [V * b, V * B]
    own_columns = local_rows(num_rows(anchors) // num_views, num_views)[:, None]
    columns = tf.range(num_rows(keys))[None, :]
    is_self = own_columns == columns
    is_same_image = (own_columns - columns) % (num_rows(keys) // num_views) == 0
    log_ratios = tf.nn.log_softmax(tf.where(is_self, logits.dtype.min, logits), axis=1)
    is_positive = is_same_image & ~is_self
    return -tf.reduce_sum(tf.where(is_positive, log_ratios, tf.zeros_like(log_ratios)), axis=1)
