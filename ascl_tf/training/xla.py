"""Whether XLA compiles the training step, `--jit`."""

import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.training.strategy import has_gpu


def is_step_compiled(config):
    """Returns whether XLA compiles the step of the strategy in whose scope this is called.

    `auto` is on with one GPU. On a CPU XLA makes convolutions 3 to 20 times slower. Several
    devices exchange rows inside the step and inside an attack's loop, which XLA's programs
    cannot do.

    Raises:
        ConfigError: where `--jit=on` is asked for on several devices.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if config.jit == "on" and num_replicas > 1:
        raise ConfigError(
            "--jit: expected auto or off on several devices, whose exchange XLA does not compile; "
            f"found on with {num_replicas} (--num_replicas=1 takes one)"
        )
    return config.jit == "on" or (config.jit == "auto" and num_replicas == 1 and has_gpu())
