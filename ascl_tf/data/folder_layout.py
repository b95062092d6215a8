"""Which picture of a folder belongs to which split and class; nothing is decoded here.

Layouts, in which folders below a class belong to that class:

    <split>/<class>/<file>   labeled
    <split>/<file>           unlabeled
    <class>/<file>           labeled; a share of each class is the split `test`, the rest `train`
    <file>, or deeper        the split `train`, unlabeled
    labels.csv               whatever it lists, see label_table.py

What systems and tools leave beside pictures is left out: names that begin with a dot,
`__MACOSX`, `Thumbs.db`, `desktop.ini`. So are files that hold no picture. A picture is
read or refused by name, never left out in a class.
"""

import collections
import functools
import os
from typing import NamedTuple

import numpy as np

from ascl_tf.data import label_table
from ascl_tf.data.image_dataset import UNLABELED
from ascl_tf.data.pictures import is_of_use, is_picture
from ascl_tf.data.splits import choose_test_part
from ascl_tf.errors import MissingSplitError, RunError

# What a folder without split folders is cut into.
WHOLE, TEST = "train", "test"
_SPLIT_NAMES = (
    *("train", "training", "test", "testing", "val", "valid", "validation"),
    *("unlabeled", "unlabelled"),
)
_SHOWN_CLASSES = 10


class FolderSplit(NamedTuple):
    """The pictures of one split, by class and name.

    Attributes:
        files: their paths.
        labels: their class ids; -1 for "unlabeled".
        class_names: names of the classes.
    """

    files: list[str]
    labels: list[int]
    class_names: tuple[str, ...]

    def take(self, rows):
        """Returns the part of the pictures at `rows` (int [M]), in that order."""
        files, labels = ([values[row] for row in rows] for values in (self.files, self.labels))
        return self._replace(files=files, labels=labels)


def find_split(path, split, *, test_fraction, split_seed):
    """Returns the `FolderSplit` called `split`; raises as `FolderReader`, without decoding.

    Args:
        path: the folder.
        split: name of a split.
        test_fraction: share that becomes the split `test` where no split is told; 0: none.
        split_seed: decides which pictures these are.
    """
    if label_table.is_there(path):
        return _split_of_table(path, split, test_fraction, split_seed)
    splits = _split_folders(path, split)
    if not splits:
        return _split_of_whole(path, split, test_fraction, split_seed)
    beside = len(_pictures(path))
    if beside:
        say(f"notice: {_shown(path)}: ignoring {beside} pictures beside the split folders")
    _check_split(path, split, splits)
    classes = {name: _class_folders(os.path.join(path, name)) for name in splits}
    labeled = {name: found for name, found in classes.items() if found}
    _check_same_classes(path, labeled)
    shown = _describe_classes(next(iter(labeled.values()), []))
    say(f"notice: {_shown(path)}: splits {', '.join(map(readable_name, splits))}; {shown}")
    return _split_at(os.path.join(path, split), classes[split])


def split_names(path):
    """Returns the names of the splits that a folder tells by itself; none where it tells none."""
    if label_table.is_there(path):
        return sorted({row.split for row in label_table.read(path).values()} - {None})
    return _split_folders(path, WHOLE)


def all_pictures(path, split):
    """Returns the paths of the pictures of all splits, of which `split` is one."""
    if label_table.is_there(path):
        return list(label_table.read(path))
    folders = _split_folders(path, split) or [""]
    return [file for name in folders for file in _pictures_below(os.path.join(path, name))]


@functools.cache
def say(line):
    """Prints a line once, however often a run reads its data."""
    print(line, flush=True)


def _split_of_whole(path, split, test_fraction, split_seed):
    """Returns a split of a folder without split folders."""
    if not _holds_picture(path):
        raise RunError(f"folder:{path}: expected pictures, or folders of them; found none.")
    classes = _classes_of_whole(path)
    if classes:
        found = _split_at(path, classes)
        return _cut(path, found, split, test_fraction, split_seed, "no split folders")
    reason = _why_without_labels(path)
    say(
        f"notice: {_shown(path)}: no split folders; all pictures form the split {WHOLE}, without "
        f"labels{readable_name(reason)}"
    )
    _check_split(path, split, [WHOLE])
    return _split_at(path, [])


