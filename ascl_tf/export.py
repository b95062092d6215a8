"""SavedModel with named signatures, and loading one back as a logits function.

The signatures work in a process that cannot import this package, at any batch size,
and `serving_default` and `features` are differentiable there with respect to their
input, so that the exported model can be attacked.
"""

import os
import pathlib
import shutil

import keras
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.models import ADVERSARIAL

SERVING, UINT8, FEATURES = "serving_default", "serve_uint8", "features"


def export_classifier(classifier, path, *, image_shape):
    """Writes `classifier` as a SavedModel folder, whole or not at all.

    Signatures:
        serving_default: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C],
            probabilities [B, C], class [B].
        serve_uint8: images uint8 [B, h, w, 3] of any size, resized (bilinear,
            antialiased) where they are not H x W -> the same.
        features: images as serving_default -> features [B, F].

    Args:
        classifier: built `ascl_tf.models.Classifier`.
        path: folder to write; what is there is replaced when the new one is complete.
        image_shape: (H, W, 3).
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    archive = keras.export.ExportArchive()
    archive.track(classifier)
    # A batch of any size; height and width are the model's.
    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    any_size = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
    serve, serve_uint8, features = _signatures(classifier, image_shape)
    archive.add_endpoint(SERVING, serve, [images])
    archive.add_endpoint(UINT8, serve_uint8, [any_size])
    archive.add_endpoint(FEATURES, features, [images])
    archive.write_out(str(temporary), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(temporary, path)


def load_logits_function(path):
    """Returns a function images -> logits from a SavedModel folder or a .keras file.

    Of a SavedModel the signature `serving_default` is taken, ours or not.

    Raises:
        RunError: if `path` is neither, or has no such signature.
    """
    path = pathlib.Path(path)
    if path.suffix == ".keras" and path.is_file():
        return _load_keras(path)
    if not (path / "saved_model.pb").is_file():
        raise RunError(
            f"--model={path}: expected a SavedModel folder or a .keras file; "
            f"found {'neither' if path.exists() else 'nothing there'}"
        )
    return _load_saved_model(path)


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

    return serve, serve_uint8, features


def _load_keras(path):
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"--model={path}: expected a Keras model; found {reason}") from None
    return model


def _load_saved_model(path):
    try:
        loaded = tf.saved_model.load(str(path))
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"--model={path}: expected a SavedModel; found {reason}") from None
    if SERVING not in loaded.signatures:
        found = ", ".join(sorted(loaded.signatures)) or "none"
        raise RunError(f"--model={path}: expected a signature {SERVING}; found {found}")
    signature = loaded.signatures[SERVING]
    (name,) = signature.structured_input_signature[1]

    def logits_fn(images):
        return signature(**{name: images})

    # The signature's variables live as long as the loaded object does.
    logits_fn.loaded = loaded
    return logits_fn
