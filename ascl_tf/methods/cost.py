"""The cost of a training step, counted by the passes that it makes.

The unit is a forward pass of the encoder on one image. A backward pass to the images only costs
1, a full one (images and weights) 2. An image of another size costs its share of the pixels, such
as 1/16 for a patch of Selfie's. Heads, views and the update cost nothing.

A step is made on a few images with an encoder that is one product of a row for each image and a
kernel. In a real encoder each layer multiplies once forward, once for the gradient of its input,
and once for that of its kernel; so does this one, and each product adds to a ledger where it is
made. Gradients of gradients are such products again.
"""

import keras
import tensorflow as tf

from ascl_tf.methods.factory import make_pretrain_method
from ascl_tf.methods.finetune import FineTune
from ascl_tf.models import ADVERSARIAL

NUM_IMAGES = 2


def count_step(config, *, make=make_pretrain_method, num_classes=2, image_shape=(8, 8, 3)):
    """Returns the cost of a step for each image of the global batch, a float.

    Args:
        config: `ascl_tf.config.Config`.
        make: `make_pretrain_method`, `make_finetune_method`, or a function of their arguments.
        num_classes: classes of the data set.
        image_shape: (height, width, channels) of its images.
    """
    # What stands on the encoder costs nothing, and takes time where it is deep.
    config = config.replace(num_attention_layers=1)
    ledger = tf.Variable(0.0, trainable=False, dtype=tf.float64)
    encoder = CountedEncoder(ledger, name="encoder")
    method = make(config, num_classes=num_classes, image_shape=image_shape, encoder=encoder)
    method.perturb = _one_step_for_all(method.perturb, ledger)
    method.compile(optimizer=keras.optimizers.SGD())
    images = tf.zeros([NUM_IMAGES, *image_shape], tf.uint8)
    method.train_step({"images": images, **_columns(method)})
    return float(ledger) / float(_num_pixels(images))


def _one_step_for_all(perturb, ledger):
    """Returns `Method.perturb` that makes one of its equal steps, and counts `num_steps`."""

    def perturb_once(objective, images, *, num_steps, **settings):
        before = ledger.read_value()
        perturbed = perturb(objective, images, num_steps=min(num_steps, 1), **settings)
        ledger.assign(before + num_steps * (ledger - before))
        return perturbed

    return perturb_once


def _columns(method):
    """Returns what a batch holds beside its images."""
    # Those of pre-training; fine-tuning is given images with a label alone.
    has_unlabeled = method.config.has_unlabeled_images and not isinstance(method, FineTune)
    columns = {"labels": tf.constant([0, -1 if has_unlabeled else 1])}
    if method.pseudo_label_counts:
        shape = [NUM_IMAGES, len(method.pseudo_label_counts)]
        columns["pseudo_labels"] = tf.zeros(shape, tf.int32)
    if method.has_fixed_features:
        columns["features"] = tf.zeros([NUM_IMAGES, CountedEncoder.feature_dim])
    return columns


class CountedEncoder(keras.layers.Layer):
    """Stands in for an encoder: mean colors [B, C] times a kernel, features [B, 8].

    A copy by `from_config` adds to the same ledger.

    Args:
        ledger: float64 `tf.Variable`, a scalar; each product adds the pixels of its images.
    """

    feature_dim = 8

    def __init__(self, ledger, **kwargs):
        super().__init__(**kwargs)
        self.ledger = ledger

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.feature_dim), name="kernel")

    def call(self, images, training=False, branch=ADVERSARIAL):
        num_pixels = _num_pixels(images)
        colors = tf.reduce_mean(images, axis=[1, 2])
        kernel = tf.convert_to_tensor(self.kernel)
        return _product(
            colors, kernel, lambda: self.ledger.assign_add(num_pixels, read_value=False)
        )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.feature_dim)

    def get_config(self):
        return {**super().get_config(), "ledger": self.ledger}


def _num_pixels(images):
    return tf.cast(tf.reduce_prod(tf.shape(images)[:-1]), tf.float64)


def _product(rows, kernel, count):
    """Returns rows . kernel; calls `count` for it, and for each product of its gradients."""

    # A gradient on its own, which is only asked for where the kernel's is.
    @tf.custom_gradient
    def counted(kernel):
        def gradient(upstream):
            count()
            return upstream

        return tf.identity(kernel), gradient

    # The gradient of the rows is counted where that of the kernel alone is asked for, too: only
    # the first layer of an encoder could do without.
    @tf.custom_gradient
    def multiply(rows, kernel):
        def gradient(upstream):
            of_rows = _product(upstream, tf.transpose(kernel), count)
            return of_rows, tf.matmul(rows, upstream, transpose_a=True)

        count()
        return tf.matmul(rows, kernel), gradient

    return multiply(rows, counted(kernel))
