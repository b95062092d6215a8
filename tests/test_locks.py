"""One process holds a lock, with those that it hands the open file to; the kernel frees it."""

import errno
import fcntl
import os
import socket
import subprocess

import pytest

from ascl_tf.process.locks import Lock

HERE = f"process {os.getpid()} on host {socket.gethostname()}"


def test_lock_is_one_holders_who_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.lock"
    first, second = Lock(path), Lock(path)
    assert first.acquire() and not second.acquire()
    assert second.describe() == HERE and first.left_by is None
    first.release()
    assert not path.exists() and second.describe() == "an unknown process"
    assert second.acquire()
    second.release()


def test_process_that_inherits_the_file_holds_the_lock_when_its_parent_is_gone(tmp_path):
    path = tmp_path / "a.lock"
    lock, other = Lock(path), Lock(path)
    assert lock.acquire()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock.fileno(),))
    del lock  # Its file is closed, as when the parent is killed.
    assert not other.acquire()
    child.communicate()
    assert other.acquire()
    assert other.left_by == HERE
    other.release()


def test_lock_that_is_given_back_while_another_process_opens_its_file_is_taken(
    tmp_path, monkeypatch
):
    path, calls = tmp_path / "a.lock", []

    def flock(file, operation):
        if not calls:
            path.unlink()
        calls.append(operation)
        return os_flock(file, operation)

    os_flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(path)
    assert lock.acquire() and len(calls) == 2
    assert not Lock(path).acquire()
    lock.release()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_file_system_without_locks_keeps_nobody_out_and_that_is_said(
    tmp_path, monkeypatch, number, capsys
):
    def flock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(tmp_path / "a.lock")
    assert lock.acquire()
    assert capsys.readouterr().out == (
        f"notice: {tmp_path / 'a.lock'}: file system without locks; other processes are not "
        "kept out\n"
    )
    lock.release()
