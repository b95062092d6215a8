"""One step of linear fine-tuning against the same step without what a frozen encoder saves.

    python tools/benchmark.py finetune [--width=16] [--batch_size=128] [--steps=10] [--xla]

`plain` sends the natural images through the encoder wherever a step uses them: for the
attack's target, the loss and the accuracy. `cached` has no augmentation, and their features
from before the first step. With --xla steps compiled by XLA are timed too, which on a CPU takes
long.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.config.sections import PRECISIONS
from ascl_tf.data import load_dataset
from ascl_tf.methods.base import Method
from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_encoder
from ascl_tf.methods.finetune import FineTune
from ascl_tf.methods.outer_loss import outer_loss_logits, perturb_for_outer_loss
from ascl_tf.models import LinearHead
from ascl_tf.training.fitting import compile_method, with_fixed_features
from ascl_tf.training.strategy import layers_in
from tools.benchmarks import _cost, common

LAF, LSF, BFLOAT16, XLA = "laf", "lsf", "laf, bfloat16", "laf, XLA"
PLAIN = {mode: f"{mode}, plain" for mode in (LAF, LSF)}
CACHED = {mode: f"{mode}, cached" for mode in (LAF, LSF)}
# (above, below, at most): a little more than the passes counted by `count_step`.
RATIOS = (
    (LAF, PLAIN[LAF], 0.95),
    (LSF, PLAIN[LSF], 0.55),
    (CACHED[LAF], PLAIN[LAF], 0.90),
    (CACHED[LSF], PLAIN[LSF], 0.05),
    (BFLOAT16, LAF, 0.75),
    (XLA, LAF, None),
)


def main(argv=None):
    arguments = parse(argv)
    candidates, operations = make_candidates(arguments)
    seconds = common.interleaved(candidates, arguments.repeats)
    ratios = {
        f"{above} / {below}": (above, below, limit)
        for above, below, limit in RATIOS
        if above in seconds
    }
    shares = shares_of_the_limit(arguments, common.medians(seconds), operations)
    common.report_ratios(arguments, "finetune", seconds, ratios, shares)


def parse(argv):
    """Returns the arguments."""
    parser = common.make_parser(__doc__, repeats=5)
    common.add_model_arguments(parser)
    parser.add_argument("--steps", type=int, default=10, help="attack steps of laf")
    parser.add_argument("--xla", action="store_true", help="time a step compiled by XLA, too")
    _cost.add_matrix_size(parser)
    return parser.parse_args(argv)


class PlainFineTune(FineTune):
    """Linear fine-tuning whose natural images pass wherever they are used."""

    def make_views(self, batch):
        # Given, and never used.
        return super().make_views(batch._replace(features=tf.zeros([0])))

    def standard_logits(self, views):
        return Method.standard_logits(self, views)

    def make_adversarial(self, views):
        if not self.is_adversarial:
            return {}
        num_steps = self.config.finetune_num_steps
        images = perturb_for_outer_loss(self, self.outer_loss, views, num_steps=num_steps)
        return {"images_at": images}

    def _outer_logits(self, views, adversarial):
        return outer_loss_logits(self, self.outer_loss, views, adversarial, training=False)


def make_candidates(arguments):
    """Returns the functions to time by name, and the operations of those that are steps."""
    settings = {}
    for mode in (LAF, LSF):
        settings[PLAIN[mode]] = {"kind": PlainFineTune, "finetune": mode}
        settings[mode] = {"finetune": mode}
        settings[CACHED[mode]] = {"finetune": mode, "finetune_augmentation": "none"}
    settings[BFLOAT16] = {"finetune": LAF, "precision": "bfloat16"}
    if arguments.xla:
        settings[XLA] = {"finetune": LAF, "jit": "on"}
    # All are made before one is called: setting a seed drops what TensorFlow has prepared.
    steps = {name: make_step(arguments, **changes) for name, changes in settings.items()}
    candidates = {name: step for name, (step, _) in steps.items()}
    candidates |= {_cost.product_name(p): _cost.matrix_product(arguments, p) for p in PRECISIONS}
    return candidates, {name: operations for name, (_, operations) in steps.items()}


def make_step(arguments, kind=FineTune, **settings):
    """Returns a function that makes one step on bundled images, and the step's operations."""
    config = Config(
        width=arguments.width,
        finetune_global_batch_size=arguments.batch_size,
        finetune_num_steps=arguments.steps,
        **settings,
    )
    dataset = load_dataset("bundled", "train").take(slice(arguments.batch_size))
    method = make_method(kind, config, dataset)
    forward = _cost.forward_operations(method.encoder, dataset.image_shape[0])
    dataset = with_fixed_features(method, dataset)
    data = {name: tf.constant(column) for name, column in dataset.columns.items()}
    step = tf.function(method.train_step, autograph=False, jit_compile=method.jit_compile)
    units = count_step(config, make=functools.partial(build_method, kind))
    return lambda: step(data), forward * units * arguments.batch_size


def shares_of_the_limit(arguments, middle, operations):
    """Returns candidate -> its share of a matrix product's speed, by `middle` seconds."""
    precisions = {LAF: "float32", LSF: "float32", BFLOAT16: "bfloat16"}
    return {
        name: _cost.limit_share(arguments, middle, name, operations[name], precision)
        for name, precision in precisions.items()
    }


def make_method(kind, config, dataset):
    """Returns a compiled fine-tuning whose linear layer is not zero."""
    keras.utils.set_random_seed(0)
    with layers_in(config.precision):
        method = build_method(
            kind, config, num_classes=dataset.num_classes, image_shape=dataset.image_shape
        )
    # Small enough for a hundred steps on one batch to stay finite.
    compile_method(method, config.run, 1e-4)
    kernel = method.linear_head.dense.kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * 0.1)
    return method


def build_method(kind, config, *, num_classes, image_shape, encoder=None):
    """Returns a fine-tuning of that kind, built, as `make_finetune_method` does."""
    encoder = make_encoder(config.network, image_shape) if encoder is None else encoder
    head = LinearHead(num_classes, name="linear_head")
    method = kind(encoder=encoder, linear_head=head, config=config)
    method.build((None, *image_shape))
    return method
