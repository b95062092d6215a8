"""A file is written whole or not at all."""

import errno
import io
import os
import subprocess

import pytest

from ascl_tf.errors import RunError
from ascl_tf.process import files


def test_text_replaces_what_was_there_and_makes_the_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    files.write_text(path, "old")
    files.write_text(path, "é new")
    assert path.read_text(encoding="utf-8") == "é new"
    assert list(path.parent.iterdir()) == [path]


def test_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "b.bin"
    path.write_bytes(b"old")

    def break_off(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_whole(path, break_off)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_reported_with_the_name_of_the_file(tmp_path):
    def fill(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device: '.*b\.bin'"):
        files.write_whole(tmp_path / "b.bin", fill)
    with pytest.raises(RunError, match=r"b\.bin: expected a file .*; found: No space left"):
        with files.write_errors_as_one_line():
            files.write_whole(tmp_path / "b.bin", fill)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    names = {".a.json.12.tmp": False, ".a.tmp": True, "a.12.tmp": True, ".export.tmp": True}
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / ".folder.12.tmp").mkdir()
    files.remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name for name, stays in names.items() if stays} | {".folder.12.tmp"}


def test_leftovers_of_a_target_go_where_their_process_has_ended(tmp_path):
    with subprocess.Popen(["true"]) as ended:
        pass
    names = {
        f".a[1].json.{ended.pid}.tmp": False,
        f".a[1].json.autoattack.state.{ended.pid}.tmp": False,
        f".a[1].json.{os.getpid()}.tmp": True,
        f".b.json.{ended.pid}.tmp": True,
        ".a[1].json.tmp": True,
    }
    for name in names:
        (tmp_path / name).write_text("")
    files.remove_leftovers_of(tmp_path / "a[1].json")
    assert {path.name for path in tmp_path.iterdir()} == {n for n, stays in names.items() if stays}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("folder", r"`output=folder`: expected a file; found a folder"),
        ("/dev/null", r"`output=/dev/null`: expected a file; found a device"),
        ("none/a.json", r"`output=none/a.json`: expected a file in a folder .* No such file"),
        ("file/a.json", r"`output=file/a.json`: expected a file in a folder .* Not a directory"),
    ],
)
def test_place_of_a_file_is_tried(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(RunError, match=message):
        files.check_file_place("output", path)
    files.check_file_place("output", "file")
    files.check_file_place("output", "folder/new")
    assert (tmp_path / "file").read_text() == "kept" and not list((tmp_path / "folder").iterdir())


def test_place_of_a_folder_is_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder" / "a.png").mkdir(parents=True)
    with pytest.raises(RunError, match=r"`output=file`: expected a folder; found a file"):
        files.check_folder_place("output", "file")
    with pytest.raises(RunError, match=r"`output=file/x`: expected a folder that can be written"):
        files.check_folder_place("output", "file/x")
    with pytest.raises(RunError, match=r"expected a file a.png or none; found a folder"):
        files.check_folder_place("output", "folder", ["a.json", "a.png"])
    files.check_folder_place("output", "new/deeper")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_full_disk_is_found_before_anything_is_measured(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(RunError, match="`output=.*`: expected a file .*; found: No space left"):
        files.check_file_place("output", tmp_path / "a.json")


def test_a_folder_that_is_replaced_may_hold_no_model(tmp_path):
    model = tmp_path / "export" / "model.keras"
    files.check_outside("output", tmp_path / "export" / "records.json", [model])
    files.check_outside("output", tmp_path / "other", [model], replaces_folder=True)
    with pytest.raises(RunError, match=r"`output=.*: expected a place outside of every model"):
        files.check_outside("output", tmp_path / "export", [model], replaces_folder=True)
