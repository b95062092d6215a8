"""How much memory this process may still take."""

import os
import pathlib
import re
from collections.abc import Iterator

_MEMINFO = pathlib.Path("/proc/meminfo")
_OWN_GROUP = pathlib.Path("/proc/self/cgroup")
_GROUPS = pathlib.Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Returns the bytes of memory that are free, or that the kernel would give up for a process.

    At most what a container or a job may take (control groups, version 2). Where the system does
    not tell what is free, as macOS, half of all memory.
    """
    return min([_available(), *_group_limits()])


def _available() -> int:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMINFO.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found:
        return 1024 * int(found[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _group_limits() -> Iterator[int]:
    """Yields the limits of this process's control group and of those above it."""
    try:
        found = re.search(r"^0::/(.*)$", _OWN_GROUP.read_text(), re.MULTILINE)
    except OSError:
        return
    group = _GROUPS / (found[1] if found else "")
    for place in (group, *group.parents):
        try:
            yield int((place / "memory.max").read_text())
        except (OSError, ValueError):  # None there, or "max".
            continue
