"""A file is written whole or not at all."""

import pytest

from ascl_tf import files


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
