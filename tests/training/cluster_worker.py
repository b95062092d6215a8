"""One worker of a cluster, in a process of its own for test_cluster_fit.py.

    python -m tests.training.cluster_worker <flagfile> <workdir> <float64 or float32> <event>

Runs the flagfile's pre-training on the tiny world, by the program's own entry. `TF_CONFIG` says
which worker this is, as everywhere; without it the process has NUM_VIRTUAL_CPUS devices. In front
of a step the process gets the signal that an <event> such as "SIGKILL worker 1 step 2" names.
"""

import os
import re
import signal
import sys

from ascl_tf import train
from ascl_tf.process import signals
from ascl_tf.process.terminal import quiet_start
from ascl_tf.process.tf_config import read_cluster
from ascl_tf.program import flag_defs


def main(flagfile, workdir, dtype, event):
    with quiet_start():
        import keras
        import pytest
        import tensorflow as tf

        from tests.common import weak_views_for_strong
        from tests.training.worlds import make_tiny_world
    if "NUM_VIRTUAL_CPUS" in os.environ:
        devices = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["NUM_VIRTUAL_CPUS"])
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    arguments = [f"--flagfile={flagfile}", f"--workdir={workdir}", "--stage=pretrain"]
    context = pytest.MonkeyPatch.context()
    with context as monkeypatch, weak_views_for_strong(), signals.listening():
        make_tiny_world(monkeypatch)
        _arrange(monkeypatch, event)
        flag_defs.run_program(train.main, ["train", *arguments])


def _arrange(monkeypatch, event):
    from ascl_tf.training import callbacks

    found = re.fullmatch(r"(\w+) worker (\d+) step (\d+)", event)
    if found is None or int(found[2]) != read_cluster().index:
        return

    def on_train_batch_begin(self, batch, logs=None):
        if self.checkpoints.step == int(found[3]):
            os.kill(os.getpid(), signal.Signals[found[1]])

    monkeypatch.setattr(callbacks.SaveLast, "on_train_batch_begin", on_train_batch_begin)


if __name__ == "__main__":
    main(*sys.argv[1:])
