"""Settings that hold for every test: two virtual CPUs, quiet logs, no GPU."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Several processes share the cores; threads that wait for one another cost a tenth of the time.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def pytest_configure(config):
    """Makes the virtual CPUs, in every process that runs tests."""
    gc.disable()  # Until all is imported, which leaves no garbage.
    # What TensorFlow says of input pipelines where tests run eagerly, see `common.eagerly`.
    warning = "ignore:Even though the `tf.config.experimental_run_functions_eagerly`"
    config.addinivalue_line("filterwarnings", warning)
    hands_tests_out = config.getoption("dist", "no") != "no"
    if not hands_tests_out:  # Such a process would import TensorFlow before the others begin.
        _make_virtual_cpus()


def pytest_collection_finish():
    """Lets the collector of garbage pass over what is imported, and come rarely.

    A graph is traced in a great many small objects, and each of its visits looks at all modules
    of TensorFlow: that is a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(200_000, 20, 50)


def _make_virtual_cpus():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
