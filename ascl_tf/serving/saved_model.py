"""SavedModel with named signatures.

They work in a process that cannot import this package, at any batch size, and `serving_default`
and `features` are differentiable there with respect to their input, so that the exported model
can be attacked.
"""

import tensorflow as tf

from ascl_tf.data.resizing import resize
from ascl_tf.serving.loading import FEATURES, SERVING, UINT8


def write_saved_model(served, folder, *, class_names, how):
    """Writes a SavedModel into a folder.

    Signatures:
        serving_default: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C],
            probabilities [B, C], class [B], class_name [B].
        serve_uint8: images uint8 [B, h, w, 3] of any size, brought to H x W where they are not
            as training does -> the same.
        features: images as serving_default -> features [B, F]; where the model has them.

    Args:
        served: `Served`.
        folder: path.
        class_names: one per class.
        how: "stretch", "crop" or "pad", see `resize`.
    """
    # Not by `keras.export.ExportArchive`, which finds the variables by its functions, in the order
    # of a set: equal models would differ in the bytes of their variables.
    model = _Exported(name="classifier")
    for name, value in served.tracked.items():
        setattr(model, name, value)
    # A batch of any size; height and width are the model's.
    images = tf.TensorSpec([None, *served.image_shape], tf.float32, name="images")
    any_size = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
    signatures = {}
    for name, function in _functions(served, class_names, how).items():
        spec = any_size if name == UINT8 else images
        signatures[name] = tf.function(function, [spec], autograph=False)
        setattr(model, name, signatures[name])
    tf.saved_model.save(model, str(folder), signatures=signatures)


class _Exported(tf.Module):
    """What is saved: the signatures' functions, and `variables`, which the loaded model has too."""

    variables = ()  # Not the property of tf.Module, which no file would hold.


def _functions(served, class_names, how):
    def serve(images):
        logits = served.logits_fn(images)
        chosen = tf.argmax(logits, axis=1, output_type=tf.int32)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class": chosen,
            "class_name": tf.gather(tf.constant(class_names), chosen),
        }

    def serve_uint8(images):
        pixels = tf.ensure_shape(fit(images, served.image_shape, how), [None, *served.image_shape])
        return serve(tf.cast(pixels, tf.float32) / 255)

    functions = {SERVING: serve, UINT8: serve_uint8}
    if served.features_fn is not None:
        functions[FEATURES] = lambda images: {FEATURES: served.features_fn(images)}
    return functions


def fit(images, image_shape, how):
    """Returns uint8 images of the height and width that a model takes (graph-safe).

    Args:
        images: uint8 [h, w, 3] or [B, h, w, 3].
        image_shape: (H, W, 3). Of other models than of squares each side is stretched.
        how: as of `resize`.
    """
    height, width, _ = image_shape
    if height == width:
        # Resizing to the own size is exact, so no branch is needed.
        return resize(images, height, how)
    resized = tf.image.resize(images, [height, width], method="bilinear", antialias=True)
    return tf.saturate_cast(tf.round(resized), tf.uint8)
