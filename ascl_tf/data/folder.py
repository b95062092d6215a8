"""A folder of pictures as a data set, decoded; its layouts are those of folder_layout.py."""

import collections
import concurrent.futures
import contextlib
import functools
import os
import random
import warnings

import numpy as np

from ascl_tf.data.folder_layout import all_pictures, find_split, readable_name, say
from ascl_tf.data.pictures import picture_size, read_picture
from ascl_tf.data.resizing import CROP, choose_size, resize
from ascl_tf.data.split_reader import SplitReader, batch_size_for
from ascl_tf.errors import RunError

_MOST_SHOWN = 10  # Of the files that cannot be read.
# So many sizes of files are remembered: a run opens its data often.
_KNOWN_SIZES = 1 << 20


class FolderReader(SplitReader):
    """Reads one split of a folder of pictures.

    The order is that of `tfds.ImageFolder`: by class and name, then shuffled by the
    split's name. What was converted to RGB is said in one line.

    Args:
        path: the folder.
        split: name of a split; of a folder without any `train`, and `test` for what is cut off.
        name: what records and messages call the data set.
        image_size: int, height and width to which pictures are resized; None: as they are where
            all splits hold pictures of one size, else as `resizing.choose_size` says.
        how: "stretch", "crop" or "pad", see `resizing.resize`.
        test_fraction, split_seed: the cut of a folder without splits, see `find_split`.

    Raises:
        MissingSplitError: if there is no such split.
        RunError: here or while reading, naming the folder or file at fault: splits that differ
            in their classes, a class without pictures, pictures beside class folders, links
            that lead to a folder above them, files that cannot be decoded, a labels.csv that
            does not fit the files.
    """

    def __init__(
        self, path, split, *, name, image_size=None, how=CROP, test_fraction=0.0, split_seed=0
    ):
        self.name, self.split, self.how = name, split, how
        self._path = path
        found = find_split(path, split, test_fraction=test_fraction, split_seed=split_seed)
        # By class and name, so that a message names the first file at fault.
        self._files, self._labels, self.class_names = found
        self.num_images = len(self._files)
        self.image_size = image_size or self._size_of_several()

    def _size_of_several(self):
        """Returns the size for pictures of several sizes; None where all are of one."""
        files = all_pictures(self._path, self.split)
        with concurrent.futures.ThreadPoolExecutor() as pool, _quiet_metadata():
            sizes = list(pool.map(_or_error(_upright_size), files))
        self._check(sizes)
        if len(set(sizes)) == 1:
            return None
        sides = np.min(sizes, axis=1)
        chosen = choose_size(sides)
        say(
            f"notice: {self.name}: pictures of several sizes, shorter sides from {sides.min()} "
            f"to {sides.max()} pixels, median {np.median(sides):g}: resizing all to "
            f"{chosen} x {chosen} (image_size={chosen}, resize={self.how})"
        )
        return chosen

    def find_image_shape(self):
        if self.image_size is not None:
            return (self.image_size, self.image_size, 3)
        first = self._read([self._files[0]], map)
        self._check(first)
        return first[0][0].shape

    def batches(self):
        kinds, size = collections.Counter(), batch_size_for(self.image_shape)
        errors = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for start in range(0, self.num_images, size):
                files = self._files[start : start + size]
                read = self._read(files, pool.map)
                errors += [result for result in read if isinstance(result, RunError)]
                if errors:
                    continue  # The others at fault are named, too.
                images = np.empty([len(files), *self.image_shape], np.uint8)
                for row, (image, found) in enumerate(read):
                    if image.shape != self.image_shape:
                        raise _unequal(files[row], image.shape, self._files[0], self.image_shape)
                    images[row] = image
                    kinds.update(found)
                yield images
        self._check(errors)
        if kinds:
            counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            say(f"notice: {self.name}, split {self.split}: converted: {counts}")

    def _read(self, files, apply):
        read = functools.partial(_read_one, image_size=self.image_size, how=self.how)
        with _quiet_metadata():
            return list(apply(_or_error(read), files))

    def _check(self, results):
        """Raises an error that names the files at fault, if there are any among the results."""
        errors = [result for result in results if isinstance(result, RunError)]
        if len(errors) > 1:
            shown = [str(error) for error in errors[:_MOST_SHOWN]]
            rest = [f"{len(errors) - len(shown)} more"] * (len(errors) > len(shown))
            expected = "pictures that can be read"
            found = f"{len(errors)} that cannot: {' | '.join([*shown, *rest])}"
            raise RunError(place=self._path, expected=expected, found=found)
        if errors:
            raise errors[0]

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


def _or_error(read):
    """Returns a function that returns the `RunError` of a file that `read` raises."""

    def attempt(file):
        try:
            return read(file)
        except RunError as error:
            return error

    return attempt


def _read_one(file, image_size, how):
    image, kinds = read_picture(file)
    return (image if image_size is None else resize(image, image_size, how).numpy()), kinds


def _upright_size(file):
    try:
        status = os.stat(file)
    except OSError:
        return picture_size(file)  # Which says what is wrong.
    return _known_size(file, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=_KNOWN_SIZES)
def _known_size(file, mtime, num_bytes):
    return picture_size(file)


@contextlib.contextmanager
def _quiet_metadata():
    """Leaves out Pillow's remarks on metadata; what it cannot decode is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _unequal(file, shape, first_file, first_shape):
    sizes = [f"{width}x{height}" for height, width, _ in (shape, first_shape)]
    return RunError(
        place=file,
        expected="images of one size",
        found=f"{sizes[0]} here and {sizes[1]} in {first_file}; pass `image_size` to resize them",
    )
