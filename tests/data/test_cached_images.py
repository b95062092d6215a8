"""A split beyond the memory limit is decoded once into a file, which is checked at each use."""

import json
import os
import random
import threading

import numpy as np
import pytest
from PIL import Image

from ascl_tf.data import cached_images, load_dataset
from ascl_tf.data.folder import FolderReader
from ascl_tf.data.mapped_images import MappedImages
from ascl_tf.data.split_reader import reorder
from ascl_tf.errors import RunError
from ascl_tf.process import memory

NUM_IMAGES, NUM_BYTES = 12, 12 * 8 * 8 * 3


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures of noise of two classes."""
    rng = np.random.default_rng(0)
    for i in range(NUM_IMAGES):
        path = tmp_path / "pets" / "train" / ("cat", "dog")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [8, 8, 3], np.uint8)).save(path)
    return tmp_path / "pets"


@pytest.fixture
def load(folder, tmp_path):
    """Returns a function that loads the pictures, by default from a file."""

    def load(memory_limit=0, **settings):
        settings = {"cache_dir": str(tmp_path / "cache"), **settings}
        return load_dataset(f"folder:{folder}", "train", memory_limit=memory_limit, **settings)

    return load


@pytest.fixture
def never_decoded(monkeypatch):
    """Returns a function from whose call on pictures must not be decoded."""
    return lambda: monkeypatch.setattr(FolderReader, "batches", None)


def _cache(tmp_path):
    (place,) = (tmp_path / "cache").glob("folder_pets-train-*[0-9a-f]")
    return place


def _check_same(mapped, whole):
    assert isinstance(mapped.images, MappedImages) and isinstance(whole.images, np.ndarray)
    np.testing.assert_array_equal(np.asarray(mapped.images), whole.images)
    np.testing.assert_array_equal(mapped.labels, whole.labels)
    assert (mapped.name, mapped.class_names) == (whole.name, whole.class_names)
    assert mapped.sha256 == whole.sha256 and mapped.labels.dtype == whole.labels.dtype


@pytest.mark.parametrize("image_size", [None, 5])
def test_folder_in_a_file_is_the_one_in_memory(load, image_size):
    _check_same(load(image_size=image_size), load(10**9, image_size=image_size))


@pytest.mark.parametrize("split", ["test[:300]", "train[:10]"])
def test_tfds_set_in_a_file_is_the_one_in_memory(tmp_path, split):
    # Several batches of 256; sorted by its `id`, and not stored in that order.
    settings = {"cache_dir": str(tmp_path)}
    mapped = load_dataset("bundled", split, memory_limit=0, **settings)
    _check_same(mapped, load_dataset("bundled", split, memory_limit=10**9, **settings))


def test_second_use_decodes_nothing_and_says_nothing(load, never_decoded, capsys):
    first = load()
    assert "once into" in capsys.readouterr().out
    never_decoded()
    assert load().sha256 == first.sha256
    assert capsys.readouterr().out == ""


def test_limit_is_half_of_the_free_memory_or_as_told(load, monkeypatch):
    for free, is_mapped in ((2 * NUM_BYTES, False), (2 * NUM_BYTES - 1, True)):
        monkeypatch.setattr(memory, "free_bytes", lambda free=free: free)
        assert isinstance(load(None).images, MappedImages) is is_mapped
    assert isinstance(load(NUM_BYTES).images, np.ndarray)
    assert isinstance(load(NUM_BYTES - 1).images, MappedImages)


def _truncate(place):
    os.truncate(place / "images.npy", 1000)


def _flip_a_bit(place):
    data = bytearray((place / "images.npy").read_bytes())
    data[-1] ^= 1
    (place / "images.npy").write_bytes(data)


def _exchange_labels(place):
    with np.load(place / "labels.npz") as file:
        np.savez(place / "labels.npz", labels=1 - file["labels"], order=file["order"])


def _remove_document(place):
    (place / "cache.json").unlink()


def _cut_document(place):
    os.truncate(place / "cache.json", 10)


def _make_foreign(place):
    document = json.loads((place / "cache.json").read_text())
    (place / "cache.json").write_text(json.dumps({**document, "source_sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "SHA-256 of images.npy is not the recorded one"),
        (_flip_a_bit, "SHA-256 of images.npy is not the recorded one"),
        (_exchange_labels, "SHA-256 of labels.npz is not the recorded one"),
        (_remove_document, "No such file"),
        (_cut_document, "JSONDecodeError"),
        (_make_foreign, "made from other files"),
    ],
)
def test_damaged_or_foreign_file_is_made_again(load, tmp_path, capsys, damage, reason):
    load()
    damage(_cache(tmp_path))
    capsys.readouterr()
    _check_same(load(), load(10**9))
    notice = capsys.readouterr().out.splitlines()[0]
    assert notice.startswith("notice: ") and reason in notice and "making it again" in notice


def test_other_pictures_have_a_file_of_their_own(load, folder, tmp_path):
    before = load()
    picture = folder / "train" / "cat" / "0.png"
    Image.fromarray(np.zeros([8, 8, 3], np.uint8)).save(picture)
    _check_same(load(), load(10**9))
    assert load().sha256 != before.sha256
    # Those who have it open go on reading it.
    assert np.asarray(before.images).any()
    picture.unlink()
    assert len(load()) == NUM_IMAGES - 1


def test_no_room_is_refused_before_decoding(load, never_decoded, tmp_path, monkeypatch):
    never_decoded()
    needed = NUM_BYTES + 12 * NUM_IMAGES + 2**20
    usage = cached_images.shutil.disk_usage(tmp_path)._replace(free=needed - 1)
    monkeypatch.setattr(cached_images.shutil, "disk_usage", lambda path: usage)
    message = (
        rf"`cache_dir=.*`: expected room for {needed} bytes \(.*folder:pets.*found {usage.free} "
    )
    with pytest.raises(RunError, match=message) as error:
        load()
    assert "\n" not in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_disk_that_fills_up_meanwhile_is_one_line_and_leaves_nothing(load, tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cached_images.os, "fsync", refuse)
    with pytest.raises(RunError, match="`cache_dir=.*can be written; found: No space left"):
        load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_place_that_is_no_folder_is_refused(load, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="`cache_dir=.*`: expected a folder; found a file"):
        load(cache_dir=str(tmp_path / "file"))


def test_what_a_killed_process_has_left_is_removed(load, tmp_path):
    load()
    place = _cache(tmp_path)
    left = place.with_name(f".{place.name}.123.incomplete")
    place.rename(left)
    place.with_name(f"{place.name}.lock").write_text("process 123 on host a\n")
    load()
    assert list((tmp_path / "cache").iterdir()) == [place]


def test_undecodable_picture_leaves_nothing(load, folder, tmp_path):
    path = folder / "train" / "dog" / "11.png"
    # Its head says the size, so that only decoding finds the end.
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RunError, match="11.png: expected a decodable image"):
        load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_of_several_who_ask_at_once_one_decodes(load, monkeypatch, capsys):
    num_made, has_begun, may_end = [], threading.Event(), threading.Event()
    batches = FolderReader.batches

    def slow_batches(self):
        num_made.append(1)
        has_begun.set()
        assert may_end.wait(30)
        yield from batches(self)

    monkeypatch.setattr(FolderReader, "batches", slow_batches)
    monkeypatch.setattr(cached_images, "_PAUSE", 0.01)
    monkeypatch.setattr(cached_images.time, "sleep", lambda seconds: may_end.set())
    found = []
    threads = [threading.Thread(target=lambda: found.append(load())) for _ in range(3)]
    threads[0].start()
    assert has_begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(num_made) == 1
    assert len({dataset.sha256 for dataset in found}) == 1 and len(found) == 3
    assert f"waiting for process {os.getpid()}" in capsys.readouterr().out


def test_default_place_is_the_user_s_own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_images.default_cache_dir() == str(tmp_path / "ascl_tf")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cached_images.default_cache_dir() == "/home/me/.cache/ascl_tf"
    monkeypatch.setattr(cached_images.os.path, "expanduser", lambda path: path)
    with pytest.raises(RunError, match="`cache_dir`: expected a folder.*no home folder"):
        cached_images.default_cache_dir()


def test_reordering_in_memory_is_that_of_an_index():
    for seed in range(5):
        order = list(range(20))
        random.Random(seed).shuffle(order)
        images = np.random.default_rng(seed).integers(0, 256, [20, 2, 2, 3], np.uint8)
        expected = images[order]
        reorder(images, np.array(order))
        np.testing.assert_array_equal(images, expected)
