"""On which devices a run trains."""

import tensorflow as tf

from ascl_tf.errors import ConfigError


def make_strategy(num_replicas=0, *, global_batch_size=None):
    """Returns a strategy over `num_replicas` devices; 0: all GPUs, or all CPUs where none is.

    One CPU gets TensorFlow's default strategy, several devices or a GPU a
    `MirroredStrategy`; the code that runs in it is the same. With `global_batch_size` that
    is checked first: a strategy that was made is not forgotten by its process.

    Raises:
        ConfigError: for more replicas than devices, or a batch that they do not divide.
    """
    devices = [d.name for d in tf.config.list_logical_devices("GPU")]
    has_gpu = bool(devices)
    devices = devices or [d.name for d in tf.config.list_logical_devices("CPU")]
    if num_replicas > len(devices):
        raise ConfigError(
            f"--num_replicas: expected at most the {len(devices)} visible device(s); "
            f"found {num_replicas}"
        )
    devices = devices[: num_replicas or None]
    if global_batch_size is not None:
        check_batch_size(global_batch_size, len(devices))
    if len(devices) == 1 and not has_gpu:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)


def check_batch_size(global_batch_size, num_replicas):
    """Raises ConfigError unless every replica gets the same number of images."""
    if global_batch_size % num_replicas:
        raise ConfigError(
            f"--global_batch_size: expected a multiple of the {num_replicas} replicas; "
            f"found {global_batch_size}"
        )


def has_gpu():
    """Returns whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))
