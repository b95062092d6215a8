"""A folder of pictures as a data set: which picture belongs to which split and class.

Layouts, in which folders below a class belong to that class:

    <split>/<class>/<file>   labeled
    <split>/<file>           unlabeled
    <class>/<file>           the split `train`, labeled
    <file>, or deeper        the split `train`, unlabeled

What systems and tools leave beside pictures is left out: names that begin with a dot,
`__MACOSX`, `Thumbs.db`, `desktop.ini`. So are files that hold no picture. A picture is
read or refused by name, never left out in a class.
"""

import collections
import concurrent.futures
import functools
import os
import random
import warnings
from typing import NamedTuple

import numpy as np

from ascl_tf.data.image_dataset import UNLABELED
from ascl_tf.data.pictures import is_picture, read_picture
from ascl_tf.data.reading import resize
from ascl_tf.data.split_reader import SplitReader, batch_size_for
from ascl_tf.errors import MissingSplitError, RunError

# What a folder without split folders is.
WHOLE = "train"
_SPLIT_NAMES = (
    *("train", "training", "test", "testing", "val", "valid", "validation"),
    *("unlabeled", "unlabelled"),
)
_LEFT_OUT = ("__macosx", "thumbs.db", "desktop.ini")


class FolderSplit(NamedTuple):
    """The pictures of one split, by class and name.

    Attributes:
        files: their paths.
        labels: their class ids; -1 for "unlabeled".
        class_names: names of the class folders.
    """

    files: list[str]
    labels: list[int]
    class_names: tuple[str, ...]


class FolderReader(SplitReader):
    """Reads one split of a folder of pictures.

    The order is that of `tfds.ImageFolder`: by class and name, then shuffled by the
    split's name. What was converted to RGB is said in one line.

    Args:
        path: the folder.
        split: name of a split folder; `train` for a folder without any.
        name: what records and messages call the data set.
        image_size: int, height and width to which pictures are resized as in
            `TfdsReader`; None: they must be of one size.

    Raises:
        MissingSplitError: if there is no such split.
        RunError: here or while reading, naming the folder or file at fault: splits that differ
            in their classes, a class without pictures, pictures beside class folders, links
            that lead to a folder above them, files that cannot be decoded, several sizes.
    """

    def __init__(self, path, split, *, name, image_size=None):
        self.name, self.split, self.image_size = name, split, image_size
        self._path, found = path, find_split(path, split)
        # By class and name, so that a message names the first file at fault.
        self._files, self._labels, self.class_names = found
        self.num_images = len(self._files)

    def find_image_shape(self):
        if self.image_size is not None:
            return (self.image_size, self.image_size, 3)
        return self._read([self._files[0]], map)[0][0].shape

    def batches(self):
        kinds, size = collections.Counter(), batch_size_for(self.image_shape)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for start in range(0, self.num_images, size):
                files = self._files[start : start + size]
                images = np.empty([len(files), *self.image_shape], np.uint8)
                for row, (image, found) in enumerate(self._read(files, pool.map)):
                    if image.shape != self.image_shape:
                        raise _unequal(files[row], image.shape, self._files[0], self.image_shape)
                    images[row] = image
                    kinds.update(found)
                yield images
        if kinds:
            counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            _say(f"notice: {self.name}, split {self.split}: converted: {counts}")

    def _read(self, files, apply):
        with warnings.catch_warnings():
            # Pillow's remarks on metadata; what it cannot decode is an error.
            warnings.simplefilter("ignore")
            return list(apply(functools.partial(_read_one, image_size=self.image_size), files))

    def labels_and_order(self):
        order = list(range(self.num_images))
        random.Random(self.split).shuffle(order)
        return np.array(self._labels, np.int32), np.array(order)

    def sources(self):
        yield f"{self.name}, split {self.split}, classes {list(self.class_names)}"
        for file, label in zip(self._files, self._labels, strict=True):
            status = os.stat(file)
            name = readable_name(os.path.relpath(file, self._path))
            yield f"{label} {name} {status.st_size} {status.st_mtime_ns}"


def find_split(path, split):
    """Returns the `FolderSplit` called `split`; raises as `FolderReader`, without decoding."""
    splits = _split_folders(path, split)
    if not splits and not _holds_picture(path):
        raise RunError(f"folder:{path}: expected split folders such as train/, found none.")
    _tell_of_layout(path, splits)
    if split not in (splits or [WHOLE]):
        raise MissingSplitError(
            place=f"folder:{path}",
            expected=f"one of the splits {splits or [WHOLE]}",
            found=repr(split),
            splits=splits or [WHOLE],
        )
    if not splits:
        return _split_at(path, _classes_of_whole(path))
    classes = {name: _class_folders(os.path.join(path, name)) for name in splits}
    _check_same_classes(path, {name: found for name, found in classes.items() if found})
    return _split_at(os.path.join(path, split), classes[split])


