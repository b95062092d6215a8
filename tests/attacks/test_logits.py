"""Any kind of classifier becomes one kind of function."""

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.attacks.logits import make_logits_function
from tests.common import random_images
from tests.evaluation import models


def test_keras_model_runs_in_inference_mode():
    class TrainsByDefault(keras.Model):
        def call(self, images, training=True):
            return tf.fill([tf.shape(images)[0], 2], 1.0 if training else 0.0)

    np.testing.assert_array_equal(make_logits_function(TrainsByDefault())(random_images()), 0.0)


def test_signature_of_a_saved_model_gives_its_logits(tmp_path):
    model, images = models.tiny_network(), random_images()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda x: {"logits": model(x), "classes": tf.argmax(model(x), 1)},
        input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32)],
    )
    archive.write_out(str(tmp_path / "model"), verbose=False)
    signature = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    got = make_logits_function(signature)(tf.constant(images))
    np.testing.assert_allclose(got, model(images), atol=1e-6)


def test_half_precision_logits_become_float32():
    logits_fn = make_logits_function(lambda x: tf.cast(x[:, 0, 0, :], tf.float16))
    assert logits_fn(tf.constant(random_images())).dtype == tf.float32


def test_output_without_gradient_has_zero_gradient():
    logits_fn = make_logits_function(lambda x: tf.round(x[:, 0, 0, :]))
    images = tf.constant(random_images())
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(logits_fn(images))
    np.testing.assert_array_equal(tape.gradient(total, images), np.zeros_like(images))
