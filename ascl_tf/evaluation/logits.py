"""Any classifier as one plain function: images to float32 logits, inference mode."""

import inspect

import tensorflow as tf


def make_logits_function(classifier):
    """Returns a function images [B, H, W, C] -> logits [B, num_classes] in float32.

    Args:
        classifier: a Keras 3 or Keras 2 model (called with `training=False`), a
            SavedModel signature (its output `logits`, or its only output), or any
            TensorFlow function. It is called in a graph without AutoGraph: Python
            control flow on tensors needs a `tf.function` of its own.

    Raises:
        ValueError: if `classifier` cannot be called; the function raises if there
            are several outputs and none is called `logits`, or if their shape is
            not [B, num_classes].
    """
    if not callable(classifier):
        raise ValueError(
            "`logits_fn` must be a callable from images to logits; "
            f"received {type(classifier).__name__}."
        )
    settings = {"training": False} if _takes_training(classifier) else {}

    def logits_fn(images):
        logits = tf.cast(_select(classifier(images, **settings)), tf.float32)
        if logits.shape.rank != 2:
            raise ValueError(
                "`logits_fn` must return logits of shape [batch, num_classes]; "
                f"received shape {logits.shape}."
            )
        # Ties the output to the input where a model does not (rounding, say): its
        # gradient is then zero, which a check reports, instead of absent.
        return logits + 0.0 * tf.reduce_sum(images)

    return logits_fn


def _takes_training(classifier):
    call = getattr(classifier, "call", None)
    return callable(call) and "training" in inspect.signature(call).parameters


def _select(outputs):
    if not isinstance(outputs, dict):
        return outputs
    if "logits" in outputs:
        return outputs["logits"]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise ValueError(
        "`logits_fn` must return logits, or a dictionary with the key 'logits'; "
        f"received the keys {sorted(outputs)}."
    )
