"""Loading a data set by name: from tensorflow-datasets, a folder of pictures, or the package.

A split is held in memory as uint8 (the training images of CIFAR-10: 154 MB; the unlabeled ones of
STL-10: 2.8 GB at 96 pixels, 307 MB at 32), or stays in a file if it is too large for that.
"""

import contextlib
import importlib.resources
import logging
import os
import re
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core import read_only_builder, registered

from ascl_tf.config import BUNDLED, FOLDER_PREFIX, DataSettings
from ascl_tf.data.cached_images import default_cache_dir, open_cached
from ascl_tf.data.folder import FolderReader
from ascl_tf.data.folder_layout import readable_name, split_names
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.reading import TfdsReader, quiet
from ascl_tf.data.resizing import CROP, check_way
from ascl_tf.data.split_reader import SplitReader, read_into_memory
from ascl_tf.errors import ConfigError, RunError, near_names
from ascl_tf.process import memory

AUTO = "auto"
BUNDLED_NAME = "cifar10_mini"
TEST = "test"
# In place of `test`, in this order: ImageNet has train and val alone.
TEST_SPLITS = ("val", "validation")


def load_dataset(
    name: str,
    split: str,
    *,
    data_dir: str | None = None,
    download: bool = False,
    image_size: int | None = None,
    resize: str = CROP,
    test_fraction: float = DataSettings.test_fraction,
    split_seed: int = DataSettings.split_seed,
    memory_limit: int | None = None,
    cache_dir: str | None = None,
) -> ImageDataset:
    """Returns one split of a data set, in memory or, if it is too large, in a file.

    Args:
        name: `bundled` (or `cifar10_mini`): 4,000 training and 1,000 test images of CIFAR-10
            from the package; `folder:/path`: pictures as `/path/<split>/<class>/<file>`, or in
            another layout of `ascl_tf.data.folder_layout`; otherwise any name that
            tensorflow-datasets knows, such as `cifar10`, or that `data_dir` contains.
        split: name of a split, such as `train`; for a TFDS data set also a slice of one.
        data_dir: folder of prepared TFDS data sets. None: the default of tensorflow-datasets,
            `~/tensorflow_datasets` or `TFDS_DATA_DIR`.
        download: whether to download and prepare a data set that `data_dir` does not contain.
            Nothing is downloaded if it does.
        image_size: int, height and width to resize images to (bilinear, antialiased). None: keep
            the original size, except for a folder of pictures of several sizes, which are resized
            to 32, 64, 128 or 224 pixels.
        resize: how to resize images that are not square: "crop" keeps the center of the longer
            side, "pad" adds black borders, "stretch" changes the aspect ratio.
        test_fraction: share of the pictures that becomes the split `test` if a folder does not
            define splits, class-balanced. 0: none.
        split_seed: Python int >= 0 that selects these pictures.
        memory_limit: bytes of images to hold in memory. A larger split is decoded once into a file
            in `cache_dir` and read from there. None: half of the free memory.
        cache_dir: folder for these files. None: `ascl_tf` in `XDG_CACHE_HOME` or `~/.cache`.

    Returns:
        `ImageDataset`. Labels are -1 in splits called unlabeled and in data sets without
        class labels or class folders.

    Raises:
        ValueError: if `image_size` is not positive, or `resize`, `test_fraction` or
            `split_seed` does not fit the above.
        ConfigError: if no data set has this name.
        MissingSplitError: if the data set has no such split.
        RunError: if the data set is absent or unreadable, a TFDS data set is not 8-bit RGB or has
            images of several sizes and `image_size` is None, a download fails, or `cache_dir`
            cannot be written or has no space.

    Example:
        >>> dataset = load_dataset("bundled", "test[:3]")
        >>> dataset.images.shape, dataset.labels.tolist(), dataset.class_names[8]
        ((3, 32, 32, 3), [8, 9, 8], 'ship')
    """
    _check_text(name=name, split=split)
    if image_size is not None and not (isinstance(image_size, int) and image_size >= 1):
        raise ValueError(f"`image_size` must be at least 1 or None; received {image_size!r}.")
    _check_choices(resize, test_fraction, split_seed)
    sizes: dict[str, Any] = {"image_size": image_size, "how": resize}
    with contextlib.ExitStack() as stack:
        if name.startswith(FOLDER_PREFIX):
            cut = {"test_fraction": test_fraction, "split_seed": split_seed}
            return _load(_folder_reader(name, split, **sizes, **cut), memory_limit, cache_dir)
        if name in (BUNDLED, BUNDLED_NAME):
            name, builder = BUNDLED, stack.enter_context(_bundled_builder())
        else:
            builder = prepared_builder(name, data_dir) or _absent(name, data_dir, download)
        reader = TfdsReader(builder, split, name=name, **sizes)
        return _load(reader, memory_limit, cache_dir)


def is_available(name: str, data_dir: str | None = None) -> bool:
    """Returns whether `load_dataset` can read `name` without a download.

    Example:
        >>> is_available("bundled")
        True
    """
    _check_text(name=name)
    if name in (BUNDLED, BUNDLED_NAME):
        return True
    if name.startswith(FOLDER_PREFIX):
        return os.path.isdir(os.path.expanduser(name.removeprefix(FOLDER_PREFIX)))
    return prepared_builder(name, data_dir) is not None


