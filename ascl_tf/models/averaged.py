"""A second network like another: unbuilt, copied, or averaged over the steps of its training."""


def make_twin(network, name):
    """Returns an unbuilt network with the settings of `network`, called `name`."""
    return type(network).from_config({**network.get_config(), "name": name})


def copy_variables(source, target):
    """Sets every variable of `target` to that of its twin `source`, statistics included."""
    for old, new in zip(target.weights, source.weights, strict=True):
        old.assign(new.value)


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
