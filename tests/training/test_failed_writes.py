"""A full disk or a read-only folder: one clear line, and what was there before is whole."""

import contextlib
import errno
import os
import resource

import pytest
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.process import failures, files
from ascl_tf.training.checkpoints import LAST, StageCheckpoints
from ascl_tf.training.checksums import find_fault, list_prefixes
from tests.methods import helpers


@pytest.fixture(scope="module")
def method():
    return helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="standard")))


@contextlib.contextmanager
def largest_file(num_bytes):
    """Lets the system refuse to write more than this into a file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _save_at(checkpoints, step):
    checkpoints.method.optimizer.iterations.assign(step)
    checkpoints.save(LAST)


@pytest.mark.parametrize("num_bytes", [0, 100, 600])
def test_full_disk_leaves_the_checkpoint_before_whole(method, tmp_path, num_bytes):
    checkpoints = StageCheckpoints(tmp_path, method)
    _save_at(checkpoints, 1)
    before = sorted((tmp_path / LAST).iterdir())
    with pytest.raises(RunError, match=r"last/ckpt-2: expected to write .*ckpt-1 before it") as e:
        with largest_file(num_bytes):
            _save_at(checkpoints, 2)
    assert len(str(e.value).splitlines()) == 1
    assert sorted((tmp_path / LAST).iterdir()) == before
    checkpoints.restore(LAST)
    assert checkpoints.step == 1
    _save_at(checkpoints, 2)
    assert [p.name for p in list_prefixes(tmp_path / LAST)] == ["ckpt-2", "ckpt-1"]


def test_disk_that_is_full_at_the_checksums_leaves_no_half_checkpoint(
    method, tmp_path, monkeypatch
):
    checkpoints = StageCheckpoints(tmp_path, method)
    _save_at(checkpoints, 1)
    before = sorted((tmp_path / LAST).iterdir())

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(RunError, match="found: No space left on device; ckpt-1 before it is whole"):
        _save_at(checkpoints, 2)
    assert sorted((tmp_path / LAST).iterdir()) == before


def test_folder_that_cannot_be_written_is_named(method, tmp_path):
    (tmp_path / LAST).write_text("in the way")
    with pytest.raises(RunError, match=r"last/ckpt-1: expected to write .*there is none before"):
        _save_at(StageCheckpoints(tmp_path, method), 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_folder_leaves_the_checkpoint_before_whole(method, tmp_path):
    checkpoints = StageCheckpoints(tmp_path, method)
    _save_at(checkpoints, 1)
    (tmp_path / LAST).chmod(0o555)
    try:
        with pytest.raises(RunError, match="expected to write .*ckpt-1 before it is whole"):
            _save_at(checkpoints, 2)
    finally:
        (tmp_path / LAST).chmod(0o755)
    assert find_fault(tmp_path / LAST / "ckpt-1") is None


def test_record_on_a_full_disk_is_one_line_that_names_the_file(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(RunError, match=r"record\.json: expected a file .*; found: File too large"):
        with files.write_errors_as_one_line(), largest_file(3):
            files.write_text(path, "a longer one")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_other_faults_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), files.write_errors_as_one_line():
        (tmp_path / "absent").read_text()


def _raise_in_training(error):
    where = {"batch_setting": "global_batch_size", "global_batch_size": 6, "logs": "a/tensorboard"}
    with failures.training_errors_as_one_line(width=helpers.TINY.width, **where):
        raise error


def test_full_disk_under_tensorboard_is_one_line():
    # As TensorFlow words it.
    file = "a/tensorboard/events.out.tfevents.17.host.90.0.v2"
    message = f"{file}; File too large\n\tFailed to flush 1 events to {file}"
    with pytest.raises(RunError, match="^a/tensorboard: expected to .*; found: File too large$"):
        _raise_in_training(tf.errors.OutOfRangeError(None, None, message))


def test_lack_of_memory_says_what_to_lower():
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    with pytest.raises(RunError, match="found that 6 images at width 64 do not. Lower `global_b"):
        _raise_in_training(error)


def test_other_errors_of_tensorflow_stay_what_they_are():
    with pytest.raises(tf.errors.InvalidArgumentError):
        _raise_in_training(tf.errors.InvalidArgumentError(None, None, "shapes"))