def download_dataset(name: str, data_dir: str | None = None) -> None:
    """Downloads and prepares a data set of TFDS, unless `data_dir` holds it.

    Raises:
        ConfigError: if TFDS knows no such name.
        RunError: if the download fails.
    """
    if prepared_builder(name, data_dir) is None:
        _absent(name, data_dir, download=True)


def splits_of_folder(name: str) -> tuple[str, ...]:
    """Returns the splits that the folder in `folder:/path` defines; () for other names."""
    return tuple(split_names(_folder_path(name))) if name.startswith(FOLDER_PREFIX) else ()


def _folder_path(name: str) -> str:
    path = os.path.expanduser(name.removeprefix(FOLDER_PREFIX))
    if not path:
        raise RunError(field="name", value=name, expected=f"{FOLDER_PREFIX}/path", found="no path")
    return path


def name_at_hand(name: str, *, data_dir: str | None = None, download: bool = False) -> str:
    """Returns `name`, or for "auto" the best data set available: cifar10, else bundled."""
    if name != AUTO:
        return name
    return "cifar10" if download or is_available("cifar10", data_dir) else BUNDLED


def _check_text(**arguments: object) -> None:
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise ValueError(f"`{name}` must be text; received {type(value).__name__}.")


def _check_choices(resize: str, test_fraction: float, split_seed: int) -> None:
    check_way(resize)
    if not 0 <= test_fraction < 1:
        raise ValueError(f"`test_fraction` must be in [0, 1); received {test_fraction!r}.")
    if not split_seed >= 0:
        raise ValueError(f"`split_seed` must be >= 0; received {split_seed!r}.")


def _load(reader: SplitReader, memory_limit: int | None, cache_dir: str | None) -> ImageDataset:
    limit = memory.free_bytes() // 2 if memory_limit is None else memory_limit
    if reader.num_bytes <= limit:
        return read_into_memory(reader)
    return open_cached(reader, cache_dir or default_cache_dir())


def _folder_reader(name: str, split: str, **settings: Any) -> FolderReader:
    path = _folder_path(name)
    # Records never name a directory of a machine, so only the folder's own name stays.
    record_name = FOLDER_PREFIX + readable_name(os.path.basename(os.path.abspath(path)))
    return FolderReader(path, split, name=record_name, **settings)


@contextlib.contextmanager
def _bundled_builder() -> Iterator[tfds.core.DatasetBuilder]:
    resource = importlib.resources.files("ascl_tf.data") / "bundled" / BUNDLED_NAME / "1.0.0"
    with importlib.resources.as_file(resource) as path, quiet():
        yield tfds.builder_from_directory(path)


def prepared_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder | None:
    """Returns a builder that reads the files of a prepared data set, or None without files.

    Raises:
        RunError: if the files exist but cannot be used.
    """
    try:
        with quiet():
            return read_only_builder.builder_from_files(name, data_dir=_expand(data_dir))
    except registered.DatasetNotFoundError:
        return None
    except Exception as error:
        expected = f"a readable TFDS folder in {_place(data_dir)}"
        raise _unusable(name, expected, error) from error


def _absent(name: str, data_dir: str | None, download: bool) -> tfds.core.DatasetBuilder:
    """Downloads a data set that is not available, or raises an error that says what to do."""
    _check_known(name, data_dir)
    if not download:
        raise RunError(
            field="name",
            value=name,
            expected=f"a prepared data set in {_place(data_dir)}",
            found="none; pass the `data_dir` that holds it, or `download` to fetch it",
        )
    try:
        with _quiet_retries():
            builder = tfds.builder(name, data_dir=_expand(data_dir))
            builder.download_and_prepare()
    # Whatever stops a download (network, disk, checksums, missing packages) is of
    # a type of its own; the user needs its first line, --debug shows the rest.
    except Exception as error:
        expected = f"a `download` into {_place(data_dir)} that succeeds"
        raise _unusable(name, expected, error) from error
    return builder


def _check_known(name: str, data_dir: str | None) -> None:
    known = tfds.list_builders(with_community_datasets=False)
    base = re.split(r"[/:]", name)[0]
    if base in known:
        return
    if os.path.isdir(os.path.expanduser(name)):
        expected, found = f"{FOLDER_PREFIX}{name} for a folder of pictures", "no prefix"
        raise ConfigError(field="name", value=name, expected=expected, found=found)
    raise ConfigError(
        field="name",
        value=name,
        expected=f"a name that tensorflow-datasets or {_place(data_dir)} knows, "
        f"{FOLDER_PREFIX}/path or {BUNDLED}",
        found="an unknown name" + near_names(base, [*known, BUNDLED]),
    )


@contextlib.contextmanager
def _quiet_retries() -> Iterator[None]:
    """Keeps the progress bars of a download, but hides the warning for every retry."""
    logger = logging.getLogger("urllib3.connectionpool")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        logger.setLevel(level)


def _expand(data_dir: str | None) -> str | None:
    return None if data_dir is None else os.path.expanduser(data_dir)


def _place(data_dir: str | None) -> str:
    if data_dir is None:
        return "the default `data_dir` (~/tensorflow_datasets or TFDS_DATA_DIR)"
    return f"`data_dir={data_dir}`"


def _unusable(name: str, expected: str, error: Exception) -> RunError:
    """Returns the RunError for a data set on which tensorflow-datasets raised `error`."""
    lines = [type(error).__name__, *str(error).strip().splitlines()]
    return RunError(field="name", value=name, expected=expected, cause=": ".join(lines[:2]))
