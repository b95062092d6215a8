"""The files that bad inputs are made of: built once, small, never changed."""

import pathlib
import shutil
import zipfile

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ascl_tf.data import load_dataset
from tests.bad_input.checkpoint_cases import write_checkpoint

SIZE, NUM_CLASSES = 8, 3
_RNG = np.random.default_rng(0)


def build_world(root):
    """Fills the folder `root` with data sets, models and a checkpoint."""
    _write_folders(root)
    _write_corruptions(root)
    _write_sets(root / "sets")
    _write_models(root)
    write_checkpoint(root / "checkpoint")


def _write_folder(path, *, size=SIZE, num_classes=NUM_CLASSES, splits=("train", "test")):
    for split in splits:
        for label in range(num_classes):
            place = path / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(4):
                pixels = _RNG.integers(0, 255, (size, size, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return path


def _write_folders(root):
    _write_folder(root / "good")
    _write_folder(root / "tiny", size=4)
    _write_folder(root / "one", num_classes=1)
    _write_folder(root / "train_only", splits=["train"])
    _beside(root / "floats", "9.tif", Image.new("F", (SIZE, SIZE)).save)
    _beside(root / "phone", "9.HEIC", lambda file: file.write_bytes(b"ftypheic"))
    _beside(root / "dangling", "9.png", lambda file: file.symlink_to("nowhere"))
    _beside(root / "loop", "up", lambda file: file.symlink_to("../../train"))
    _beside(root / "stray", "../9.png", Image.new("RGB", (SIZE, SIZE)).save)
    _move_out_of_classes(_write_folder(root / "untold") / "test", root / "untold" / "test")
    _move_out_of_classes(_write_folder(root / "loose") / "train", root / "loose")
    shutil.rmtree(root / "loose" / "test")
    _change(root / "truncated", lambda file: file.write_bytes(file.read_bytes()[:60]))
    _change(root / "text", lambda file: file.write_text("no image"))
    (_write_folder(root / "table") / "labels.csv").write_text("file,label\ngone.png,cat\n")
    for name in ("a", "b"):
        (root / "few" / name).mkdir(parents=True)
        Image.new("RGB", (SIZE, SIZE)).save(root / "few" / name / "0.png")
    for file in _write_folder(root / "empty").glob("*/class0/*"):
        file.unlink()
    _write_folder(root / "differing")
    (root / "differing" / "test" / "class2").rename(root / "differing" / "test" / "class3")
    (root / "no_splits").mkdir()
    _write_folder(root / "large", size=16)


def _beside(path, name, write):
    write(_write_folder(path) / "train" / "class0" / name)


def _move_out_of_classes(split, target):
    for number, file in enumerate(sorted(split.glob("*/*.png"))):
        file.rename(target / f"{number}.png")
    for folder in split.iterdir():
        if folder.is_dir():
            folder.rmdir()
    if target != split:
        split.rmdir()


def _change(path, change):
    for split in ("train", "test"):
        change(_write_folder(path, splits=[split]) / split / "class0" / "0.png")


def _write_corruptions(root):
    count = 5 * 12
    images = _RNG.integers(0, 255, (count, SIZE, SIZE, 3), np.uint8)
    labels = np.tile(load_dataset(f"folder:{root / 'good'}", "test").labels, 5)
    for name, wrong_images in {
        "c_float": images.astype(np.float32),
        "c_gray": images[..., :1],
        "c_short": images[1:],
        "c_few": images,
        "c_pickle": np.array([{"a": 1}], dtype=object),
    }.items():
        _write_arrays(root / name, wrong_images, labels)
    for name, wrong_labels in {
        "l_count": labels[1:],
        "l_float": labels + 0.5,
        "l_negative": labels - 1,
    }.items():
        _write_arrays(root / name, images, wrong_labels)


def _write_arrays(folder, images, labels):
    folder.mkdir()
    np.save(folder / "labels.npy", labels)
    np.save(folder / "gaussian_noise.npy", images, allow_pickle=images.dtype == object)


def _write_sets(data_dir):
    image = tfds.features.Image(shape=(SIZE, SIZE, 3))
    label = tfds.features.ClassLabel(num_classes=2)
    pixels = _RNG.integers(0, 255, (4, SIZE, SIZE, 3), np.uint8)
    labels = np.array([0, 1, 0, 1])
    _write_set(data_dir, "photos", {"image": image, "label": label}, (pixels, labels))
    _write_set(data_dir, "nameless", {"image": image}, (pixels,))
    gray = tfds.features.Image(shape=(SIZE, SIZE, 1))
    _write_set(data_dir, "grays", {"image": gray, "label": label}, (pixels[..., :1], labels))
    number = tfds.features.Scalar(tf.int64)
    _write_set(data_dir, "numbers", {"count": number, "label": label}, (labels, labels))


def _write_set(data_dir, name, features, columns):
    examples = dict(zip(features, columns, strict=True))
    split = tf.data.Dataset.from_tensor_slices(examples)
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        data_dir=data_dir,
        split_datasets={"train": split, "test": split},
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    )


def _save_keras(path, *layers, size=SIZE):
    inputs = keras.Input((size, size, 3))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    keras.Model(inputs, outputs).save(path)


@keras.saving.register_keras_serializable("bad_input")
class Undefined(keras.Layer):
    """A layer that divides nothing by nothing."""

    def call(self, images):
        return 0.0 * images / (0.0 * images)


def _write_models(root):
    mean = keras.layers.GlobalAveragePooling2D
    _save_keras(root / "model.keras", mean())
    _save_keras(root / "lambda.keras", keras.layers.Lambda(lambda x: x[:, 0, 0]))
    _save_keras(root / "rows.keras", keras.layers.ReLU())
    _save_keras(root / "small.keras", mean(), size=6)
    _save_keras(root / "two.keras", mean(), keras.layers.Dense(2))
    _save_keras(root / "nan.keras", mean(), Undefined())
    twins = [keras.Input((SIZE, SIZE, 3), name=name) for name in ("images", "masks")]
    keras.Model(twins, mean()(keras.layers.Add()(twins))).save(root / "twins.keras")
    whole = (root / "two.keras").read_bytes()
    (root / "text.keras").write_text("no model")
    (root / "short.keras").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    # Into the name of the first member's entry in the directory at the end.
    flipped[whole.rindex(b"config.json")] ^= 0xFF
    (root / "flipped.keras").write_bytes(flipped)
    with zipfile.ZipFile(root / "empty.keras", "w"):
        pass
    _write_saved_models(root)


def _write_saved_models(root):
    (root / "garbage").mkdir()
    (root / "garbage" / "saved_model.pb").write_bytes(b"\xff" * 100)
    images = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="images")
    masks = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="masks")

    def mean(images):
        return tf.reduce_mean(images, axis=[1, 2])

    for name, shape, dtype in (
        ("smaller", (6, 6, 3), tf.float32),
        ("first", (3, SIZE, SIZE), tf.float32),
        ("bytes", (SIZE, SIZE, 3), tf.uint8),
    ):
        _save_function(root / name, mean, [tf.TensorSpec([None, *shape], dtype, name="images")])
    _save_function(root / "unsigned", mean, [images], "predict")
    _save_function(root / "pair", lambda images, masks: mean(images + masks), [images, masks])
    _save_function(root / "many", lambda images: {"a": mean(images), "b": mean(images)}, [images])


def _save_function(path, function, specs, key="serving_default"):
    module = tf.Module()
    module.function = tf.function(function, specs, autograph=False)
    pathlib.Path(path).mkdir()
    tf.saved_model.save(module, str(path), signatures={key: module.function})
