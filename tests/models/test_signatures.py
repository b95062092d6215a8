"""Signatures of SavedModels as functions of any number of images, and what none is made of."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models.signatures import as_image_function
from tests.common import random_images

KERNEL = np.random.default_rng(0).normal(size=(192, 3)).astype(np.float32)


def _logits(images):
    flat = tf.reshape(tf.cast(images, tf.float32), [-1, 192])
    return {"logits": tf.tanh(flat @ KERNEL), "class": tf.argmax(flat @ KERNEL, axis=1)}


def _load(path, function, *specs):
    module = tf.Module()
    module.function = tf.function(function, specs, autograph=False)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.function})
    return tf.saved_model.load(str(path))


def _spec(shape=(None, 8, 8, 3), dtype=tf.float32, name="images"):
    return tf.TensorSpec(shape, dtype, name)


@pytest.fixture(scope="module")
def of_four(tmp_path_factory):
    """A signature of four images at a time."""
    loaded = _load(tmp_path_factory.mktemp("models") / "four", _logits, _spec((4, 8, 8, 3)))
    return as_image_function(loaded, "serving_default")


@pytest.mark.parametrize("num_images", [1, 3, 4, 5, 8, 9])
def test_fixed_batch_serves_any_number_of_images(of_four, num_images):
    images = random_images(num_images)
    got, want = of_four(images), _logits(images)
    assert got["logits"].shape == (num_images, 3)
    np.testing.assert_allclose(got["logits"], want["logits"], atol=1e-5)
    np.testing.assert_array_equal(got["class"], want["class"])


def _gradient(function, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(function(images)["logits"] ** 2)
    return tape.gradient(total, images)


def test_fixed_batch_has_the_gradient_of_every_image(of_four):
    images = tf.constant(random_images(6))
    got, want = _gradient(of_four, images), _gradient(_logits, images)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_fixed_batch_is_served_in_a_graph_of_any_batch_size(of_four):
    signature = [tf.TensorSpec([None, 8, 8, 3], tf.float32)]
    traced = tf.function(lambda x: of_four(x)["logits"], signature, autograph=False)
    assert traced.get_concrete_function().structured_outputs.shape.as_list() == [None, 3]
    for num_images in (2, 5):
        images = random_images(num_images)
        np.testing.assert_allclose(traced(images), _logits(images)["logits"], atol=1e-5)


def test_images_get_the_float_type_of_the_signature(tmp_path):
    loaded = _load(tmp_path / "double", _logits, _spec(dtype=tf.float64))
    images = tf.constant(random_images(2))
    function = as_image_function(loaded, "serving_default")
    np.testing.assert_allclose(function(images)["logits"], _logits(images)["logits"], atol=1e-5)
    assert np.abs(_gradient(function, images)).max() > 0


@pytest.mark.parametrize("shape", [(9, 9, 3), (3, 8, 8), (8, 8, 1), (192,)])
def test_images_of_another_shape_are_named_in_one_line(of_four, shape):
    for call in (of_four, tf.function(of_four, autograph=False)):
        with pytest.raises(ValueError, match=r"must have shape \(8, 8, 3\)") as caught:
            call(tf.zeros([4, *shape]))
        assert str(tuple(shape)) in str(caught.value)


def test_signature_that_does_not_say_its_shape_takes_any(tmp_path):
    loaded = _load(tmp_path / "any", lambda x: tf.reduce_mean(x, [1, 2]), _spec(shape=None))
    function = as_image_function(loaded, "serving_default")
    assert next(iter(function(random_images(2, size=5)).values())).shape == (2, 3)


@pytest.mark.parametrize(
    ("function", "specs", "message"),
    [
        (_logits, [_spec(dtype=tf.uint8)], "of float images in .0, 1.; found uint8"),
        (_logits, [_spec(dtype=tf.int32)], "of float images in .0, 1.; found int32"),
        (lambda x: tf.strings.length(x), [_spec([None], tf.string)], "float images.*found string"),
        (lambda x, y: x + y, [_spec(), _spec(name="masks")], "one input .*; found images, masks"),
        (lambda: tf.zeros([1]), [], "one input of signature serving_default; found none"),
    ],
)
def test_signature_of_other_inputs_is_named(tmp_path, function, specs, message):
    loaded = _load(tmp_path / "other", function, *specs)
    with pytest.raises(ValueError, match=message):
        as_image_function(loaded, "serving_default")
