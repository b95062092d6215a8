"""One split of a data set as something that is read from beginning to end, batch by batch.

What is read goes into memory or into a file (`cached_images`); a reader holds one batch.
"""

import abc
import functools
from collections.abc import Iterator

import numpy as np

from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.mapped_images import ImageArray

_BATCH_SIZE, _BATCH_BYTES = 256, 1 << 26


class SplitReader(abc.ABC):
    """One split, whose images are of one size.

    Attributes:
        name: what records call the data set.
        split: name of the split.
        image_size: height and width to which images are resized, or None.
        how: how other images than squares are resized, see `resizing.resize`.
        num_images: Python int, N.
        class_names: one name per class.
    """

    name: str
    split: str
    image_size: int | None
    how: str
    num_images: int
    class_names: tuple[str, ...]

    @functools.cached_property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, 3), for which the first image may be read."""
        return self.find_image_shape()

    @abc.abstractmethod
    def find_image_shape(self) -> tuple[int, ...]:
        """Returns (H, W, 3), of the first image if need be."""

    @abc.abstractmethod
    def batches(self) -> Iterator[np.ndarray]:
        """Yields all images, uint8 [B, H, W, 3], in the order of the files."""

    @abc.abstractmethod
    def labels_and_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns, once all batches are read, int32 [N] and int [N].

        The labels are in the order of reading; image i of the data set is the `order[i]`th read.
        """

    @abc.abstractmethod
    def sources(self) -> Iterator[str]:
        """Yields a line on each thing that the images depend on, such as a file, and its state."""

    @property
    def num_bytes(self) -> int:
        """What all images take in memory."""
        return self.num_images * int(np.prod(self.image_shape))

    def dataset(self, images: ImageArray, labels: np.ndarray) -> ImageDataset:
        """Returns the `ImageDataset` of these images and labels."""
        return ImageDataset(self.name, images, labels, len(self.class_names), self.class_names)


def batch_size_for(image_shape: tuple[int, ...]) -> int:
    """Returns how many images to read at a time."""
    return min(_BATCH_SIZE, max(1, _BATCH_BYTES // max(1, int(np.prod(image_shape)))))


def read_into_memory(reader: SplitReader) -> ImageDataset:
    """Returns the split of a `SplitReader` in memory, which holds one batch more meanwhile."""
    images, num_read = np.empty([reader.num_images, *reader.image_shape], np.uint8), 0
    for batch in reader.batches():
        images[num_read : num_read + len(batch)] = batch
        num_read += len(batch)
    labels, order = reader.labels_and_order()
    reorder(images, order)
    return reader.dataset(images, labels[order])


def reorder(images: np.ndarray, order: np.ndarray) -> None:
    """Puts image `order[i]` in place i, for all i, without a second array of images."""
    is_done = order == np.arange(len(order))
    for first in np.flatnonzero(~is_done):
        if is_done[first]:
            continue
        place, held = first, images[first].copy()
        # Along a cycle of the permutation.
        while order[place] != first:
            images[place] = images[order[place]]
            is_done[place] = True
            place = order[place]
        images[place] = held
        is_done[place] = True
