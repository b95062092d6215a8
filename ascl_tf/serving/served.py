"""What is exported: a classifier as plain functions of images of one size."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras

from ascl_tf.attacks.logits import as_logits_function
from ascl_tf.models import ADVERSARIAL, Classifier
from ascl_tf.serving.loading import LoadedModel, find_features, image_spec


class Served(NamedTuple):
    """A classifier in inference mode.

    Attributes:
        logits_fn: images float32 [B, H, W, 3] in [0, 1] -> logits float32 [B, C].
        features_fn: the same images -> features [B, F]; None where the model does not say them.
        image_shape: (H, W, 3).
        tracked: what holds its variables, by the name that a SavedModel keeps it under.
        model: the Keras model; None of a SavedModel.
    """

    logits_fn: Callable
    features_fn: Callable | None
    image_shape: tuple[int, int, int]
    tracked: Mapping[str, Any]
    model: keras.Model | None


def as_served(model, image_shape=None):
    """Returns a model - a Keras model, or a `LoadedModel` - as `Served`.

    Args:
        model: of this package the branch of adversarial images is taken.
        image_shape: (H, W, 3); None: as the model says.

    Raises:
        ValueError: if it is no built model, or neither it nor `image_shape` says how large its
            images are.
    """
    # An encoder returns features.
    is_encoder = hasattr(model, "feature_dim")
    is_served = isinstance(model, keras.Model) and model.built and not is_encoder
    if not is_served and not isinstance(model, LoadedModel):
        raise ValueError(
            "`classifier` must be a built Keras model images -> logits, as of `ascl_tf.finetune`; "
            f"received {type(model).__name__}."
        )
    if isinstance(model, LoadedModel) and not isinstance(model.logits_fn, keras.Model):
        logits_fn, features_fn = as_logits_function(model.logits_fn), model.features_fn
        tracked = {"loaded": model.logits_fn.loaded}
        return Served(
            logits_fn, features_fn, _shape(model.logits_fn, image_shape), tracked, model=None
        )
    if isinstance(model, LoadedModel):
        model = model.logits_fn
    shape = _shape(model, image_shape)
    tracked = {"variables": [variable.value for variable in model.variables]}
    if isinstance(model, Classifier):
        mode = {"training": False, "branch": ADVERSARIAL}
        return Served(
            lambda images: model(images, **mode),
            lambda images: model.features(images, **mode),
            shape,
            tracked,
            model,
        )
    return Served(as_logits_function(model), find_features(model), shape, tracked, model)


def _shape(model, wanted):
    found = wanted or getattr(model, "image_shape", None)
    if found is None:
        spec = image_spec(model)
        found = (None,) if spec is None else tuple(spec.shape[1:])
    if len(found) != 3 or None in found:
        raise ValueError(
            "`image_shape` must be (H, W, 3) where the model takes images of any size; "
            f"received {wanted}."
        )
    return tuple(found)
