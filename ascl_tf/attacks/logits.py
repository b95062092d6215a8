"""Any classifier as one plain function: images to float32 logits, inference mode."""

import inspect
from collections.abc import Callable

import tensorflow as tf

from ascl_tf.attacks.arguments import check_gradient, check_logits

# Images [B, H, W, C] -> logits [B, K].
LogitsFunction = Callable[[tf.Tensor], tf.Tensor]


def as_logits_function(classifier):
    """Returns a function images [B, H, W, C] -> logits [B, num_classes] in float32.

    Args:
        classifier: a Keras 3 or Keras 2 model (called with `training=False`), a
            SavedModel signature, or any TensorFlow function. It must have an output `logits` or
            a single output. It is called in a graph without AutoGraph: Python control
            flow on tensors needs a `tf.function` of its own.

    Raises:
        ValueError: if `classifier` is not callable. The returned function raises it if there are
            several outputs and none is called `logits`, or if the shape is not [B, num_classes].
    """
    if not callable(classifier):
        raise ValueError(
            "`logits_fn` must be a callable from images to logits; "
            f"received {type(classifier).__name__}."
        )
    settings = {"training": False} if _takes_training(classifier) else {}

    def logits_fn(images):
        logits = tf.cast(select_output(classifier(images, **settings), "logits"), tf.float32)
        if logits.shape.rank != 2:
            raise ValueError(
                "`logits_fn` must return logits of shape [batch, num_classes]; "
                f"received shape {logits.shape}."
            )
        return logits

    return logits_fn


def check_differentiable(logits_fn, images):
    """Returns the sum of the logits; raises ValueError if it has no gradient by the images."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = tf.reduce_sum(logits_fn(images))
    check_gradient(tape.gradient(total, images))
    return total


def check_logits_function(logits_fn, predict, image_shape, num_classes, needs_gradient):
    """Traces the function; raises ValueError naming `logits_fn` if it does not fit."""
    images = tf.TensorSpec([None, *image_shape], tf.float32)

    def gradient(images):
        return check_differentiable(logits_fn, images)

    try:
        logits = predict.get_concrete_function().structured_outputs
        if needs_gradient:
            # On the bare function: of a traced one an absent gradient comes as zeros.
            tf.function(gradient, autograph=False).get_concrete_function(images)
    except (TypeError, ValueError, AttributeError, NotImplementedError, LookupError) as error:
        if str(error).startswith("`logits_fn`"):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ValueError(
            "`logits_fn` must be a TensorFlow function of images with shape "
            f"{tuple(images.shape)}; received one that raises {type(error).__name__}: {reason}"
        ) from error
    received = check_logits(logits, images)
    if received != num_classes:
        raise ValueError(
            f"`logits_fn` must return {num_classes} logits per image (`num_classes`); "
            f"received {received}."
        )


def _takes_training(classifier):
    call = getattr(classifier, "call", None)
    return callable(call) and "training" in inspect.signature(call).parameters


def select_output(outputs, name):
    """Returns the output called `name` ("logits" or "features"), or the only one.

    Raises:
        ValueError: if there are several outputs, and none has that name.
    """
    if isinstance(outputs, (list, tuple)):
        outputs = dict(enumerate(outputs))
    if not isinstance(outputs, dict):
        return outputs
    if name in outputs:
        return outputs[name]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise ValueError(
        f"`{name}_fn` must return {name}, or a dictionary with the key {name!r}; "
        f"received the keys {sorted(outputs)}."
    )


def make_logits_function(classifier):
    """Returns a function images [B, H, W, C] -> logits [B, num_classes] in float32.

    Like `as_logits_function`, but it always has a gradient: zero if the classifier has none.

    Raises:
        ValueError: as in `as_logits_function`.
    """
    untied = as_logits_function(classifier)

    def logits_fn(images):
        # Ties the output to the input where a model does not (rounding, say): its
        # gradient is then zero, which a check reports, instead of absent.
        return untied(images) + 0.0 * tf.reduce_sum(images)

    return logits_fn
