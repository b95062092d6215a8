"""Images that stay in files: an array that reads the rows that it is asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# Bytes of images that a pass over a data set holds at a time.
CHUNK_BYTES = 1 << 24


class MappedImages:
    """Images uint8 [N, H, W, 3], mostly in memory-mapped files, in any order.

    Indexed as a NumPy array is, along the first axis: one place or an array of places (int or
    bool) gives the images in memory, a slice another `MappedImages` of the same files.

    Args:
        sources: arrays uint8 [., H, W, 3], one after the other.
        rows: int [N], places in all sources together; None: all of them.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, sources: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        # A subclass for files would come back from every read.
        self._sources = tuple(np.asarray(source) for source in sources)
        self._starts = np.cumsum([0, *map(len, self._sources)])
        self._rows = np.arange(self._starts[-1]) if rows is None else np.asarray(rows, np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""
        return (len(self._rows), *self._sources[0].shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.pick(index)
        rows = self._rows[index]
        return self._read(rows) if rows.ndim else self._read(rows[np.newaxis])[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in chunks(self):
            yield from chunk

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("images in files cannot become an array without a copy")
        return self._read(self._rows).astype(dtype or self.dtype, copy=False)

    def pick(self, indices: Any) -> "MappedImages":
        """Returns the images at `indices` (int [M], bool [N] or slice), without reading them."""
        return MappedImages(self._sources, self._rows[indices])

    def followed_by(self, images: "ImageArray") -> "MappedImages":
        """Returns these images and then others of the same size, without reading them."""
        others = images if isinstance(images, MappedImages) else MappedImages([images])
        rows = np.concatenate([self._rows, others._rows + self._starts[-1]])
        return MappedImages([*self._sources, *others._sources], rows)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if len(self._sources) == 1:
            return self._sources[0][rows]
        images = np.empty([len(rows), *self.shape[1:]], np.uint8)
        sources = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(sources):
            is_there = sources == number
            images[is_there] = self._sources[number][rows[is_there] - self._starts[number]]
        return images


ImageArray = np.ndarray | MappedImages


def pick(images: ImageArray, indices: Any) -> ImageArray:
    """Returns the images at `indices` (int [M], bool [N] or slice); of files they are not read."""
    if isinstance(images, MappedImages):
        return images.pick(indices)
    return np.asarray(images)[indices]


def joined(first: ImageArray, second: ImageArray) -> ImageArray:
    """Returns the images of both, which are of one size; those in files are not read."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    first = first if isinstance(first, MappedImages) else MappedImages([first])
    return first.followed_by(second)


def chunks(images: ImageArray) -> Iterator[np.ndarray]:
    """Yields all images in order, as contiguous arrays of about `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), size):
        yield np.ascontiguousarray(images[start : start + size])
