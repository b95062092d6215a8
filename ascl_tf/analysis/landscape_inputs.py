"""What both loss landscapes share: checks of what they take, offsets, the document."""

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.arguments import check_logits, check_shapes, check_values
from ascl_tf.attacks.logits import as_logits_function


def as_landscape_inputs(logits_fn, images, labels):
    """Returns (logits function, images float32, labels int32), checked.

    The model is tried on one image alone: all of them at once may not fit into memory.

    Raises:
        ValueError: if shapes, types, ranges or the shape of the logits do not fit.
    """
    logits_fn = as_logits_function(logits_fn)
    images, labels = np.asarray(images), np.asarray(labels)
    check_shapes(images, labels)
    images = images.astype(np.float32)
    first = tf.constant(images[:1])
    check_values(images, labels, check_logits(logits_fn(first), first))
    return logits_fn, tf.constant(images), tf.constant(labels.astype(np.int32))


def check_counts(*, batch_size, **counts):
    """Raises ValueError unless `batch_size` is >= 1 and each of the others odd and >= 3."""
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1; received {batch_size}.")
    for name, count in counts.items():
        if count < 3 or count % 2 == 0:
            raise ValueError(f"`{name}` must be odd and >= 3; received {count}.")


def centered_offsets(limit, count):
    """Returns float64 [count] from -limit to limit, whose middle is exactly 0."""
    offsets = np.linspace(-limit, limit, count)
    offsets[count // 2] = 0.0
    return offsets


def landscape_document(figure, results):
    """Returns the document of a figure from a dictionary label -> landscape, of equal parameters.

    Args:
        figure: "input_landscape" or "weight_landscape".
        results: what the function of that name returns, for each model.
    """
    models = [{"label": label, **result} for label, result in results.items()]
    (parameters, *_) = [model.pop("parameters") for model in models]
    return {"figure": figure, "parameters": parameters, "models": models}