def _why_without_labels(path):
    """Returns why the folders in a folder are no classes; empty where there are none."""
    if not _filled_folders(path):
        return ""
    loose = _pictures(path)
    if loose:
        return f": {os.path.basename(loose[0])} is beside the folders"
    first = os.path.relpath(next(_pictures_below(path)), path)
    return f": no folder in it holds a picture directly, the first one is {first}"


def _split_of_table(path, split, test_fraction, split_seed):
    """Returns a split of what labels.csv lists."""
    rows = label_table.read(path)
    beside = set(_pictures_below(path)) - set(rows)
    if beside:
        say(
            f"notice: {_shown(path)}: ignoring {len(beside)} pictures that {label_table.NAME} "
            f"does not list, such as {readable_name(min(beside))}"
        )
    names = label_table.class_names(rows)
    class_id = {name: i for i, name in enumerate(names)}
    ordered = sorted(rows, key=lambda file: (class_id[rows[file].label], file))
    labels = [class_id[rows[file].label] for file in ordered]
    found = FolderSplit(ordered, labels, tuple(names))
    splits = split_names(path)
    if not splits:
        reason = f"no splits in {label_table.NAME}"
        return _cut(path, found, split, test_fraction, split_seed, reason)
    _check_split(path, split, splits)
    counts = collections.Counter(row.split for row in rows.values())
    shown = ", ".join(f"{name} ({counts[name]} pictures)" for name in splits)
    say(f"notice: {_shown(path)}: splits {shown}; {_describe_classes(names)}")
    label_table.check_classes(path, rows, names)
    return found.take([i for i, file in enumerate(ordered) if rows[file].split == split])


def _cut(path, found, split, fraction, seed, reason):
    """Returns the part of labeled pictures without splits that is called `split`.

    Pictures of one class teach no classifier that could be tested: they stay together.
    """
    fraction = fraction if len(found.class_names) > 1 else 0.0
    _check_split(path, split, [TEST, WHOLE] if fraction else [WHOLE])
    labels = np.array(found.labels)
    tested = choose_test_part(labels, fraction, seed) if fraction else np.array([], int)
    kept = np.setdiff1d(np.arange(len(labels)), tested)
    cut = f"all {len(labels)} pictures form the split {WHOLE}"
    if fraction:
        cut = (
            f"{len(tested)} of {len(labels)} pictures, class-balanced, form the split {TEST} "
            f"(test_fraction={fraction:g}, split_seed={seed}), the rest {WHOLE}"
        )
    say(f"notice: {_shown(path)}: {reason}; {cut}; {_describe_classes(found.class_names)}")
    missing = sorted(set(found.labels) - set(labels[kept].tolist()))
    if missing or (fraction and not len(tested)):
        left = f"none of class {found.class_names[missing[0]]!r}" if missing else "none to test on"
        raise RunError(
            field="test_fraction",
            value=fraction,
            expected=f"a share of {_shown(path)} that leaves each class a picture to train on, "
            "and two pictures of a class to test on one",
            found=left,
        )
    return found.take(tested if split == TEST else kept)


def _check_split(path, split, splits):
    if split not in splits:
        raise MissingSplitError(
            place=f"folder:{path}",
            expected=f"one of the splits {splits}",
            found=repr(split),
            splits=splits,
        )


def _shown(path):
    return f"folder:{readable_name(os.path.basename(os.path.abspath(path)))}"


def _describe_classes(names):
    if not names:
        return "no classes"
    more = len(names) - _SHOWN_CLASSES
    shown = ", ".join(" ".join(readable_name(name).split()) for name in names[:_SHOWN_CLASSES])
    return f"{len(names)} classes: {shown}" + (f" and {more} more" if more > 0 else "")


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


def _classes_of_whole(path):
    """Returns the class folders of a folder without splits: none unless one holds pictures itself.

    Where all pictures lie deeper, nothing tells the folders of a class from those of a fold.
    """
    folders = _filled_folders(path)
    is_flat = any(_pictures(os.path.join(path, name)) for name in folders)
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
            kept = sorted((e for e in entries if is_of_use(e.name)), key=lambda e: e.name)
    except OSError as error:
        raise RunError(f"{path}: expected a readable folder, found: {error.strerror}.") from error
    for entry in kept:
        if entry.is_symlink() and not os.path.exists(entry.path):
            raise RunError(f"{entry.path}: expected a file or folder, found a link to nothing.")
    folders = [entry.name for entry in kept if entry.is_dir()]
    return folders, [entry.name for entry in kept if not entry.is_dir()]


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
