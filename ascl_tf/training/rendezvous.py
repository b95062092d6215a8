"""The workers of a cluster find each other before TensorFlow starts.

TensorFlow's own start waits for a worker that does not come without end, and hears no signal
meanwhile. So each worker first reports to the chief, at the address on which TensorFlow will
listen afterwards, and waits for its word that all are there.
"""

import contextlib
import json
import socket
import time

from ascl_tf.errors import RunError

_GO = b"go"
_PAUSE = 0.2  # seconds between two attempts to reach the chief
_ANSWER = 5.0  # seconds for what is said at once


def meet(cluster, *, num_devices, timeout):
    """Returns when all workers of a `Cluster` have called this.

    Args:
        cluster: `Cluster`.
        num_devices: of this worker; the same on each, as TensorFlow takes for granted.
        timeout: seconds.

    Raises:
        RunError: if not all are there in time, or they have different numbers of devices.
    """
    deadline = time.monotonic() + timeout
    host, _, port = cluster.chief_address.rpartition(":")
    try:
        if cluster.index == 0:
            _gather(cluster, int(port), num_devices, deadline)
        else:
            _report(cluster, (host.strip("[]"), int(port)), num_devices, deadline)
    except OSError as error:
        raise RunError(
            f"worker {cluster.index}: expected to meet the others at {cluster.chief_address}, "
            f"the chief's address in TF_CONFIG; found: {error.strerror or error}"
        ) from None


def _gather(cluster, port, num_devices, deadline):
    """Waits for all others; lets them go."""
    present = {}
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        listener = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
        stack.enter_context(listener)
        while len(present) < cluster.num_workers - 1:
            listener.settimeout(_left(deadline, lambda: _missing(cluster, present)))
            with contextlib.suppress(TimeoutError):
                connection = stack.enter_context(listener.accept()[0])
                _welcome(connection, present, num_devices)
        for connection in present.values():
            connection.sendall(_GO)
        for connection in present.values():
            # Who closes first keeps the port occupied for a while; the chief needs its own.
            connection.recv(1)


def _welcome(connection, present, num_devices):
    """Notes who has come; who says something else than a worker does is left alone."""
    connection.settimeout(_ANSWER)
    try:
        said = json.loads(connection.recv(100))
        index, found = said["worker"], said["devices"]
    except (OSError, ValueError, TypeError, KeyError):
        return
    if found != num_devices:
        raise RunError(
            f"worker {index}: expected as many devices as the chief has, {num_devices}; "
            f"found {found}"
        )
    present[index] = connection


def _report(cluster, address, num_devices, deadline):
    """Reaches the chief, and waits for its word."""
    with _connect(cluster, address, deadline) as connection:
        said = {"worker": cluster.index, "devices": num_devices}
        connection.sendall(json.dumps(said).encode())
        connection.settimeout(_left(deadline, lambda: "that of the chief, for all to be there"))
        if connection.recv(len(_GO)) != _GO:
            raise RunError(
                f"worker {cluster.index}: expected the chief's word that all workers are there; "
                "found that it has ended"
            )


def _connect(cluster, address, deadline):
    while True:
        _left(deadline, lambda: f"the chief at {cluster.chief_address}")
        with contextlib.suppress(ConnectionError, TimeoutError, socket.gaierror):
            return socket.create_connection(address, timeout=_ANSWER)
        time.sleep(_PAUSE)


def _left(deadline, describe_missing):
    left = deadline - time.monotonic()
    if left <= 0:
        raise RunError(
            f"TF_CONFIG: expected all workers in time; still missing: {describe_missing()}"
        )
    return left


def _missing(cluster, present):
    return ", ".join(f"worker {i}" for i in range(1, cluster.num_workers) if i not in present)
