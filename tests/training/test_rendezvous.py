"""Workers find each other, in threads in place of processes; who is missing is named."""

import concurrent.futures
import dataclasses
import socket

import pytest

from ascl_tf.cluster import Cluster
from ascl_tf.errors import RunError
from ascl_tf.training.rendezvous import meet
from tests.training.clusters import free_ports


def _meet(num_workers, devices, *, timeout):
    """Lets worker i with devices[i] devices meet the others; returns what each raised, or None."""
    address = f"localhost:{free_ports(1)[0]}"

    def one(index):
        cluster = Cluster(num_workers, index, address)
        try:
            meet(cluster, num_devices=devices[index], timeout=timeout)
        except RunError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(one, devices))


def test_all_go_on_when_all_are_there():
    assert _meet(3, {0: 2, 1: 2, 2: 2}, timeout=20) == [None] * 3


def test_missing_worker_is_named_in_time():
    (chief, other) = _meet(3, {0: 1, 2: 1}, timeout=1)
    assert chief == "TF_CONFIG: expected all workers in time; still missing: worker 1"
    assert other.startswith("worker 2: expected") or "still missing" in other


def test_missing_chief_is_named_in_time():
    (other,) = _meet(2, {1: 1}, timeout=0.5)
    assert "still missing: the chief at localhost:" in other


def test_unequal_machines_are_refused():
    chief, other = _meet(2, {0: 8, 1: 4}, timeout=20)
    assert chief == "worker 1: expected as many devices as the chief has, 8; found 4"
    assert other.startswith("worker 1: expected")


def test_strangers_at_the_port_are_left_alone():
    port = free_ports(1)[0]

    def knock():
        with socket.create_connection(("localhost", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        cluster = Cluster(2, 0, f"localhost:{port}")
        chief = pool.submit(meet, cluster, num_devices=1, timeout=20)
        while True:
            try:
                knock()
                break
            except ConnectionRefusedError:
                pass
        meet(dataclasses.replace(cluster, index=1), num_devices=1, timeout=20)
        assert chief.result() is None


def test_occupied_port_is_an_error_of_the_run():
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=rf"worker 0: .*localhost:{port}.*in use"):
            meet(Cluster(2, 0, f"localhost:{port}"), num_devices=1, timeout=5)