def readable_name(name):
    """Returns a name of the file system as text that can be written anywhere.

    Bytes that are no UTF-8 are spelled out, such as `caf\\xe9`.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _split_folders(path, wanted):
    """Returns the names of the split folders; none where the folder is one split as a whole.

    `train` may also be one of the classes bus, car and train.
    """
    folders, _ = _listing(path)
    filled = [name for name in folders if _holds_picture(os.path.join(path, name))]
    named = [name for name in folders if name == wanted or name.lower() in _SPLIT_NAMES]
    has_classes = any(_filled_folders(os.path.join(path, name)) for name in named)
    if named and (has_classes or set(filled) <= set(named)):
        return sorted({*filled, *(name for name in named if name == wanted)})
    return []


def _tell_of_layout(path, splits):
    """Says what of a folder may surprise."""
    name = readable_name(os.path.basename(os.path.abspath(path)))
    beside = len(_pictures(path)) if splits else 0
    if beside:
        _say(f"notice: folder:{name}: left out: {beside} pictures beside the split folders")
    if not splits:
        classes = ", ".join(map(readable_name, _classes_of_whole(path)))
        found = f"classes {classes}" if classes else "without labels"
        _say(f"notice: folder:{name}: no split folders; all pictures are the split train, {found}")


def _classes_of_whole(path):
    """Returns the class folders of a folder without splits: none unless each holds pictures."""
    folders = _filled_folders(path)
    is_flat = all(_pictures(os.path.join(path, name)) for name in folders)
    return folders if is_flat and not _pictures(path) else []


def _class_folders(path):
    """Returns the names of a split's class folders; none where its pictures have no labels."""
    if "unlabel" in os.path.basename(path).lower():
        return []
    folders, pictures = _listing(path)[0], _pictures(path)
    if pictures and _filled_folders(path):
        raise RunError(
            f"{pictures[0]}: expected pictures in class folders only, found this one beside "
            f"{readable_name(folders[0])} ({len(pictures)} such files)."
        )
    return [] if pictures else folders


def _check_same_classes(path, classes):
    first = min(classes, default=None)
    for split in sorted(classes):
        if classes[split] != classes[first]:
            only = sorted(set(classes[split]) ^ set(classes[first]))
            raise RunError(
                f"folder:{path}: expected the same classes in every split, found "
                f"{only} in only one of {first!r} and {split!r}."
            )


def _split_at(path, classes):
    """Returns the `FolderSplit` of all pictures below a folder."""
    by_class = {name: sorted(_pictures_below(os.path.join(path, name))) for name in classes}
    by_class = by_class or {"": sorted(_pictures_below(path))}
    for name, files in by_class.items():
        if not files:
            place = os.path.join(path, name) if name else path
            raise RunError(f"{place}: expected at least one picture, found none.")
    labels = [
        label if classes else UNLABELED
        for label, files in enumerate(by_class.values())
        for _ in files
    ]
    files = [file for files in by_class.values() for file in files]
    return FolderSplit(files, labels, tuple(map(readable_name, classes)))


def _listing(path):
    """Returns the names of subfolders and of everything else, sorted, that may be of use."""
    try:
        with os.scandir(path) as entries:
            kept = sorted((e for e in entries if _is_of_use(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise RunError(f"{path}: expected a readable folder, found: {error.strerror}.") from error
    for entry in kept:
        if entry.is_symlink() and not os.path.exists(entry.path):
            raise RunError(f"{entry.path}: expected a file or folder, found a link to nothing.")
    folders = [entry.name for entry in kept if entry.is_dir()]
    return folders, [entry.name for entry in kept if not entry.is_dir()]


def _is_of_use(name):
    return not name.startswith(".") and name.lower() not in _LEFT_OUT


def _pictures(path):
    """Returns the pictures right in a folder."""
    files = (os.path.join(path, name) for name in _listing(path)[1])
    return [file for file in files if is_picture(file)]


def _pictures_below(path, above=()):
    """Yields the pictures in a folder and in all folders below it."""
    status = os.stat(path)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise RunError(f"{path}: expected a folder, found a link to a folder above it.")
    folders, files = _listing(path)
    for name in files:
        file = os.path.join(path, name)
        if is_picture(file):
            yield file
    for name in folders:
        yield from _pictures_below(os.path.join(path, name), (*above, identity))


def _holds_picture(path):
    return any(True for _ in _pictures_below(path))


def _filled_folders(path):
    folders, _ = _listing(path)
    return [name for name in folders if _holds_picture(os.path.join(path, name))]


def _read_one(file, image_size):
    image, kinds = read_picture(file)
    return (image if image_size is None else resize(image, image_size).numpy()), kinds


def _unequal(file, shape, first_file, first_shape):
    sizes = [f"{width}x{height}" for height, width, _ in (shape, first_shape)]
    return RunError(
        place=file,
        expected="images of one size",
        found=f"{sizes[0]} here and {sizes[1]} in {first_file}; pass `image_size` to resize them",
    )


@functools.cache
def _say(line):
    """Prints a line once, however often a run reads its data."""
    print(line, flush=True)
