"""What `TF_CONFIG` says of a cluster: the programs run in one process, and say so.

Clouds and schedulers set this variable. TensorFlow's strategies of one process do not
read it, so that several workers would each do all of the work, in one work directory.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from ascl_tf.errors import ConfigError

VARIABLE = "TF_CONFIG"
# Tasks that train; an evaluator beside them would be a program of its own.
_WORKERS = ("chief", "master", "worker")


def check_single_process(environment: Mapping[str, str] | None = None) -> None:
    """Makes sure that `TF_CONFIG`, where it is set, describes no more than this process.

    Args:
        environment: variables by name; None for those of this process.

    Raises:
        ConfigError: if its text is no cluster, or one of several workers.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE, "")
    if not text.strip():
        return
    document = _as_object(text)
    cluster = _checked_cluster(document.get("cluster", {}))
    _check_task(document.get("task", {}), cluster)
    num_workers = sum(len(cluster.get(job, ())) for job in _WORKERS)
    if num_workers > 1:
        raise ConfigError(
            f"{VARIABLE}: expected one worker, since a run is one process with all devices of "
            f"one machine (--num_replicas); found {num_workers}"
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
