"""The next batch and its three views against one whole ASCL step at steps 10/5/5.

python tools/benchmark.py views [--width=16] [--batch_size=128] [--repeats=7]
"""

import keras
import numpy as np
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.data import load_dataset
from ascl_tf.data.pipeline import training_batches
from ascl_tf.methods.factory import make_pretrain_method
from ascl_tf.training.fitting import compile_method
from tools.benchmarks import common


def main(argv=None):
    parser = common.make_parser(__doc__, repeats=7)
    common.add_model_arguments(parser)
    arguments = parser.parse_args(argv)
    seconds = common.interleaved(make_candidates(arguments), arguments.repeats)
    ratios = {"views / step": ("pipeline and views", "ASCL step", 0.05)}
    common.report_ratios(arguments, "views", seconds, ratios)


def make_candidates(arguments):
    """Returns the functions to time, by name."""
    method = make_method(arguments)
    dataset = load_dataset("bundled", "train")
    batches = iter(training_batches(dataset, global_batch_size=arguments.batch_size, seed=0))

    @tf.function(autograph=False)
    def make_views(data):
        return list(method.make_views(method.make_batch(data)).values())

    @tf.function(autograph=False)
    def step(data):
        return method.train_step(data)

    data = next(batches)
    return {
        "pipeline and views": lambda: make_views(next(batches)),
        "ASCL step": lambda: step(data),
    }


def make_method(arguments):
    """Returns ASCL on a ResNet-18, compiled."""
    keras.utils.set_random_seed(0)
    config = Config(width=arguments.width, global_batch_size=arguments.batch_size)
    method = make_pretrain_method(config, num_classes=10, image_shape=(32, 32, 3))
    compile_method(method, config.run, config.learning_rate)
    # At zero the head passes no gradient on, and some kernels are faster on zeros.
    kernel = method.linear_head.dense.kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * 0.1)
    return method


if __name__ == "__main__":
    main()
