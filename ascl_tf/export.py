"""SavedModel with named signatures, and loading one back as a logits function.

The signatures work in a process that cannot import this package, at any batch size,
and `serving_default` and `features` are differentiable there with respect to their
input, so that the exported model can be attacked.
"""

import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.models import ADVERSARIAL, Classifier
from ascl_tf.models.signatures import as_image_function

# Not read here: PyTorch is an optional extra, and its networks are known by their names alone.
TORCH_SUFFIXES = (".pt", ".pth")
SERVING, UINT8, FEATURES = "serving_default", "serve_uint8", "features"


def export_classifier(classifier, path, *, image_shape=None):
    """Writes `classifier` as a SavedModel folder, whole or not at all.

    Signatures:
        serving_default: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C],
            probabilities [B, C], class [B].
        serve_uint8: images uint8 [B, h, w, 3] of any size, resized (bilinear,
            antialiased) where they are not H x W -> the same.
        features: images as serving_default -> features [B, F].

    Args:
        classifier: built `ascl_tf.models.Classifier`.
        path: folder to write; a SavedModel that is there is replaced when the new one is complete.
        image_shape: (H, W, 3); None: as it was built.

    Raises:
        RunError: if something else is there, or the folder cannot be written.
        ValueError: if `classifier` is none of this package.
    """
    path = pathlib.Path(path).absolute()
    if not isinstance(classifier, Classifier) or not classifier.built:
        raise ValueError(
            "`classifier` must be a built classifier, as of `ascl_tf.finetune`; received "
            f"{type(classifier).__name__}."
        )
    _check_place(path)
    image_shape = classifier.image_shape if image_shape is None else image_shape
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model, signatures = _saveable(classifier, image_shape)
    try:
        tf.saved_model.save(model, str(temporary), signatures=signatures)
        _replace_folder(path, temporary)
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RunError(f"{path}: expected a folder that can be written; found: {reason}") from error


def _check_place(path):
    """Raises RunError unless there is nothing at `path` but what an export may replace."""
    is_free = not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))
    if is_free or (path / "saved_model.pb").is_file():
        return
    found = "a folder that holds something else" if path.is_dir() else "a file"
    raise RunError(
        place=path, expected="no file or folder there, or an exported model", found=found
    )


def _saveable(classifier, image_shape):
    """Returns what `tf.saved_model.save` takes: an object, and its signatures by name.

    Not by `keras.export.ExportArchive`, which finds the variables by its functions, in the order
    of a set: equal models would differ in the bytes of their variables.
    """
    # A batch of any size; height and width are the model's.
    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    any_size = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
    specs = {SERVING: images, UINT8: any_size, FEATURES: images}
    functions = {
        name: tf.function(function, [specs[name]], autograph=False)
        for name, function in _signatures(classifier, image_shape).items()
    }
    model = _Exported(name="classifier")
    model.variables = [variable.value for variable in classifier.variables]
    for name, function in functions.items():
        setattr(model, name, function)
    return model, functions


class _Exported(tf.Module):
    """What is saved: the signatures' functions, and `variables`, which the loaded model has too."""

    variables = ()  # Not the property of tf.Module, which no file would hold.


def _replace_folder(path, new):
    """Puts the folder `new` in the place of `path`; killed in between, one of them is there."""
    old = path.with_name(f".{path.name}.old.tmp")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    os.replace(new, path)
    shutil.rmtree(old, ignore_errors=True)


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
            found="neither" if path.exists() else "nothing there",
        )
    return _load_saved_model(path)


def load_logits_function(path, *, trust_model=False):
    """Returns a function images -> logits from a SavedModel folder or a .keras file.

    Raises:
        RunError: as `load_model`.
    """
    return load_model(path, trust_model=trust_model).logits_fn


def _signatures(classifier, image_shape):
    def outputs(images):
        logits = classifier(images, training=False, branch=ADVERSARIAL)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class": tf.argmax(logits, axis=1, output_type=tf.int32),
        }

    def serve(images):
        return outputs(images)

    def serve_uint8(images):
        size = tf.constant(image_shape[:2])
        pixels = tf.cast(images, tf.float32) / 255
        # Resizing to the own size is exact, so no branch is needed.
        pixels = tf.image.resize(pixels, size, antialias=True)
        pixels = tf.ensure_shape(pixels, [None, *image_shape])
        return outputs(tf.clip_by_value(pixels, 0.0, 1.0))

    def features(images):
        return {"features": classifier.features(images, training=False, branch=ADVERSARIAL)}

    return {SERVING: serve, UINT8: serve_uint8, FEATURES: features}


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
    features = getattr(model, "features", None)
    return LoadedModel(model, features if callable(features) else None, model.trainable_weights)


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
