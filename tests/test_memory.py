"""What is free: the kernel's number, or less where a container or job may take less."""

import pytest

from ascl_tf.process import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system of 4 MB free, whose process is in the group /job/step."""
    (tmp_path / "groups" / "job" / "step").mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\nCached: 1 kB\n")
    (tmp_path / "cgroup").write_text("1:cpu:/old\n0::/job/step\n")
    for name, path in (("_MEMINFO", "meminfo"), ("_OWN_GROUP", "cgroup"), ("_GROUPS", "groups")):
        monkeypatch.setattr(memory, name, tmp_path / path)
    return tmp_path


def test_free_is_what_the_kernel_calls_available(system):
    assert memory.free_bytes() == 4000 * 1024


@pytest.mark.parametrize("group", ["job/step", "job", ""])
def test_group_or_one_above_it_may_allow_less(system, group):
    (system / "groups" / "job" / "step" / "memory.max").write_text("max\n")
    (system / "groups" / group / "memory.max").write_text("1000000\n")
    assert memory.free_bytes() == 1_000_000


def test_larger_limit_of_a_group_changes_nothing(system):
    (system / "groups" / "job" / "memory.max").write_text("99999999\n")
    assert memory.free_bytes() == 4000 * 1024


def test_without_the_kernel_s_files_it_is_half_of_all_memory(system, monkeypatch):
    for name in ("meminfo", "cgroup"):
        (system / name).unlink()
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(memory.os, "sysconf", sizes.get)
    assert memory.free_bytes() == 4096 * 500
