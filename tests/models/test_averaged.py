"""Averages of weights against a loop in float64."""

import keras
import numpy as np
import pytest

from ascl_tf.models.averaged import WeightAverage


def _make_layer():
    layer = keras.Sequential([keras.layers.Dense(3), keras.layers.BatchNormalization()])
    layer.build((None, 2))
    return layer


def _draw(layer, rng):
    values = [rng.normal(size=weight.shape) for weight in layer.weights]
    layer.set_weights(values)
    # What float32 makes of them is what is averaged.
    return [np.float64(value) for value in layer.get_weights()]


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_average_is_that_of_a_loop(decay):
    rng, layer = np.random.default_rng(0), _make_layer()
    average = WeightAverage({"net": layer}, decay)
    expected = None
    for step in range(40):
        values = _draw(layer, rng)
        # The warm-up of tf.train.ExponentialMovingAverage, begun after the first update.
        d = 0.0 if step == 0 else min(decay, (1 + (step - 1)) / (10 + (step - 1)))
        pairs = zip(expected or values, values, strict=True)
        expected = [d * mean + (1 - d) * value for mean, value in pairs]
        average.update(step)
    assert len(expected) == 6  # Kernel, bias, and batch norm's four, its statistics included.
    for variable, value in zip(average.variables["net"], expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=0, atol=3e-6)


def test_weights_that_stay_are_their_average_to_the_bit():
    rng, layer = np.random.default_rng(1), _make_layer()
    _draw(layer, rng)
    average = WeightAverage({"net": layer}, 0.9)
    for step in range(30):
        average.update(step)
    twin = _make_layer()
    average.copy_to(net=twin)
    for a, b in zip(twin.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
