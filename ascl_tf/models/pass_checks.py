"""What a pass of a foreign model may do, tried before a run: nothing else would be resumed rightly.

A pass in a `keras.StatelessScope` shows what it assigns and leaves all variables as they are.
"""

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.models.batch_norm import ADVERSARIAL
from ascl_tf.models.branches import REMEDY, BranchedBatchNormalization

TOLERANCE = 1e-2
# Of what a layer for pixels in 0..255 multiplies by: 1/127.5, 1/255, one over a deviation of 58.
SMALLEST_SCALE = 0.02


def random_state(layer):
    """Returns the variables of a layer that are no weights: the state of its random numbers."""
    weights = {id(variable) for variable in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights]


def check_passes(encoder, images, setting=None):
    """Raises ConfigError if a pass of an encoder does what a run could not follow.

    In inference mode: assign any variable. In training mode: assign others than the statistics of
    batch norm and the state of random numbers, leave statistics of a named branch where they are
    or move those of another, or draw random numbers that no such state determines.

    Args:
        encoder: an `OwnEncoder` with its model.
        images: [B, H, W, 3] in [0, 1].
        setting: value of the setting `encoder`, for messages.
    """
    named = {"field": "encoder", "value": setting}
    _check_gradient(encoder, images, named)
    _, assigned = _pass(encoder, images, training=False)
    if assigned:
        raise ConfigError(
            **named,
            expected="layers that change no state and draw no random number in inference mode",
            found=_names(encoder, assigned),
        )
    norms = [m for m in encoder._flatten_layers() if isinstance(m, BranchedBatchNormalization)]
    for branch in list(norms[0].branches) if norms else [ADVERSARIAL]:
        features, assigned = _pass(encoder, images, training=True, branch=branch)
        _check_branch(norms, branch, assigned, encoder.batch_norm)
        _check_state(encoder, assigned, named)
    again, _ = _pass(encoder, images, training=True, branch=branch)
    if not np.allclose(features, again, rtol=TOLERANCE, atol=TOLERANCE * np.abs(features).max()):
        raise ConfigError(
            **named,
            expected="random numbers from a keras.random.SeedGenerator of their layer",
            found="others: from the same state two training passes differ",
        )


def _check_gradient(encoder, images, named):
    """Raises ConfigError unless the features, which are finite, have a gradient by the images."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        features = encoder(images, training=False)
    if not np.isfinite(np.asarray(keras.ops.cast(features, "float32"))).all():
        raise ConfigError(**named, expected="finite features", found="NaN or infinity")
    if not tf.is_tensor(features) or tape.gradient(features, images) is None:
        raise ConfigError(
            **named,
            expected="features that have a gradient by the images, which attacks follow",
            found="none, as behind an input of integers or outside of TensorFlow",
        )


def check_pixels(model, setting=None):
    """Raises ConfigError if the first layers of a model are made for pixels in 0..255.

    Layers in front of the first one that is trained scale [0, 255] to about [0, 1] there.
    """
    scale = float(np.prod([_scale_of(layer) for layer in _first_layers(model)]))
    if scale < SMALLEST_SCALE:
        raise ConfigError(
            field="encoder",
            value=setting,
            expected="a model of images in [0, 1] (keras.layers.Rescaling(255) in front makes it "
            "one)",
            found=f"one whose first layers multiply by {scale:.2g}, as for pixels in 0..255",
        )


def _first_layers(model):
    """Yields the layers of a model, also of models in it, up to the first that is trained."""
    for layer in _leaves(model):
        if layer.trainable_weights:
            return
        yield layer


def _leaves(model):
    for layer in model.layers:
        yield from _leaves(layer) if isinstance(layer, keras.Model) else [layer]


def _scale_of(layer):
    if isinstance(layer, keras.layers.Rescaling):
        return np.mean(np.abs(layer.scale))
    if isinstance(layer, keras.layers.Normalization) and not layer.invert:
        return 1.0 / np.mean(np.sqrt(np.asarray(layer.variance)))
    return 1.0


def _pass(encoder, images, **mode):
    """Returns the features, and the ids of the variables that were assigned to."""
    with keras.StatelessScope() as scope:
        features = encoder(images, **mode)
    return np.asarray(keras.ops.cast(features, "float32")), set(scope.state_mapping)


def _check_branch(norms, branch, assigned, batch_norm):
    for norm in norms:
        part = norm.branch_layer(branch)
        moved = {id(variable) for variable in norm.weights} & assigned
        if moved != {id(part.moving_mean), id(part.moving_variance)}:
            raise ConfigError(
                field="batch_norm",
                value=batch_norm,
                expected=f"batch norm whose statistics move in training passes {REMEDY}",
                found=f"{norm.name}, whose statistics are frozen or not used",
            )


def _check_state(encoder, assigned, named):
    allowed = {id(variable) for variable in random_state(encoder)}
    for layer in encoder._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            allowed |= {id(layer.moving_mean), id(layer.moving_variance)}
    if assigned - allowed:
        raise ConfigError(
            **named,
            expected="layers of which training passes change the statistics of batch norm and the "
            "state of random numbers alone",
            found=_names(encoder, assigned - allowed),
        )


def _names(encoder, assigned):
    variables = {id(variable): variable.path for variable in encoder.variables}
    names = sorted(variables.get(each, "a variable outside of the model") for each in assigned)
    return ", ".join(dict.fromkeys(names))


def in_one_line(error):
    """Returns what an exception says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
