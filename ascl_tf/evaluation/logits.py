"""Any classifier as one plain function: images to float32 logits, inference mode."""

import tensorflow as tf

from ascl_tf.attacks.logits import as_logits_function


def make_logits_function(classifier):
    """Returns a function images [B, H, W, C] -> logits [B, num_classes] in float32.

    As `ascl_tf.attacks.logits.as_logits_function`, but with a gradient always: it is
    zero where the classifier has none.

    Raises:
        ValueError: as there.
    """
    untied = as_logits_function(classifier)

    def logits_fn(images):
        # Ties the output to the input where a model does not (rounding, say): its
        # gradient is then zero, which a check reports, instead of absent.
        return untied(images) + 0.0 * tf.reduce_sum(images)

    return logits_fn
