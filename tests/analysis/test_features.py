"""Features of models of every kind as one function, and of many images as one array."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.features import (
    as_features_function,
    as_unit_images,
    choose_rows,
    features_of,
)
from tests.common import random_images


def _mean(images):
    return tf.reduce_mean(images, axis=[1, 2])


class _Exported(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="images")])
    def features(self, images):
        return {"features": 2.0 * _mean(images)}


def test_keras_model_runs_in_inference_mode():
    images = random_images()
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Dropout(0.9), keras.layers.GlobalAveragePooling2D()]
    )
    got = as_features_function(network)(tf.constant(images))
    np.testing.assert_allclose(got, images.mean(axis=(1, 2)), atol=1e-6)


def test_method_with_training_runs_in_inference_mode():
    def features(images, training=True):
        return _mean(images) + (1.0 if training else 0.0)

    images = random_images()
    got = as_features_function(features)(tf.constant(images))
    np.testing.assert_allclose(got, images.mean(axis=(1, 2)), atol=1e-6)


def test_signature_of_a_saved_model_gives_features_and_their_gradient(tmp_path):
    module, images = _Exported(), tf.constant(random_images())
    tf.saved_model.save(module, tmp_path, signatures={"features": module.features})
    loaded = tf.saved_model.load(tmp_path)
    features_fn = as_features_function(lambda images: loaded.signatures["features"](images=images))
    np.testing.assert_allclose(features_fn(images), 2 * _mean(images), rtol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(images)
        features = features_fn(images)
    np.testing.assert_allclose(tape.gradient(features, images), 2 / 64, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.float64])
def test_features_are_float32_whatever_the_model_gives(dtype):
    assert as_features_function(lambda v: tf.cast(_mean(v), dtype))(random_images()).dtype == (
        tf.float32
    )


def test_only_output_of_a_dictionary_is_taken():
    images = random_images()
    got = as_features_function(lambda v: {"pooled": _mean(v)})(images)
    np.testing.assert_allclose(got, images.mean(axis=(1, 2)), atol=1e-6)


def test_batches_do_not_change_features():
    images = np.round(255 * random_images(7)).astype(np.uint8)
    whole = features_of(_mean, images)
    np.testing.assert_allclose(whole, (images / 255).mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(features_of(_mean, images, batch_size=3), whole, rtol=1e-6)


def test_chosen_rows_are_different_and_depend_on_the_seed_alone():
    rows = choose_rows(1000, 200, seed=0)
    assert len(set(rows)) == 200 and rows.min() >= 0 and rows.max() < 1000
    assert np.all(np.diff(rows) > 0)
    np.testing.assert_array_equal(rows, choose_rows(1000, 200, seed=0))
    assert not np.array_equal(rows, choose_rows(1000, 200, seed=1))
    np.testing.assert_array_equal(choose_rows(5, 5, seed=3), np.arange(5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_features_function(3), r"`features_fn` must be a callable.*received int"),
        (lambda: as_features_function(tf.identity)(random_images()), r"pooled.*\(4, 8, 8, 3\)"),
        (
            lambda: as_features_function(lambda v: {"b": v, "a": v})(random_images()),
            r"the key 'features'; received the keys \['a', 'b'\]",
        ),
        (lambda: features_of(lambda v: _mean(v) / 0.0, random_images()), r"must return finite"),
        (lambda: features_of(_mean, random_images(), batch_size=0), r"`batch_size` must be >= 1"),
        (lambda: as_unit_images(np.full((1, 2, 2, 3), np.nan)), r"`images` must be uint8, or in"),
        (lambda: as_unit_images(np.full((1, 2, 2, 3), 7)), r"received int64 from 7 to 7"),
        (lambda: as_unit_images(np.ones((1, 2, 2, 3), int)), r"received int64 from 1 to 1"),
        (lambda: as_unit_images(np.zeros((0, 2, 2, 3))), r"without a zero; received shape \(0"),
        (lambda: choose_rows(3, 4, seed=0), r"`num_images` must be from 1 to the 3.*received 4"),
        (lambda: choose_rows(3, 0, seed=0), r"`num_images` must be from 1 to the 3.*received 0"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
