"""20 steps of linf_pgd against 20 bare forward + input-gradient passes in one graph.

python tools/benchmark.py pgd [--width=16] [--batch_size=128] [--repeats=7]
"""

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.data import load_dataset
from ascl_tf.losses import cross_entropy_loss
from tools.benchmarks import common
from tools.benchmarks.views import make_method

NUM_STEPS = 20
EPSILON, STEP_SIZE = 8 / 255, 2 / 255


def main(argv=None):
    parser = common.make_parser(__doc__, repeats=7)
    common.add_model_arguments(parser)
    arguments = parser.parse_args(argv)
    seconds = common.interleaved(make_candidates(arguments), arguments.repeats)
    ratios = {"linf_pgd / bare passes": ("linf_pgd", "bare passes", 1.05)}
    common.report_ratios(arguments, "pgd", seconds, ratios)


def make_candidates(arguments):
    """Returns the functions to time, by name."""
    method = make_method(arguments)
    dataset = load_dataset("bundled", "train").take(slice(arguments.batch_size))
    images = tf.constant(dataset.images.astype(np.float32) / 255)
    labels = tf.constant(dataset.labels)

    def objective(x):
        return cross_entropy_loss(method(x), labels)

    @tf.function(autograph=False)
    def attack(x):
        return linf_pgd(objective, x, epsilon=EPSILON, step_size=STEP_SIZE, num_steps=NUM_STEPS)

    @tf.function(autograph=False)
    def bare_passes(x):
        # Each pass needs the one before, so that none can be left out or run beside it.
        def one_pass(i, x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                total = tf.reduce_sum(objective(x))
            return i + 1, x + 1e-6 * tape.gradient(total, x)

        return tf.while_loop(lambda i, _: i < NUM_STEPS, one_pass, (0, x), parallel_iterations=1)

    return {"linf_pgd": lambda: attack(images), "bare passes": lambda: bare_passes(images)}


if __name__ == "__main__":
    main()
