"""What a pass of a foreign model may do, tried before a run: nothing else would be resumed rightly.

A pass in a `keras.StatelessScope` shows what it assigns and leaves all variables as they are.
"""

import keras
import numpy as np

from ascl_tf.errors import ConfigError
from ascl_tf.models.batch_norm import ADVERSARIAL
from ascl_tf.models.branches import REMEDY, BranchedBatchNormalization

TOLERANCE = 1e-2


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
