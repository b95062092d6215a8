"""The linear probe: its optimum, both numbers of classes, and the features it stands on."""

import numpy as np
import pytest

from ascl_tf.methods.linear_probe import compute_features, fit_linear_probe
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.methods import helpers, oracles

FEATURES = np.random.default_rng(0).normal(size=(40, 3))


def _gradient(features, labels, kernel, bias, weight_decay):
    """Of mean cross-entropy plus decay of the kernel, in loops."""
    of_kernel, of_bias = weight_decay * kernel, np.zeros(len(bias))
    for row, label in zip(features, labels, strict=True):
        error = oracles.softmax(row @ kernel + bias) - np.eye(len(bias))[label]
        of_kernel = of_kernel + np.outer(row, error) / len(labels)
        of_bias = of_bias + error / len(labels)
    return of_kernel, of_bias


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_probe_is_where_the_gradient_vanishes(num_classes, weight_decay):
    labels = np.arange(40) % num_classes
    kernel, bias = fit_linear_probe(FEATURES, labels, weight_decay=weight_decay)
    assert kernel.shape == (3, num_classes) and bias.shape == (num_classes,)
    # Of two classes the one column of scikit-learn decays: half of it in each of two.
    decay = 2 * weight_decay if num_classes == 2 else weight_decay
    gradients = _gradient(FEATURES, labels, kernel, bias, decay)
    assert max(np.abs(gradient).max() for gradient in gradients) < 2e-4
    assert np.abs(kernel).max() > 0.01


def test_probe_is_the_same_each_time():
    labels = np.arange(40) % 3
    one, two = [fit_linear_probe(FEATURES, labels, weight_decay=1e-4) for _ in range(2)]
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


@pytest.mark.parametrize("branch", [ADVERSARIAL, CLEAN])
def test_features_are_those_of_whole_images_in_inference(monkeypatch, branch):
    monkeypatch.setattr("ascl_tf.methods.linear_probe.BATCH_SIZE", 4)
    method = helpers.make_method(helpers.TINY.replace(method="simclr"))
    images = helpers.make_dataset(10).images
    before = helpers.values(method)
    features = compute_features(method.encoder, images, branch=branch)
    want = method.encoder(images / np.float32(255), branch=branch, training=False)
    np.testing.assert_allclose(features, want, rtol=1e-5, atol=1e-6)
    assert not helpers.changed(before, helpers.values(method))
