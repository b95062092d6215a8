"""Features of any model as one plain function, and of many images as one array."""

import inspect

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.logits import select_output


def as_features_function(features_fn):
    """Returns a function images [B, H, W, C] -> pooled features [B, F] in float32.

    Args:
        features_fn: a Keras model (called with `training=False`), `Classifier.features`, a
            SavedModel signature (its output `features`, or its only output), or any
            TensorFlow function.

    Raises:
        ValueError: if `features_fn` cannot be called; the function raises if there are
            several outputs and none is called `features`, or if their shape is not [B, F].
    """
    if not callable(features_fn):
        raise ValueError(
            "`features_fn` must be a callable from images to features; "
            f"received {type(features_fn).__name__}."
        )
    settings = {"training": False} if _takes_training(features_fn) else {}

    def as_float32(images):
        features = tf.cast(select_output(features_fn(images, **settings), "features"), tf.float32)
        if features.shape.rank != 2:
            raise ValueError(
                "`features_fn` must return pooled features of shape [batch, num_features]; "
                f"received shape {features.shape}."
            )
        return features

    return as_float32


def features_of(features_fn, images, *, batch_size=250):
    """Returns the features of all images, NumPy float32 [N, F].

    Args:
        features_fn: as for `as_features_function`.
        images: [N, H, W, C], uint8, or float in [0, 1].
        batch_size: images per call.

    Raises:
        ValueError: as `as_features_function` and `as_unit_images`, and for features that are
            not finite.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1; received {batch_size}.")
    images = as_unit_images(images)
    compiled = compile_once(as_features_function(features_fn), [None, *images.shape[1:]])
    starts = range(0, len(images), batch_size)
    batches = (tf.constant(images[start : start + batch_size]) for start in starts)
    features = np.concatenate([compiled(batch).numpy() for batch in batches])
    if not np.all(np.isfinite(features)):
        raise ValueError("`features_fn` must return finite features; received NaN or infinity.")
    return features


def compile_once(function, shape):
    """Returns `function` of float32 images of that shape as one graph.

    Not called through `tf.function` itself, which warns of retracing where the same
    line of code makes a graph for each of several models.
    """
    images = tf.TensorSpec(shape, tf.float32)
    return tf.function(function, autograph=False).get_concrete_function(images)


def as_unit_images(images):
    """Returns images [N, H, W, C] as float32 in [0, 1]; uint8 is divided by 255.

    Raises:
        ValueError: if `images` are not like that, or outside of [0, 1].
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise ValueError(
            "`images` must have shape [num_images, height, width, channels] without a zero; "
            f"received shape {images.shape}."
        )
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    # Written so that NaN fails too. Of other integers nothing says what white is.
    is_float = np.issubdtype(images.dtype, np.floating)
    if not is_float or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            "`images` must be uint8, or in [0, 1] as floating point; "
            f"received {images.dtype} from {images.min():g} to {images.max():g}."
        )
    return images.astype(np.float32)


def choose_rows(num_available, num_chosen, *, seed):
    """Returns `num_chosen` different places below `num_available` by seed, ascending, int [N].

    Raises:
        ValueError: if there are not so many.
    """
    if not 1 <= num_chosen <= num_available:
        raise ValueError(
            f"`num_images` must be from 1 to the {num_available} images that there are; "
            f"received {num_chosen}."
        )
    return np.sort(np.random.default_rng(seed).permutation(num_available)[:num_chosen])


def _takes_training(features_fn):
    # Of a Keras model the signature of `call` counts: its `__call__` takes anything.
    function = getattr(features_fn, "call", features_fn)
    try:
        return "training" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
