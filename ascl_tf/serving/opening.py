"""Any file of a classifier, ours or not, as functions of pictures' pixels."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.config.paths import MODEL, expand
from ascl_tf.data.resizing import CROP, check_way
from ascl_tf.errors import RunError
from ascl_tf.serving import onnx, tflite
from ascl_tf.serving.card import read_card
from ascl_tf.serving.loading import image_spec, load_model
from ascl_tf.serving.saved_model import fit
from ascl_tf.serving.served import as_served

_RUNTIMES = {".tflite": tflite.load, ".onnx": onnx.load}


class Opened(NamedTuple):
    """A classifier that is asked about pictures.

    Attributes:
        logits_fn: float32 [B, H, W, 3] in [0, 1] -> NumPy logits [B, C].
        features_fn: the same images -> NumPy features [B, F]; None where it has none.
        image_shape: (H, W, 3).
        how: how pictures of another size are brought to that, see `ascl_tf.data.resizing`.
        class_names: one per class; None where they are not known.
    """

    logits_fn: Callable
    features_fn: Callable | None
    image_shape: tuple[int, int, int]
    how: str
    class_names: list[str] | None

    def fit(self, pixels):
        """Returns a picture, uint8 [h, w, 3], as the model's float32 [H, W, 3] in [0, 1]."""
        fitted = pixels
        if pixels.shape != tuple(self.image_shape):
            fitted = fit(pixels, self.image_shape, self.how).numpy()
        return fitted.astype(np.float32) / np.float32(255)

    def name_of(self, number):
        """Returns the name of a class, or its number as text."""
        names = self.class_names
        return names[number] if names and number < len(names) else str(number)


def open_model(model, *, image_size=None, resize=None, trust_model=False):
    """Returns an `Opened`.

    Args:
        model: path of a SavedModel folder or a .keras, .tflite or .onnx file, "pretrained:NAME",
            or a Keras model. What it does not say itself is read from the card beside it.
        image_size: height and width of its images, for a model that takes any size.
        resize: "stretch", "crop" or "pad"; None: as the card says, else "crop".
        trust_model: see `load_model`.

    Raises:
        ValueError: if `resize` is none of these.
        RunError: if there is no such model, or its images' size is not known.
    """
    check_way(resize or CROP)
    try:
        model = expand(model, MODEL) if isinstance(model, str) else model
    except ValueError as error:
        raise RunError(error, field="model") from None
    is_model = isinstance(model, keras.Model)
    card = None if is_model else read_card(model)
    runtime = None if is_model else _RUNTIMES.get(pathlib.Path(model).suffix)
    shape = (image_size, image_size, 3) if image_size else card and (*card["image_size"], 3)
    how = resize or (card["resize"] if card else CROP)
    names = card["class_names"] if card else None
    if runtime is not None:
        logits_fn = runtime(model)
        return Opened(logits_fn, None, _checked(logits_fn, shape, model), how, names)
    source = model if is_model else load_model(model, trust_model=trust_model)
    _checked(source if is_model else source.logits_fn, shape, model)
    served = as_served(source, shape)
    shape = served.image_shape
    features_fn = served.features_fn and _as_numpy(served.features_fn, shape)
    return Opened(_as_numpy(served.logits_fn, shape), features_fn, shape, how, names)


def _as_numpy(function, image_shape):
    images = tf.TensorSpec([None, *image_shape], tf.float32)
    traced = tf.function(function, [images], autograph=False)
    return lambda images: traced(tf.constant(images)).numpy()


def _checked(logits_fn, wanted, model):
    """Returns the shape of the images that a model takes: `wanted`, or what it says itself."""
    spec = image_spec(logits_fn)
    own = getattr(logits_fn, "image_shape", None) or (None if spec is None else spec.shape[1:])
    found = tf.TensorShape(own if wanted is None else wanted)
    if own is not None and not tf.TensorShape(own).is_compatible_with(found):
        expected = f"the {own[0]} x {own[1]} pixels that the model takes"
        raise RunError(field="image_size", expected=expected, found=wanted[0])
    if not found.is_fully_defined() or found[-1] != 3:
        expected = "the height and width of its images, which the model does not say"
        if found.rank and found[-1] not in (None, 3):
            expected = f"a model of RGB images, channels last, and not of shape {found}"
        raise RunError(field="image_size", expected=expected, found="none")
    return tuple(found)
