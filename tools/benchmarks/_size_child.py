"""A process of its own for the benchmark of image sizes: steps of adversarial training.

    python -m tools.benchmarks._size_child <file> '<settings as JSON>' <size> <batch> <repeats>

Writes the seconds of each step but the first, which traces it, into the file.
"""

import json
import os
import pathlib
import sys


def main(argv):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    file, settings, *numbers = argv
    size, batch_size, repeats = map(int, numbers)
    from tools.benchmarks import common

    step = make_step(json.loads(settings), size, batch_size)
    step()
    seconds = [common.timed(step)[0] for _ in range(repeats)]
    pathlib.Path(file).write_text(json.dumps(seconds), encoding="utf-8")


def make_step(settings, size, batch_size):
    """Returns a function that makes one compiled step on noise, `size` pixels high and wide."""
    import numpy as np
    import tensorflow as tf

    from ascl_tf.config import Config
    from ascl_tf.methods.factory import make_pretrain_method
    from ascl_tf.training.fitting import compile_method

    config = Config(method="at", global_batch_size=batch_size, learning_rate=1e-4, **settings)
    method = make_pretrain_method(config, num_classes=10, image_shape=(size, size, 3))
    compile_method(method, config.run, config.learning_rate)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (batch_size, size, size, 3)), tf.uint8)
    data = {"images": images, "labels": tf.constant(np.arange(batch_size) % 10, tf.int32)}
    step = tf.function(method.train_step, autograph=False)
    return lambda: step(data)


if __name__ == "__main__":
    main(sys.argv[1:])
