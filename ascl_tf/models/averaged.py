"""A second network like another: unbuilt, copied, or averaged over the steps of its training."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from ascl_tf.models.batch_norm import DualBatchNormalization


def make_twin(network, name):
    """Returns an unbuilt network with the settings of `network`, called `name`."""
    return type(network).from_config({**network.get_config(), "name": name})


def copy_variables(source, target):
    """Sets every variable of `target` to that of its twin `source`, statistics included."""
    for old, new in zip(target.weights, source.weights, strict=True):
        old.assign(new.value)


def copy_to_branches(shared, network):
    """Sets each branch of `network` to the one set of the like network with shared batch norm."""
    for old, new in zip(_layers_with_weights(shared), _layers_with_weights(network), strict=True):
        is_norm = isinstance(new, DualBatchNormalization)
        for layer in new.branches.values() if is_norm else [new]:
            copy_variables(old, layer)


def _layers_with_weights(network):
    """Returns the innermost layers that have weights; a batch norm with its branches is one."""
    norms = [m for m in network._flatten_layers() if isinstance(m, DualBatchNormalization)]
    inside = {id(layer) for norm in norms for layer in norm.branches.values()}
    innermost = [m for m in network._flatten_layers() if len(list(m._flatten_layers())) == 1]
    kept = {id(m) for m in (*norms, *innermost) if m.weights} - inside
    return [m for m in network._flatten_layers() if id(m) in kept]


def move_average(average, network, momentum):
    """Moves the trainable variables of `average` towards those of its twin `network`.

        average <- momentum * average + (1 - momentum) * network

    The moving statistics of batch norm are left as they are: those of `average` are of its
    own passes.

    Args:
        average, network: built twins.
        momentum: Python number in [0, 1].
    """
    pairs = zip(average.trainable_variables, network.trainable_variables, strict=True)
    for old, new in pairs:
        old.assign(momentum * old.value + (1.0 - momentum) * new.value)


class WeightAverage:
    """Exponential moving averages of all weights of some layers, batch-norm statistics included.

    With w_t the weights after update t = 0, 1, ..., and the decay d:

        average_t = average_{t-1} + (1 - d_t) (w_t - average_{t-1}),    d_t = min(d, t / (t + 9))

    d_0 = 0: the average starts as a copy of the first weights. From then on d_t is what
    `tf.train.ExponentialMovingAverage` has with `num_updates` = t - 1. In this form what does
    not move is its own average to the bit, such as a frozen encoder.

    Args:
        layers: built layers by name. Inside a strategy's scope where they are.
        decay: Python number in [0, 1).

    Attributes:
        variables: name -> float32 Keras variables in the order of the layer's `weights`.

    Example:
        >>> layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
        >>> layer.build((None, 1))
        >>> average = WeightAverage({"head": layer}, decay=0.999)
        >>> average.update(0)
        >>> _ = layer.kernel.assign([[11.0]])
        >>> average.update(1)
        >>> float(average.variables["head"][0].numpy()[0, 0])
        10.0
    """

    def __init__(self, layers: Mapping[str, keras.Layer], decay: float) -> None:
        self._layers, self._decay = dict(layers), decay
        self.variables = {
            name: [_zeros_like(weight) for weight in layer.weights]
            for name, layer in layers.items()
        }

    def update(self, step: tf.Tensor | int) -> None:
        """Moves the averages towards the weights; `step` is the number of updates before."""
        step = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, step / (step + 9.0))
        for name, layer in self._layers.items():
            for mean, weight in zip(self.variables[name], layer.weights, strict=True):
                mean.assign(mean.value + share * (weight.value - mean.value))

    def copy_to(self, **layers: keras.Layer) -> None:
        """Sets every weight of twins of the averaged layers, by name."""
        for name, layer in layers.items():
            for weight, mean in zip(layer.weights, self.variables[name], strict=True):
                weight.assign(mean.value)


def _zeros_like(weight: keras.Variable) -> keras.Variable:
    # Replicas hold the same weights: theirs need not be exchanged.
    return keras.Variable(
        tf.zeros(weight.shape, weight.dtype),
        trainable=False,
        dtype=weight.dtype,
        aggregation="only_first_replica",
        name=f"average_of_{weight.name}",
    )
