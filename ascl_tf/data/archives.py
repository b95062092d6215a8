"""The official binary archives of CIFAR-10, CIFAR-100 and STL-10, as their authors ship them.

Members are read by name and never extracted, so a path inside an archive reaches no
disk. Layouts: https://www.cs.toronto.edu/~kriz/cifar.html (binary version) and
https://cs.stanford.edu/~acoates/stl10 (column-major images, labels from 1).
"""

import contextlib
import dataclasses
import gzip
import tarfile
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds

from ascl_tf.data.tfds_layout import complete_or_absent, encode_png, write_tfds_dataset
from ascl_tf.errors import RunError

_CHUNK_BYTES = 1 << 22


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of records inside an archive.

    Args:
        images: member name; records of label bytes, then 3 color planes.
        num_images: the number of records it must hold.
        labels: member name of a file with one label byte per image, or None.
    """

    images: str
    num_images: int
    labels: str | None = None


@dataclasses.dataclass(frozen=True)
class ArchiveLayout:
    """What an archive must hold, and under which name tensorflow-datasets knows it.

    Args:
        name, version: of the data set in tensorflow-datasets.
        folder: the folder inside the archive.
        image_size: height and width.
        class_files: feature name to (member of class names, one a line; number of classes).
        splits: split name to its parts.
        label_bytes: features whose labels precede the pixels in each record, in order.
        first_label: the number that stands for class 0.
        is_column_major: whether a color plane runs down the columns.
        has_ids: whether examples carry TFDS's `id`, such as `train_00000`.
        metadata: `description`, `homepage`, `citation`.
    """

    name: str
    version: str
    folder: str
    image_size: int
    class_files: Mapping[str, tuple[str, int]]
    splits: Mapping[str, tuple[Part, ...]]
    label_bytes: tuple[str, ...]
    first_label: int
    is_column_major: bool
    has_ids: bool
    metadata: Mapping[str, str]

    @property
    def record_bytes(self):
        """Bytes of one record: labels, then pixels."""
        return len(self.label_bytes) + 3 * self.image_size**2

    def member_sizes(self):
        """Returns the size in bytes that each member of records or labels must have."""
        sizes = {}
        for part in (part for parts in self.splits.values() for part in parts):
            sizes[part.images] = part.num_images * self.record_bytes
            if part.labels is not None:
                sizes[part.labels] = part.num_images
        return sizes


_CIFAR_METADATA = {
    "homepage": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "citation": "Alex Krizhevsky. Learning multiple layers of features from tiny images. 2009.",
}


def cifar10_layout(*, images_per_file=10_000):
    """Returns the layout of `cifar-10-binary.tar.gz`: five training files and one of tests."""
    files = [Part(f"data_batch_{i}.bin", images_per_file) for i in range(1, 6)]
    return ArchiveLayout(
        name="cifar10",
        version="3.0.2",
        folder="cifar-10-batches-bin",
        image_size=32,
        class_files={"label": ("batches.meta.txt", 10)},
        splits={"train": tuple(files), "test": (Part("test_batch.bin", images_per_file),)},
        label_bytes=("label",),
        first_label=0,
        is_column_major=False,
        has_ids=True,
        metadata={"description": "CIFAR-10, in the official order.", **_CIFAR_METADATA},
    )


def cifar100_layout(*, num_train=50_000, num_test=10_000):
    """Returns the layout of `cifar-100-binary.tar.gz`: coarse label, fine label, pixels."""
    return ArchiveLayout(
        name="cifar100",
        version="3.0.2",
        folder="cifar-100-binary",
        image_size=32,
        class_files={
            "coarse_label": ("coarse_label_names.txt", 20),
            "label": ("fine_label_names.txt", 100),
        },
        splits={"train": (Part("train.bin", num_train),), "test": (Part("test.bin", num_test),)},
        label_bytes=("coarse_label", "label"),
        first_label=0,
        is_column_major=False,
        has_ids=True,
        metadata={"description": "CIFAR-100, in the official order.", **_CIFAR_METADATA},
    )


def stl10_layout(*, num_train=5_000, num_test=8_000, num_unlabeled=100_000):
    """Returns the layout of `stl10_binary.tar.gz`: pixels and labels in files of their own."""
    return ArchiveLayout(
        name="stl10",
        version="1.0.0",
        folder="stl10_binary",
        image_size=96,
        class_files={"label": ("class_names.txt", 10)},
        splits={
            "train": (Part("train_X.bin", num_train, "train_y.bin"),),
            "test": (Part("test_X.bin", num_test, "test_y.bin"),),
            "unlabelled": (Part("unlabeled_X.bin", num_unlabeled),),
        },
        label_bytes=(),
        first_label=1,
        is_column_major=True,
        has_ids=False,
        metadata={
            "description": "STL-10, in the official order; unlabeled images have label -1.",
            "homepage": "http://ai.stanford.edu/~acoates/stl10/",
            "citation": "Adam Coates, Honglak Lee, Andrew Y. Ng. An Analysis of Single Layer "
            "Networks in Unsupervised Feature Learning. AISTATS 2011.",
        },
    )


LAYOUTS = {"cifar10": cifar10_layout, "cifar100": cifar100_layout, "stl10": stl10_layout}


def convert_archive(archive, data_dir, layout):
    """Turns an official archive into a prepared TFDS set under `data_dir`.

    The whole archive is checked before anything is written. Images are stored as
    lossless PNG in the official order (where tensorflow-datasets itself shuffles them).

    Args:
        archive: path of the `.tar.gz` file.
        data_dir: folder of TFDS sets; `<name>/<version>` is made in it.
        layout: `ArchiveLayout` that says what the archive must hold.

    Returns:
        Dict of split name to number of images.

    Raises:
        RunError: if the archive is unreadable, truncated or another one, if a member has
            another size, if a label is out of range, or if the set already exists.
    """
    output = f"{data_dir}/{layout.name}/{layout.version}"
    with complete_or_absent(output) as directory, _readable(archive):
        _check_stream(archive)
        with tarfile.open(archive, "r:gz") as tar:
            _check_members(tar, archive, layout)
            write_tfds_dataset(
                directory,
                name=layout.name,
                version=layout.version,
                features=_features(tar, archive, layout),
                splits={split: _examples(tar, archive, layout, split) for split in layout.splits},
                supervised_keys=("image", "label"),
                **layout.metadata,
            )
    return {split: sum(part.num_images for part in parts) for split, parts in layout.splits.items()}


@contextlib.contextmanager
def _readable(archive):
    """Turns what Python raises on a missing or damaged archive into one line."""
    try:
        yield
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
        raise RunError(
            f"{archive}: expected a complete .tar.gz archive, found a truncated or damaged "
            f"file ({error})."
        ) from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise RunError(f"{archive}: expected a readable file, found: {error.strerror}.") from error


def _check_stream(archive):
    # tarfile stops at the end-of-archive mark; only a full pass sees the checksum.
    with gzip.open(archive) as stream:
        while stream.read(_CHUNK_BYTES):
            pass


def _check_members(tar, archive, layout):
    found = {member.name.removeprefix("./"): member for member in tar.getmembers()}
    for name, size in layout.member_sizes().items():
        member = found.get(f"{layout.folder}/{name}")
        if member is None or not member.isfile():
            raise RunError(
                f"{archive}: expected the {layout.name} archive with a file "
                f"{layout.folder}/{name}, found none of that name."
            )
        if member.size != size:
            raise RunError(
                f"{archive}: expected {size} bytes in {layout.folder}/{name}, found {member.size}."
            )


def _open(tar, archive, layout, name):
    for path in (f"{layout.folder}/{name}", f"./{layout.folder}/{name}"):
        with contextlib.suppress(KeyError):
            return tar.extractfile(path)
    raise RunError(f"{archive}: expected a file {layout.folder}/{name}, found none of that name.")


def _features(tar, archive, layout):
    shape = (layout.image_size, layout.image_size, 3)
    features = {"image": tfds.features.Image(shape=shape, encoding_format="png")}
    for key, (name, num_classes) in layout.class_files.items():
        text = _open(tar, archive, layout, name).read().decode("ascii", "replace")
        names = [line.strip() for line in text.splitlines() if line.strip()]
        if len(set(names)) != num_classes or len(names) != num_classes:
            raise RunError(
                f"{archive}: expected {num_classes} class names in {layout.folder}/{name}, "
                f"found {len(names)}."
            )
        features[key] = tfds.features.ClassLabel(names=names)
    if layout.has_ids:
        features["id"] = tfds.features.Text()
    return tfds.features.FeaturesDict(features)


def _examples(tar, archive, layout, split):
    """Yields the examples of one split, one record in memory at a time."""
    position = 0
    for part in layout.splits[split]:
        for labels, pixels in _records(tar, archive, layout, part):
            _check_labels(labels, archive, layout, part)
            example = {"image": encode_png(_image(pixels, layout)), **labels}
            if layout.has_ids:
                example["id"] = f"{split}_{position:05d}"
            yield example
            position += 1


def _records(tar, archive, layout, part):
    """Yields (labels, pixels) of every record of a part; a missing label is -1."""
    num_label_bytes = len(layout.label_bytes)
    file_labels = None
    if part.labels is not None:
        file_labels = _open(tar, archive, layout, part.labels).read()
    with _open(tar, archive, layout, part.images) as stream:
        for i in range(part.num_images):
            record = stream.read(layout.record_bytes)
            labels = dict(zip(layout.label_bytes, record[:num_label_bytes], strict=True))
            if not labels:
                labels["label"] = -1 if file_labels is None else file_labels[i] - layout.first_label
            yield labels, np.frombuffer(record, np.uint8, offset=num_label_bytes)


def _check_labels(labels, archive, layout, part):
    lowest = -1 if part.labels is None and not layout.label_bytes else 0
    for key, label in labels.items():
        num_classes = layout.class_files[key][1]
        if not lowest <= label < num_classes:
            raise RunError(
                f"{archive}: expected labels {layout.first_label}.."
                f"{num_classes - 1 + layout.first_label} for {layout.folder}/{part.images}, "
                f"found {label + layout.first_label}."
            )


def _image(pixels, layout):
    planes = pixels.reshape(3, layout.image_size, layout.image_size)
    return planes.transpose(2, 1, 0) if layout.is_column_major else planes.transpose(1, 2, 0)
