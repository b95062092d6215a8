"""Two worker processes on the loopback interface, and what their checkpoints hold."""

import json
import os
import pathlib
import socket
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.training.workdir import flagfile_text

ROOT = pathlib.Path(__file__).parents[2]
TIMEOUT = 300


class Ended(NamedTuple):
    """A worker process that has ended."""

    status: int
    output: str
    error: str


def run_workers(config, folder, workdirs, *, event="none", dtype="float64"):
    """Pre-trains on two workers, each told its own work directory; returns `Ended` of both."""
    ports, workers = free_ports(len(workdirs)), []
    for index, workdir in enumerate(workdirs):
        command = _command(config.replace(num_replicas=0), folder, workdir, dtype, event)
        workers.append(_start(command, _environment(folder, ports, index)))
    try:
        return [_ended(worker) for worker in workers]
    finally:
        for worker in workers:  # One that waits for another would outlive a failed test.
            worker.kill()


def run_replicas(config, folder, workdir, *, num_replicas):
    """Pre-trains on virtual CPUs of one process of its own."""
    command = _command(
        config.replace(num_replicas=num_replicas), folder, workdir, "float64", "none"
    )
    ended = _ended(_start(command, {**os.environ, "NUM_VIRTUAL_CPUS": str(num_replicas)}))
    assert ended.status == 0, ended.error


def _command(config, folder, workdir, dtype, event):
    flagfile = folder / "tiny.flags"
    lines = flagfile_text(config).splitlines()
    flagfile.write_text("\n".join(x for x in lines if not x.startswith("--workdir")) + "\n")
    command = [sys.executable, "-m", "tests.training.cluster_worker"]
    return [*command, str(flagfile), str(workdir), dtype, event]


def _start(command, environment):
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _ended(worker):
    try:
        output, error = worker.communicate(timeout=TIMEOUT)
    finally:
        worker.kill()
    return Ended(worker.returncode, output, error)


def _environment(folder, ports, index):
    temporary = folder / f"temporary_{index}"
    temporary.mkdir(exist_ok=True)
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    return {
        **os.environ,
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
        "TMPDIR": str(temporary),
    }


def free_ports(count):
    """Returns ports of this host that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for number in sockets:
        number.bind(("localhost", 0))
    ports = [number.getsockname()[1] for number in sockets]
    for number in sockets:
        number.close()
    return ports


def checkpoint(folder, name="last"):
    """Returns (step, key -> array) of a pre-training's checkpoint; without metrics and history."""
    prefix = tf.train.latest_checkpoint(str(folder / "checkpoints" / "pretrain" / name))
    reader = tf.train.load_checkpoint(prefix)
    keys = [k for k in reader.get_variable_to_shape_map() if k.startswith(_STATE)]
    assert len(keys) > 15
    return int(prefix.rpartition("-")[2]), {key: reader.get_tensor(key) for key in keys}


_STATE = ("encoder", "linear_head", "projection_head", "optimizer")


def check_equal(found, expected, *, tolerance):
    """Compares two results of `checkpoint`; a tolerance of 0 is bit for bit."""
    assert found[0] == expected[0]
    assert set(found[1]) == set(expected[1])
    for key, values in found[1].items():
        np.testing.assert_allclose(
            values, expected[1][key], rtol=0, atol=tolerance, err_msg=key, strict=True
        )
