"""The workers of a cluster wait for each other before TensorFlow starts.

TensorFlow's own start (2.21) would not do: on the chief no timeout can be set for it, and while
it waits the process hears no signal. So each worker first listens at its address, until it
reaches all others at theirs.
"""

import contextlib
import socket
import time

from ascl_tf.errors import RunError

_PAUSE = 0.2  # seconds between two rounds
_ANSWER = 2.0  # seconds for a connection


def wait_for_all(cluster, *, timeout):
    """Returns once all workers of a `Cluster` are there.

    Args:
        cluster: `Cluster`.
        timeout: seconds.

    Raises:
        RunError: naming those that are missing after that time, or if this worker cannot listen
            at its own address.
    """
    deadline = time.monotonic() + timeout
    others = [i for i in range(cluster.num_workers) if i != cluster.index]
    with _listening(cluster) as answer:
        while missing := [i for i in others if not _is_there(cluster.addresses[i])]:
            if time.monotonic() > deadline:
                named = ", ".join(f"worker {i} at {cluster.addresses[i]}" for i in missing)
                raise RunError(
                    f"TF_CONFIG: expected all {cluster.num_workers} workers within "
                    f"{timeout:g} seconds; still missing: {named}"
                )
            answer()
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _listening(cluster):
    """Listens at the worker's own port; yields a function that answers those who have called."""
    address = cluster.addresses[cluster.index]
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    is_dual = family == socket.AF_INET6
    try:
        listener = socket.create_server(
            ("", _split(address)[1]), family=family, dualstack_ipv6=is_dual
        )
    except OSError as error:
        raise RunError(
            f"worker {cluster.index}: expected to listen at {address}, its address in TF_CONFIG; "
            f"found: {error.strerror or error}"
        ) from None
    listener.setblocking(False)

    def answer():
        with contextlib.suppress(BlockingIOError):
            while True:
                listener.accept()[0].close()

    with listener:
        yield answer


def _is_there(address):
    try:
        socket.create_connection(_split(address), timeout=_ANSWER).close()
    except OSError:
        return False
    return True


def _split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
