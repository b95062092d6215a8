"""Writing a data set in the layout that tensorflow-datasets reads, without a builder class."""

import contextlib
import os
import pathlib
import shutil

import tensorflow as tf
import tensorflow_datasets as tfds

from ascl_tf.errors import RunError


@contextlib.contextmanager
def complete_or_absent(output):
    """Yields a temporary folder that becomes `output` when the block ends without error.

    The temporary folder lies in the nearest existing parent of `output`, so that the
    last step is a rename within one file system. On any error, an interrupt included,
    it is removed, and nothing is left behind.

    Raises:
        RunError: if `output` exists, or if its place cannot be written.
    """
    output = pathlib.Path(output).expanduser().absolute()
    if output.exists():
        raise RunError(f"{output}: expected a folder that does not exist yet, found it there.")
    parent = next(folder for folder in output.parents if folder.exists())
    temporary = parent / f".{output.name}.{os.getpid()}.incomplete"
    try:
        temporary.mkdir()
    except OSError as error:
        raise RunError(f"{parent}: expected a writable folder, found: {error.strerror}.") from error
    try:
        yield temporary
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_tfds_dataset(directory, *, name, version, features, splits, **metadata):
    """Writes splits and metadata so that `tfds.builder_from_directory` reads them.

    Each split is one file, in the order given; the bytes depend on the arguments alone.

    Args:
        directory: existing folder to write into.
        name: data set name, which stands in the file names.
        version: string such as `3.0.2`.
        features: `tfds.features.FeaturesDict`.
        splits: dict of split name to an iterable of examples (dicts as `features` has
            them; an image may be an array or encoded bytes).
        **metadata: `description`, `homepage`, `citation`, `supervised_keys`.
    """
    infos = [
        _write_split(pathlib.Path(directory), name, split, features, examples)
        for split, examples in splits.items()
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=os.fspath(directory),
        features=features,
        split_infos=infos,
        version=version,
        check_data=False,
        **metadata,
    )


def encode_png(image):
    """Returns the lossless PNG bytes of a uint8 [H, W, C] array."""
    return tf.io.encode_png(image).numpy()


def _write_split(directory, name, split, features, examples):
    path = directory / f"{name}-{split}.tfrecord-00000-of-00001"
    num_examples = num_bytes = 0
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for example in examples:
            record = _serialize(features, example)
            writer.write(record)
            num_examples += 1
            num_bytes += len(record)
    return tfds.core.SplitInfo(name=split, shard_lengths=[num_examples], num_bytes=num_bytes)


def _serialize(features, example):
    # tensorflow-datasets leaves the order of the fields open; here it is fixed.
    message = tf.train.Example.FromString(features.serialize_example(example))
    return message.SerializeToString(deterministic=True)
