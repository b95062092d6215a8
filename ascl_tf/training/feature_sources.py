"""Frozen models whose features are clustered: of a pre-training here, or any SavedModel."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.config.sections import NetworkSettings
from ascl_tf.data.pipeline import evaluation_batches
from ascl_tf.errors import ConfigError
from ascl_tf.evaluation.records import model_sha256, weights_sha256
from ascl_tf.methods import factory
from ascl_tf.models.signatures import as_image_function
from ascl_tf.serving.loading import FEATURES, SERVING
from ascl_tf.training.encoder_sources import EXPECTED, open_encoder

EXPECTED_MODEL = f"{EXPECTED}, or any SavedModel"


class FeatureSource(NamedTuple):
    """A frozen model and its hash.

    Attributes:
        function: images float32 [B, H, W, 3] in [0, 1] -> features [B, F].
        sha256: of its weights, or of its files.
    """

    function: Callable[[Any], Any]
    sha256: str

    def features(self, dataset, batch_size):
        """Returns the features of all images without augmentation, float32 [N, F]."""
        compute = tf.function(lambda images: self.function(tf.cast(images, tf.float32) / 255))
        rows = [
            tf.boolean_mask(compute(batch["images"]), batch["mask"]).numpy()
            for batch in evaluation_batches(dataset, batch_size)
        ]
        features = np.concatenate(rows).astype(np.float32)
        return features.reshape(len(features), -1)


def open_feature_source(name, path, image_shape, branch):
    """Returns the `FeatureSource` at `path`.

    A work directory gives the encoder of its pre-training's last checkpoint, a .keras file of a
    classifier of this package its own, in inference mode; a SavedModel its signature `features`
    where it has one, else the first output of `serving_default` (of `logits` among several), on
    images resized to what it expects.

    Args:
        name: of the setting that holds the path.
        path: of one of these.
        image_shape: (H, W, 3) of the images.
        branch: batch-norm branch of an encoder trained here.

    Raises:
        ConfigError: if none of them is there, or what is there is damaged.
    """
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        return FeatureSource(_signature_function(name, path), model_sha256(path))
    source = open_encoder(name, str(path), EXPECTED_MODEL)
    encoder = factory.make_encoder(NetworkSettings(**source.settings), image_shape)
    encoder.build((None, *image_shape))
    source.restore(encoder)
    return FeatureSource(
        lambda images: encoder(images, training=False, branch=branch), weights_sha256(encoder)
    )


def _signature_function(name, path):
    try:
        loaded = tf.saved_model.load(str(path))
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(field=name, value=path, expected="a SavedModel", cause=reason) from None
    key = next((key for key in (FEATURES, SERVING) if key in loaded.signatures), None)
    if key is None:
        found = ", ".join(sorted(loaded.signatures)) or "none"
        raise ConfigError(
            field=name, value=path, expected=f"a signature {FEATURES} or {SERVING}", found=found
        )
    try:
        image_function = as_image_function(loaded, key)
    except ValueError as error:
        raise ConfigError(error, field=name, value=path) from None

    def function(images):
        outputs = image_function(_resized(images, image_function.image_spec.shape))
        return outputs.get("features", outputs.get("logits", next(iter(outputs.values()))))

    return function


def _resized(images, shape):
    """Resizes images to the height and width of `shape`, where it has them and they differ."""
    size = shape[1:3].as_list() if shape.rank == 4 else [None, None]
    if None in size or size == images.shape[1:3].as_list():
        return images
    return tf.clip_by_value(tf.image.resize(images, size, antialias=True), 0.0, 1.0)
