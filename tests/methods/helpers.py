"""Tiny methods and data: an encoder of one convolution, so that a step traces in a second."""

from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.pipeline import training_batches
from ascl_tf.methods import factory
from ascl_tf.models import ADVERSARIAL, CLEAN, DualBatchNormalization
from ascl_tf.models.batch_norm import MOMENTUM
from ascl_tf.training.fitting import compile_method
from ascl_tf.training.schedules import StepwiseSchedule

SIZE, NUM_CLASSES = 8, 3
IMAGE_SHAPE = (SIZE, SIZE, 3)
TINY = Config().replace(
    projection_dim=4,
    global_batch_size=6,
    num_steps_at=2,
    num_steps_cl=2,
    num_steps_ascl=2,
    finetune_num_steps=2,
    learning_rate=0.05,
    seed=3,
)


class TinyEncoder(keras.Model):
    """A ResNet's interface over a 3x3 convolution of four channels, batch norm and pooling."""

    def __init__(self, batch_norm="separate", feature_dim=4, **kwargs):
        super().__init__(**kwargs)
        self.feature_dim = feature_dim
        self.conv = keras.layers.Conv2D(feature_dim, 3, padding="same", use_bias=False, name="conv")
        self.bn = DualBatchNormalization(batch_norm, name="bn")

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.bn.build((*input_shape[:-1], self.feature_dim))

    def call(self, images, training=False, branch=ADVERSARIAL):
        x = keras.ops.relu(self.bn(self.conv(images), training=training, branch=branch))
        # Not the plain mean: of batch-normalized channels that is the same for every image.
        return keras.ops.mean(keras.ops.square(x), axis=(1, 2))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.feature_dim)


def make_tiny_encoder(config, image_shape=None):
    """Stands in for `ascl_tf.methods.factory.make_encoder`."""
    return TinyEncoder(config.batch_norm, name="encoder")


def make_method(config=TINY, *, finetune=False, weights=None):
    """Returns the method of `config` on the tiny encoder, with `weights` or with drawn ones."""
    maker = factory.make_finetune_method if finetune else factory.make_pretrain_method
    with mock.patch.object(factory, "make_encoder", make_tiny_encoder):
        method = maker(config, num_classes=NUM_CLASSES, image_shape=IMAGE_SHAPE)
    weights = drawn_weights(method) if weights is None else weights
    for variable, value in zip(state(method), weights, strict=True):
        variable.assign(value)
    return method


def drawn_weights(method):
    """Returns what `draw_weights` gives a method of this structure, drawn once in a process."""
    shapes = [(v.name, v.dtype, tuple(v.shape)) for v in state(method)]
    key = (type(method), method.encoder.conv.compute_dtype, *shapes)
    if key not in _DRAWN:
        draw_weights(method)
        _DRAWN[key] = [variable.numpy() for variable in state(method)]
    return _DRAWN[key]


_DRAWN = {}


def draw_weights(method):
    """Draws every weight, so that no branch equals another, and lets the statistics fit them."""
    rng = np.random.default_rng(0)
    for variable in state(method):
        if variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        else:
            variable.assign(rng.normal(0.0, 0.5, variable.shape))
    fit_statistics(method)


def fit_statistics(method):
    """Sets the moving statistics of every branch to those of other images, 64 each."""
    for seed, branch in enumerate(_branches(method)):
        _fit_statistics(method, branch, make_dataset(64, seed=seed + 1).images / np.float32(255))


def _branches(method):
    """Names of the encoder's batch-norm branches; both of the usual ones where they are one set."""
    names = list(method.encoder.bn.branches)
    return (CLEAN, ADVERSARIAL) if names == ["shared"] else names


def _fit_statistics(method, branch, images):
    """Sets the moving statistics of `branch` to those of `images`.

    With others, every projection would point nearly the same way, whatever the image.
    """
    norms = [layer for layer in method._flatten_layers() if hasattr(layer, "branch_layer")]
    run = method.encoder
    if method.projection_head is not None:
        run = method.projections
    layers = [norm.branch_layer(branch) for norm in norms]
    for layer in layers:
        layer.momentum = 0.0
    run(images, branch=branch, training=True)
    for part in method.parts.values():
        if isinstance(part, TinyEncoder) and part is not method.encoder:
            part(images, branch=branch, training=True)
    for layer in layers:
        layer.momentum = MOMENTUM


def state(method):
    """Returns every variable of encoder and heads, trainable or not."""
    return [variable for part in method.parts.values() for variable in part.weights]


def values(method):
    """Returns a dict from a variable's path to its value."""
    return {variable.path: variable.numpy() for variable in state(method)}


def changed(before, after):
    """Returns the paths whose values differ in any bit."""
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


def make_dataset(num_images=24, *, labels=None, seed=0):
    """Returns an `ImageDataset` of noisy four-colored images whose classes take turns."""
    rng = np.random.default_rng(seed)
    # Four colors each: of plain noise every image would get nearly the same projection.
    colors = rng.integers(0, 256, (num_images, 2, 2, 3)).repeat(SIZE // 2, 1).repeat(SIZE // 2, 2)
    noise = rng.integers(-20, 21, (num_images, *IMAGE_SHAPE))
    images = np.clip(colors + noise, 0, 255).astype(np.uint8)
    labels = np.arange(num_images) % NUM_CLASSES if labels is None else labels
    return ImageDataset(
        name="noise",
        images=images,
        labels=np.asarray(labels, np.int32),
        num_classes=NUM_CLASSES,
        class_names=("a", "b", "c"),
    )


def make_data(labels=(0, 1, 0, 2, 1, 1), seed=0):
    """Returns one batch as `train_step` gets it."""
    dataset = make_dataset(len(labels), labels=labels, seed=seed)
    return {"images": tf.constant(dataset.images), "labels": tf.constant(dataset.labels)}


def compile_tiny(method, **changes):
    """Compiles with a constant learning rate; `changes` go to the config."""
    method.config = method.config.replace(**changes)
    compile_method(method, method.config.run, StepwiseSchedule(method.config.learning_rate))
    return method


def fit(method, dataset, num_steps=1, *, eagerly=False, **settings):
    """Trains through Keras' `fit`; returns the logs of the epoch.

    Eagerly where the graph is not what is tested: tracing a step takes longer than ten of them.
    """
    method.run_eagerly = eagerly
    batches = training_batches(
        dataset, global_batch_size=method.config.global_batch_size, seed=method.config.seed
    )
    history = method.fit(
        batches, epochs=1, steps_per_epoch=num_steps, shuffle=False, verbose=0, **settings
    )
    return {name: value[0] for name, value in history.history.items()}


def views_of(method, data):
    """Returns the augmented views of one batch, eagerly."""
    return method.make_views(method.make_batch(data))
