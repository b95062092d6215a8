"""Decoded images in a file, made once and mapped into memory from then on.

A split is a folder, named after it and after what it was made from:

    images.npy   uint8 [N, H, W, 3], in the order in which the files were read
    labels.npz   `labels`, int32 [N], in that order, too; `order`, int [N], of the data set
    cache.json   the shape, and SHA-256 of what the images were made from and of both files

The hashes are compared before the file is used. What was cut off, damaged, or made from other
files is made again.
"""

import contextlib
import functools
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np
import PIL
import tensorflow as tf

from ascl_tf.config.sizes import format_size
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.mapped_images import CHUNK_BYTES, MappedImages
from ascl_tf.data.split_reader import SplitReader
from ascl_tf.data.tfds_layout import complete_or_absent
from ascl_tf.errors import RunError
from ascl_tf.process.files import check_folder_place
from ascl_tf.process.locks import Lock
from ascl_tf.process.progress import Progress

_IMAGES, _LABELS, _DOCUMENT = "images.npy", "labels.npz", "cache.json"
_FORMAT = 1
# Beside the images: labels, order, headers.
_BYTES_PER_LABEL, _BYTES_OF_HEADERS = 12, 1 << 20
_PAUSE = 0.5  # seconds between two looks at whether another process is ready


def default_cache_dir() -> str:
    """Returns the folder where a user's programs keep what they can make again."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise RunError(
            field="cache_dir",
            expected="a folder for the decoded images of a data set beyond `memory_limit`",
            found="none, and no home folder",
        )
    return os.path.join(base, "ascl_tf")


def open_cached(reader: SplitReader, cache_dir: str) -> ImageDataset:
    """Returns the split of a `SplitReader` with its images in a file, which is made if need be.

    Several processes may ask for the same split at once: one makes it, the others wait.

    Raises:
        RunError: if the file must be made, and `cache_dir` cannot be written or has no room.
    """
    source = _source_sha256(reader)
    stem = re.sub(r"[^\w.-]+", "_", f"{reader.name}-{reader.split}", flags=re.ASCII)[:80]
    place = pathlib.Path(cache_dir).expanduser().absolute() / f"{stem}-{source[:16]}"
    if _find_fault(place, reader, source):
        check_folder_place("cache_dir", place.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            # Another process may have made it meanwhile.
            if fault := _find_fault(place, reader, source):
                _make(place, reader, source, fault)
    images = np.load(place / _IMAGES, mmap_mode="r", allow_pickle=False)
    with np.load(place / _LABELS, allow_pickle=False) as file:
        labels, order = file["labels"], file["order"]
    return reader.dataset(MappedImages([images], order), labels[order])


def _source_sha256(reader: SplitReader) -> str:
    """Returns the hash of all that the decoded images depend on."""
    # Decoders differ by a gray level from version to version.
    versions = f"format {_FORMAT}, Pillow {PIL.__version__}, TensorFlow {tf.__version__}"
    how = f", {reader.how}" if reader.image_size else ""
    digest = hashlib.sha256(f"{versions}, image_size {reader.image_size}{how}\n".encode())
    for line in reader.sources():
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@contextlib.contextmanager
def _alone(place: pathlib.Path) -> Iterator[None]:
    """Keeps other processes out, and removes what one that was killed has left."""
    lock, is_told = Lock(place.with_name(f"{place.name}.lock")), False
    while not lock.acquire():
        if not is_told:
            print(f"{place}: waiting for {lock.describe()}, which is making it", flush=True)
        is_told = True
        time.sleep(_PAUSE)
    try:
        for left in place.parent.glob(f".{place.name}.*.incomplete"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


def _find_fault(place: pathlib.Path, reader: SplitReader, source: str) -> str:
    """Returns why the cache in a folder cannot be used; empty if it can."""
    if not place.exists():
        return "not there yet"
    try:
        document = json.loads((place / _DOCUMENT).read_text(encoding="utf-8"))
        shape = [reader.num_images, *reader.image_shape]
        if document["source_sha256"] != source or document["shape"] != shape:
            return "made from other files"
        for name in (_IMAGES, _LABELS):
            if _file_sha256(place / name) != document["sha256"][name]:
                return f"SHA-256 of {name} is not the recorded one"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _file_sha256(path: pathlib.Path) -> str:
    status = os.stat(path)
    return _sha256_of(path, status.st_ino, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _sha256_of(path: pathlib.Path, inode: int, size: int, mtime: int) -> str:
    """Returns the hash of a file, which one process reads once: a run opens its data often."""
    digest, progress = hashlib.sha256(), Progress(f"checking {path}", size)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            progress.advance(len(chunk))
    progress.close()
    return digest.hexdigest()


def _make(place: pathlib.Path, reader: SplitReader, source: str, fault: str) -> None:
    if place.exists():
        print(f"notice: {place}: {fault}; making it again", flush=True)
        shutil.rmtree(place)
    _check_room(place.parent, reader)
    size = format_size(reader.num_bytes)
    print(f"{reader.name}, split {reader.split}: decoding {size} once into {place}", flush=True)
    try:
        with complete_or_absent(place) as folder:
            sha256 = _write_images(folder / _IMAGES, reader)
            labels, order = reader.labels_and_order()
            _write_file(folder / _LABELS, lambda file: np.savez(file, labels=labels, order=order))
            document = {
                "source_sha256": source,
                "shape": [reader.num_images, *reader.image_shape],
                "sha256": {_IMAGES: sha256, _LABELS: _file_sha256(folder / _LABELS)},
            }
            text = json.dumps(document, indent=1).encode()
            _write_file(folder / _DOCUMENT, lambda file: file.write(text))
    except OSError as error:
        expected = "a folder that can be written"
        raise RunError(
            field="cache_dir", value=place.parent, expected=expected, cause=error.strerror
        ) from error


def _check_room(folder: pathlib.Path, reader: SplitReader) -> None:
    needed = reader.num_bytes + _BYTES_PER_LABEL * reader.num_images + _BYTES_OF_HEADERS
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            field="cache_dir",
            value=folder,
            expected=f"room for {needed} bytes ({format_size(needed)}), the decoded images of "
            f"{reader.name}, split {reader.split}",
            found=f"{free} bytes ({format_size(free)})",
        )


def _write_images(path: pathlib.Path, reader: SplitReader) -> str:
    """Writes all images one batch after the other; returns SHA-256 of the file."""
    digest, header = hashlib.sha256(), io.BytesIO()
    shape = (reader.num_images, *reader.image_shape)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    progress = Progress(f"decoding {reader.name}, split {reader.split}", reader.num_images)

    def write(file: io.BufferedIOBase) -> None:
        file.write(header.getvalue())
        digest.update(header.getvalue())
        for batch in reader.batches():
            file.write(batch.data)
            digest.update(batch.data)
            progress.advance(len(batch))

    try:
        _write_file(path, write)
    finally:
        progress.close()
    return digest.hexdigest()


def _write_file(path: pathlib.Path, write: Callable[[io.BufferedIOBase], object]) -> None:
    with open(path, "wb") as file:
        write(file)
        file.flush()
        # Before the folder has its name: after a power cut nothing half-written must have it.
        os.fsync(file.fileno())
