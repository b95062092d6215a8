"""One compiled ASCL step, and each of its passes alone."""

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.data import load_dataset
from ascl_tf.methods import ascl_attacks
from ascl_tf.methods.factory import make_pretrain_method
from ascl_tf.models import ADVERSARIAL, CLEAN
from ascl_tf.training.fitting import compile_method
from ascl_tf.training.strategy import layers_in

NUM_CLASSES, IMAGE_SIZE = 10, 32


def make_config(arguments, **changes):
    """Returns ASCL's defaults at the size of a benchmark."""
    settings = {
        "width": arguments.width,
        "global_batch_size": arguments.batch_size,
        # Small enough for a hundred steps on one batch to stay finite.
        "learning_rate": 1e-4,
    }
    return Config(**settings | changes)


def make_method(config, precision="float32"):
    """Returns ASCL on a ResNet, compiled, that computes in `precision`."""
    keras.utils.set_random_seed(0)
    with layers_in(precision):
        shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
        method = make_pretrain_method(config, num_classes=NUM_CLASSES, image_shape=shape)
    compile_method(method, config.run, config.learning_rate)
    # At zero the head passes no gradient on, and some kernels are faster on zeros.
    kernel = method.linear_head.dense.kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * 0.1)
    return method


def make_data(batch_size):
    """Returns a batch of bundled images as `train_step` gets it."""
    dataset = load_dataset("bundled", "train").take(slice(batch_size))
    return {"images": tf.constant(dataset.images), "labels": tf.constant(dataset.labels)}


def compiled_step(method, data):
    """Returns a function of no argument that makes one step."""
    step = tf.function(method.train_step, autograph=False)
    return lambda: step(data)


def recompute_anchors(method):
    """Makes the third attack project its clean anchors again in each step, for comparison."""
    perturb = method.perturb

    def perturb_with_new_anchors(objective, images, *, constants, **settings):
        def of_views(x, labels, stacked_views, *others):
            clean = method.projections(stacked_views, branch=CLEAN, training=False)
            return objective(x, labels, clean, *others)

        return perturb(of_views, images, constants=constants, **settings)

    def make_adversarial(views):
        labels = views["labels"]
        logits = ascl_attacks.natural_logits_if_unlabeled(method, views["images"], labels)
        # The views stand where the projections would.
        constants = ascl_attacks.Constants(labels, views["stacked_views"], logits, tf.zeros([0]))
        adversarial = {
            "images_at": ascl_attacks.perturb_for_at(method, views, constants),
            "views_cl": ascl_attacks.perturb_for_cl(method, views, constants),
        }
        method.perturb = perturb_with_new_anchors
        adversarial["images_ascl"] = ascl_attacks.perturb_for_ascl(method, views, constants)
        method.perturb = perturb
        return adversarial

    method.make_adversarial = make_adversarial
    return method


def make_parts(method, data):
    """Returns name -> (function, how often a step does it): the passes of a step, bare.

    Instead of a loss each pass has fixed gradients of its outputs: losses, random numbers
    and the update are what the step adds. The numbers of passes are those of SPEC's count.
    """
    config = method.config
    images = tf.cast(data["images"], method.pixel_dtype) / 255
    pair = tf.concat([images, images], axis=0)
    logits, projections = _passes(method)
    views = tf.function(lambda: list(method.make_views(method.make_batch(data)).values()))
    return {
        "views": (views, 1),
        "clean anchors": (_forward(projections(CLEAN), pair), 1),
        "attack on logits": (_input_gradient(logits, images), config.num_steps_at),
        "attack on two views": (_input_gradient(projections(), pair), config.num_steps_cl),
        "attack on projections": (_input_gradient(projections(), images), config.num_steps_ascl),
        "training passes": (_full_gradient(method, images, pair), 1),
        "natural accuracy": (_forward(logits, images), 1),
    }


def make_fused_attack(method, data):
    """Returns a function: a step of both contrastive attacks, on their 3 images in one pass."""
    images = tf.cast(data["images"], method.pixel_dtype) / 255
    _, projections = _passes(method)
    return _input_gradient(projections(), tf.concat([images] * 3, axis=0))


def _passes(method):
    def logits(images):
        return method.logits(images, branch=ADVERSARIAL, training=False)

    def projections(branch=ADVERSARIAL):
        return lambda images: method.projections(images, branch=branch, training=False)

    return logits, projections


def _forward(network, images):
    run = tf.function(network, autograph=False)
    return lambda: run(images)


def _input_gradient(network, images):
    @tf.function(autograph=False)
    def run(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            total = _weighted_sum(network(images))
        return tape.gradient(total, images)

    return lambda: run(images)


def _full_gradient(method, images, pair):
    """Forward and full backward: 4 images each of the adversarial branch, 2 of the clean one."""
    variables = method.step_variables()
    perturbed = tf.concat([images, pair, images], axis=0)
    count = images.shape[0]

    @tf.function(autograph=False)
    def run(pair, perturbed):
        values = [variable.value for variable in variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            clean = method.projections(pair, branch=CLEAN, training=True)
            features = method.encoder(perturbed, branch=ADVERSARIAL, training=True)
            projected = method.projection_head(features[count:], branch=ADVERSARIAL, training=True)
            outputs = [clean, method.linear_head(features[:count]), projected]
            total = tf.add_n([_weighted_sum(output) for output in outputs])
        return tape.gradient(total, values)

    return lambda: run(pair, perturbed)


def _weighted_sum(outputs):
    """A scalar whose gradient is fixed, and differs from row to row."""
    weights = np.random.default_rng(0).normal(size=outputs.shape)
    return tf.reduce_sum(outputs * tf.constant(weights, outputs.dtype))
