"""What `TF_CONFIG` says of a cluster: how many workers there are, and which one this is.

Clouds and schedulers set this variable. Training runs on several workers, see
`training/strategy.py`; every other program and stage runs in one process, and says so. No
TensorFlow here.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from ascl_tf.errors import ConfigError

VARIABLE = "TF_CONFIG"
# Tasks that train; an evaluator beside them would be a program of its own.
_WORKERS = ("chief", "master", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Several processes that train together.

    Attributes:
        addresses: host:port of each, two or more, the chief's first.
        index: which one this is; 0 is the chief, the only one that writes.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def num_workers(self) -> int:
        """How many there are."""
        return len(self.addresses)


def read_cluster(environment: Mapping[str, str] | None = None) -> Cluster | None:
    """Returns the cluster that `TF_CONFIG` names; None for one of a single process, or none.

    Args:
        environment: variables by name; None for those of this process.

    Raises:
        ConfigError: if its text is no cluster.
    """
    cluster, task = _read(environment)
    if _count_workers(cluster) < 2:
        return None
    _check_several_workers(cluster)
    if task.get("type") not in _WORKERS:
        raise ConfigError(
            f"{VARIABLE}: expected `type` of `task` to be one that trains, chief or worker; "
            f"found {task.get('type')!r}"
        )
    # Strategies count the chief first.
    first = len(cluster.get("chief", ())) if task["type"] == "worker" else 0
    addresses = (*cluster.get("chief", ()), *cluster.get("worker", ()))
    return Cluster(addresses, first + task.get("index", 0))


def check_single_process(environment: Mapping[str, str] | None = None) -> None:
    """Makes sure that `TF_CONFIG`, where it is set, describes no more than this process.

    Args:
        environment: variables by name; None for those of this process.

    Raises:
        ConfigError: if its text is no cluster, or one of several workers.
    """
    num_workers = _count_workers(_read(environment)[0])
    if num_workers > 1:
        raise ConfigError(
            f"{VARIABLE}: expected one worker, since only the training stages of ascl_tf.train "
            f"run on several; found {num_workers}"
        )


def _read(environment: Mapping[str, str] | None) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Returns the checked (cluster, task) of `TF_CONFIG`; both are empty where it is not set."""
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    if not text.strip():
        return {}, {}
    document = _as_object(text)
    cluster, task = _checked_cluster(document.get("cluster", {})), document.get("task", {})
    _check_task(task, cluster)
    return cluster, task


def _count_workers(cluster: dict[str, list[str]]) -> int:
    return sum(len(cluster.get(job, ())) for job in _WORKERS)


def _check_several_workers(cluster: dict[str, list[str]]) -> None:
    """Raises ConfigError for what TensorFlow refuses, or would wait for without end."""
    if "master" in cluster or len(cluster.get("chief", ())) > 1:
        raise ConfigError(
            f"{VARIABLE}: expected at most one chief, and workers, in a `cluster` of several; "
            f"found {', '.join(f'{len(cluster[job])} {job}' for job in cluster)}"
        )
    addresses = [address for job in _WORKERS for address in cluster.get(job, ())]
    if len(set(addresses)) < len(addresses):
        raise ConfigError(
            f"{VARIABLE}: expected each address once in `cluster`; found {', '.join(addresses)}"
        )


def _as_object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{VARIABLE}: expected a JSON object; found {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{VARIABLE}: expected a JSON object; found {type(document).__name__}")
    return document


def _checked_cluster(cluster: Any) -> dict[str, list[str]]:
    if not isinstance(cluster, dict):
        raise ConfigError(
            f"{VARIABLE}: expected `cluster` to be an object; found {type(cluster).__name__}"
        )
    for job, addresses in cluster.items():
        if job not in (*_WORKERS, "evaluator"):
            raise ConfigError(
                f"{VARIABLE}: expected jobs out of {', '.join(_WORKERS)}, evaluator in `cluster`; "
                f"found {job!r}"
            )
        is_list = isinstance(addresses, list)
        if not is_list or not all(isinstance(item, str) and ":" in item for item in addresses):
            raise ConfigError(
                f"{VARIABLE}: expected a list of host:port for {job!r} in `cluster`; "
                f"found {addresses!r}"
            )
    return cluster


def _check_task(task: Any, cluster: dict[str, list[str]]) -> None:
    if not isinstance(task, dict):
        raise ConfigError(
            f"{VARIABLE}: expected `task` to be an object; found {type(task).__name__}"
        )
    if not task:
        return
    job, index = task.get("type"), task.get("index", 0)
    if job not in cluster:
        raise ConfigError(
            f"{VARIABLE}: expected `type` of `task` to be a job of `cluster` "
            f"({', '.join(cluster) or 'none'}); found {job!r}"
        )
    if isinstance(index, bool) or not isinstance(index, int):
        raise ConfigError(f"{VARIABLE}: expected `index` of `task` to be an int; found {index!r}")
    if not 0 <= index < len(cluster[job]):
        raise ConfigError(
            f"{VARIABLE}: expected `index` of `task` below the {len(cluster[job])} of {job!r}; "
            f"found {index}"
        )
