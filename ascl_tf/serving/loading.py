"""A model from a file - a SavedModel folder or a .keras file, ours or not - as plain functions."""

import functools
import json
import pathlib
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.models.signatures import as_image_function

# Not read here: PyTorch is an optional extra, and its networks are known by their names alone.
TORCH_SUFFIXES = (".pt", ".pth")
SERVING, UINT8, FEATURES = "serving_default", "serve_uint8", "features"


class LoadedModel(NamedTuple):
    """A model from a file, ours or not.

    Attributes:
        logits_fn: images float32 [B, H, W, 3] in [0, 1] -> logits [B, num_classes]; a Keras
            model where the file holds one.
        features_fn: images -> pooled features [B, F]; None where the file does not say them.
        weights: its trainable `tf.Variable`s; assigning to them changes what both functions
            return.
    """

    logits_fn: Callable
    features_fn: Callable | None
    weights: list


def load_model(path, *, trust_model=False):
    """Returns the `LoadedModel` in a SavedModel folder or a .keras file.

    Of a SavedModel the signatures `serving_default` and, where it has one, `features` are
    taken: of each its output of that name, or its only one. A signature of a fixed number of
    images serves any number of them.

    Args:
        path: the folder or file.
        trust_model: whether to load a .keras file that holds a Lambda layer, and so to run
            Python code from that file.

    Raises:
        RunError: if `path` is neither, has no signature `serving_default` of one input of
            floats, is a Keras model of several inputs, or holds a Lambda layer and is not
            trusted.
    """
    path = pathlib.Path(path)
    if path.suffix == ".keras" and path.is_file():
        return _load_keras(path, trust_model)
    if path.suffix in TORCH_SUFFIXES and path.is_file():
        raise RunError(
            field="path",
            value=path,
            expected="a SavedModel folder or a .keras file",
            found="weights of PyTorch, of which tools/import_torch_weights.py makes one",
        )
    if not (path / "saved_model.pb").is_file():
        raise RunError(
            field="path",
            value=path,
            expected="a SavedModel folder or a .keras file",
            found=_found_at(path),
        )
    return _load_saved_model(path)


def _found_at(path):
    """Returns what is there in place of a model: a run's folder has its models further below."""
    if not path.exists():
        return "nothing there"
    patterns = ("*/saved_model.pb", "export/*/saved_model.pb")
    below = sorted(str(file.parent) for pattern in patterns for file in path.glob(pattern))
    return f"a folder that holds {', '.join(below)}" if below else "neither"


def image_spec(classifier):
    """Returns the `tf.TensorSpec` of the images that a model takes; None if it does not say."""
    spec = getattr(classifier, "image_spec", None)
    inputs = getattr(classifier, "inputs", None)
    if spec is None and isinstance(inputs, (list, tuple)) and len(inputs) == 1:
        spec = tf.TensorSpec(inputs[0].shape, inputs[0].dtype)
    return None if spec is None or spec.shape.rank is None else spec


def load_logits_function(path, *, trust_model=False):
    """Returns a function images -> logits from a SavedModel folder or a .keras file.

    Raises:
        RunError: as `load_model`.
    """
    return load_model(path, trust_model=trust_model).logits_fn


def _load_keras(path, trust_model):
    # Files of strangers, whole and damaged, make Keras, h5py and zipfile raise whatever there is.
    try:
        if not trust_model and _holds_lambda(path):
            raise RunError(
                field="path",
                value=path,
                expected="a Keras model without Lambda layers, which run code from the file",
                found="one (`trust_model` loads it all the same)",
            )
        model = keras.saving.load_model(path, compile=False, safe_mode=not trust_model)
    except RunError:
        raise
    except Exception as error:
        raise RunError(
            field="path", value=path, expected="a Keras model", cause=_brief(error)
        ) from None
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(each.name for each in inputs)
        raise RunError(field="path", value=path, expected="a Keras model of one input", found=names)
    # The weights of a part that was frozen in training belong to the model too; setting the
    # model alone leaves the layers of a Sequential as they are.
    for layer in model._flatten_layers():
        layer.trainable = True
    return LoadedModel(model, find_features(model), model.trainable_weights)


def find_features(model):
    """Returns what a Keras model calls `features`, a method or a layer's output [B, F], or None."""
    if callable(getattr(model, FEATURES, None)):
        return model.features
    is_graph = bool(getattr(model, "inputs", None))
    layers = [layer for layer in model.layers if layer.name == FEATURES] if is_graph else []
    if not layers or len(layers[0].output.shape) != 2:
        return None
    return functools.partial(keras.Model(model.input, layers[0].output), training=False)


def _holds_lambda(path):
    """Returns whether the file names a Lambda layer, or a Python lambda in place of a function."""
    with zipfile.ZipFile(path) as archive:
        open_parts = [json.loads(archive.read("config.json"))]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict):
            # With or without a package in front: `Custom>Lambda`.
            name = str(part.get("class_name", "")).rpartition(">")[2]
            if name in ("Lambda", "__lambda__"):
                return True
            open_parts += part.values()
        elif isinstance(part, list):
            open_parts += part
    return False


def _brief(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _load_saved_model(path):
    # As above: a damaged folder makes TensorFlow raise whatever there is.
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        raise RunError(
            field="path", value=path, expected="a SavedModel", cause=_brief(error)
        ) from None
    if SERVING not in getattr(loaded, "signatures", ()):
        found = ", ".join(sorted(getattr(loaded, "signatures", ()))) or "none"
        raise RunError(field="path", value=path, expected=f"a signature {SERVING}", found=found)
    logits_fn, features_fn = _call_signature(loaded, SERVING, path), None
    if FEATURES in loaded.signatures:
        features_fn = _take_features(_call_signature(loaded, FEATURES, path), path)
    weights = [v for v in getattr(loaded, "variables", ()) if v.trainable]
    return LoadedModel(logits_fn, features_fn, weights)


def _call_signature(loaded, key, path):
    try:
        return as_image_function(loaded, key)
    except ValueError as error:
        raise RunError(error, field="path", value=path) from error


def _take_features(call, path):
    def features_fn(images):
        outputs = call(images)
        if FEATURES in outputs:
            return outputs[FEATURES]
        if len(outputs) != 1:
            raise RunError(
                place=path,
                expected=f"one output of signature {FEATURES}, or one of that name",
                found=", ".join(sorted(outputs)),
            )
        return next(iter(outputs.values()))

    # As above: the signature's variables live as long as the loaded object does.
    features_fn.loaded = call.loaded
    return features_fn
