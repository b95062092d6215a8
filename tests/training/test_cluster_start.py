"""Workers wait for each other, in threads in place of processes; who is missing is named."""

import concurrent.futures
import contextlib
import re
import socket
import types

import pytest
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.process.tf_config import Cluster
from ascl_tf.training.cluster.start import wait_for_all
from ascl_tf.training.strategy import check_same_devices
from tests.training.clusters import free_ports


def _wait(num_workers, present, *, timeout):
    """Lets the workers that are present wait; returns all addresses, and what each raised."""
    addresses = tuple(f"localhost:{port}" for port in free_ports(num_workers))

    def one(index):
        try:
            wait_for_all(Cluster(addresses, index), timeout=timeout)
        except RunError as error:
            return str(error)
        # In place of TensorFlow, which listens there from then on.
        servers.enter_context(socket.create_server(("localhost", _port(addresses[index]))))

    with contextlib.ExitStack() as servers, concurrent.futures.ThreadPoolExecutor() as pool:
        return addresses, list(pool.map(one, present))


def _port(address):
    return int(address.rpartition(":")[2])


def test_all_go_on_when_all_are_there():
    assert _wait(4, range(4), timeout=20)[1] == [None] * 4


def test_missing_workers_are_named_in_time():
    addresses, errors = _wait(3, [0, 2], timeout=1)
    expected = "TF_CONFIG: expected all 3 workers within 1 seconds; still missing: "
    # The one that gives up first may be missing to the other.
    for error in errors:
        assert error.startswith(expected) and f"worker 1 at {addresses[1]}" in error


def test_missing_chief_is_named_in_time():
    addresses, (other,) = _wait(2, [1], timeout=0.5)
    assert other.endswith(f"still missing: worker 0 at {addresses[0]}")


def test_worker_that_has_come_and_gone_is_missing():
    port, other = free_ports(2)
    addresses = (f"localhost:{port}", f"localhost:{other}", "localhost:1")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        chief = pool.submit(wait_for_all, Cluster(addresses, 0), timeout=2)
        with pytest.raises(RunError):
            wait_for_all(Cluster(addresses, 1), timeout=0.5)
        missing = f"worker 1 at localhost:{other}, worker 2 at localhost:1"
        with pytest.raises(RunError, match=re.escape(missing)):
            chief.result()


def test_occupied_port_is_an_error_of_the_run():
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=rf"worker 0: .*localhost:{port}.*in use"):
            wait_for_all(Cluster((f"localhost:{port}", "localhost:1"), 0), timeout=5)


@pytest.mark.parametrize("others", [[8, 4], [4, 6, 8]])
def test_unequal_machines_are_refused(others):
    counts = [(count, count**2) for count in others]
    strategy = types.SimpleNamespace(
        reduce=lambda how, value, axis: value + tf.reduce_sum(tf.constant(counts, tf.int64), 0)
    )
    cluster = Cluster(("a:1",) * (1 + len(others)), 0)
    found = f"found 6 here and {6 + sum(others)} together"
    with pytest.raises(RunError, match=f"worker 0: expected the same number .*; {found}"):
        check_same_devices(strategy, cluster, 6)


def test_equal_machines_pass():
    strategy = types.SimpleNamespace(reduce=lambda how, value, axis: 3 * value)
    check_same_devices(strategy, Cluster(("a:1", "b:1", "c:1"), 1), 8)
