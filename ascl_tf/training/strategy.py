"""How a run computes: on which devices, compiled by XLA or not, in which precision.

Devices are those of this machine, or of every worker of a cluster.
"""

import contextlib

import keras
import tensorflow as tf

from ascl_tf.errors import ConfigError, RunError
from ascl_tf.process import signals
from ascl_tf.process.tf_config import read_cluster

FLOAT32, BFLOAT16 = "float32", "bfloat16"
START_TIMEOUT = 600  # seconds until all workers of a cluster must be there


def make_strategy(num_replicas=0, *, global_batch_size=None):
    """Returns a strategy over `num_replicas` devices; 0: all GPUs, or all CPUs where none is.

    One CPU gets TensorFlow's default strategy, several devices or a GPU a
    `MirroredStrategy`; the code that runs in it is the same. Where `TF_CONFIG` names several
    workers it is a `MultiWorkerMirroredStrategy` over all GPUs of all of them, or one CPU of
    each. With `global_batch_size` that is checked first: a strategy that was made is not
    forgotten by its process.

    Raises:
        ConfigError: for more replicas than devices, in a cluster another number than those of
            all workers, or a batch that they do not divide.
        RunError: if the workers of a cluster do not find each other in time, or have different
            numbers of devices.
    """
    cluster = read_cluster()
    if cluster is not None:
        return _make_cluster_strategy(cluster, num_replicas, global_batch_size)
    devices = [d.name for d in tf.config.list_logical_devices("GPU")]
    has_gpu = bool(devices)
    devices = devices or [d.name for d in tf.config.list_logical_devices("CPU")]
    if num_replicas > len(devices):
        raise ConfigError(
            field="num_replicas",
            expected=f"at most the {len(devices)} visible device(s)",
            found=num_replicas,
        )
    devices = devices[: num_replicas or None]
    if global_batch_size is not None:
        check_batch_size(global_batch_size, len(devices))
    if len(devices) == 1 and not has_gpu:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)


def _make_cluster_strategy(cluster, num_replicas, global_batch_size):
    """Returns the strategy over all workers; nothing may have run on a device before."""
    # To ask for logical devices would start the runtime, too early for its collectives.
    num_local = max(1, len(tf.config.list_physical_devices("GPU")))
    num_all = num_local * cluster.num_workers
    if num_replicas not in (0, num_all):
        raise ConfigError(
            field="num_replicas",
            expected=f"0, or the {num_all} devices of the {cluster.num_workers} workers "
            "(CUDA_VISIBLE_DEVICES limits them)",
            found=num_replicas,
        )
    if global_batch_size is not None:
        check_batch_size(global_batch_size, num_all)
    print(f"cluster: waiting for {cluster.num_workers} workers, {num_all} devices", flush=True)
    from ascl_tf.training.cluster.start import wait_for_all

    wait_for_all(cluster, timeout=START_TIMEOUT)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    signals.listen_again()  # TensorFlow takes SIGTERM for a notice of its own.
    check_same_devices(strategy, cluster, num_local)
    return strategy


def check_same_devices(strategy, cluster, num_local):
    """Raises RunError on all workers unless each has as many devices, as TensorFlow assumes."""
    counts = tf.constant([num_local, num_local**2], tf.int64)
    total, total_of_squares = strategy.reduce("SUM", counts, axis=None).numpy()
    if total**2 != cluster.num_workers * total_of_squares:
        raise RunError(
            f"worker {cluster.index}: expected the same number of devices on all "
            f"{cluster.num_workers} workers; found {num_local} here and {total} together"
        )


def is_over_workers(strategy):
    """Returns whether a strategy spans several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def check_batch_size(global_batch_size, num_replicas):
    """Raises ConfigError unless every replica gets the same number of images."""
    if global_batch_size % num_replicas:
        raise ConfigError(
            field="global_batch_size",
            expected=f"a multiple of the {num_replicas} replicas",
            found=global_batch_size,
        )


def has_gpu():
    """Returns whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def is_step_compiled(jit):
    """Returns whether XLA compiles the step of the strategy in whose scope this is called.

    `auto` is on with one GPU. On a CPU XLA makes convolutions 3 to 20 times slower. Several
    devices exchange rows inside the step and inside an attack's loop, which XLA's programs
    cannot do.

    Raises:
        ConfigError: where `--jit=on` is asked for on several devices.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if jit == "on" and num_replicas > 1:
        raise ConfigError(
            field="jit",
            expected="auto or off on several devices, whose exchange XLA does not compile",
            found=f"on with {num_replicas} (`num_replicas=1` takes one)",
        )
    return jit == "on" or (jit == "auto" and num_replicas == 1 and has_gpu())


@contextlib.contextmanager
def layers_in(precision):
    """Lets layers that are built inside compute in `precision`, whatever they are called in.

    bfloat16 is Keras' mixed policy: variables, batch statistics, logits and unit projections, and
    whatever is computed from these, stay float32. What is built without it, for evaluation and
    export, is float32 and reads the same checkpoints. Under "float32" layers have Keras' own
    policy, which tests set to float64.
    """
    before = keras.config.dtype_policy()
    if precision == BFLOAT16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
