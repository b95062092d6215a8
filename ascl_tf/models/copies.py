"""Copies of any Keras model: its layers made once more, with its weights."""

import inspect

import keras
import numpy as np

TOLERANCE = 1e-3


class NoCopyError(ValueError):
    """Keras cannot make a model or layer once more; the text says why, in one line."""


def copy_model(model, images, replace=None):
    """Returns a copy of a Keras model that shares no variable with it.

    A functional or Sequential model is copied layer by layer, also inside of others; what is
    subclassed is made by its class from its config.

    Args:
        model: built or not; weights that it has are those of the copy.
        images: what it takes, to build the copy with; None: it is built as layers are copied.
        replace: function of a layer -> what stands in for it, built like it, or None for a copy.

    Raises:
        NoCopyError: if a layer cannot be made from its config, or the copy is not like it.
    """
    copies = {}
    try:
        made = _copy(model, replace or (lambda layer: None), copies)
        if images is not None:
            made(images, training=False)
        for layer, copy in copies.values():
            _take_weights(copy, layer)
        if images is not None and model.built:
            _check_alike(model, made, images)
    # Whatever a stranger's constructor raises.
    except Exception as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise NoCopyError(f"{model.name} cannot be copied: {reason}") from error
    return made


def _copy(layer, replace, copies):
    """Returns a copy of a layer or model; `copies` gets (original, copy) of each layer, by id."""
    # An operation such as `keras.ops.square`, or a function without a state.
    if not isinstance(layer, keras.Layer) or isinstance(layer, keras.layers.Lambda):
        return layer
    if id(layer) in copies:
        return copies[id(layer)][1]
    if is_graph(layer):
        return keras.models.clone_model(
            layer, clone_function=lambda inner: _copy(inner, replace, copies)
        )
    made = replace(layer)
    if made is None:
        made = _make_again(layer)
    copies[id(layer)] = layer, made
    return made


def is_graph(layer):
    """Whether Keras knows the layers of a model, and how they are called."""
    return isinstance(layer, (keras.Sequential, keras.Function))


def _make_again(layer):
    config = layer.get_config()
    if isinstance(layer, keras.Model):
        # Keras hands `trainable` and `dtype` to constructors that do not take them.
        taken = inspect.signature(type(layer).__init__).parameters
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
            config = {name: value for name, value in config.items() if name in taken}
    return type(layer).from_config(config)


def _check_alike(model, made, images):
    want, found = (m(images, training=False) for m in (model, made))
    if not is_close(want, found):
        raise ValueError(UNLIKE)


UNLIKE = "it does not compute what its class, config and weights make"


def is_close(features, others):
    """Whether two models that are to be alike give these features."""
    pair = (np.asarray(keras.ops.cast(each, "float64")) for each in (features, others))
    return np.allclose(*pair, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)


def _take_weights(made, layer):
    if hasattr(made, "take_weights"):
        made.take_weights(layer)
    elif layer.weights:
        made.set_weights(layer.get_weights())
    if hasattr(made, "finalize_state"):  # Of `Normalization`: what it computes with.
        made.finalize_state()
