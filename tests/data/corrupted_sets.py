"""Prepared sets of corrupted images, as tensorflow-datasets lays them out."""

import tensorflow_datasets as tfds

from ascl_tf.data.tfds_layout import encode_png, write_tfds_dataset


def write_tfds_corruption(data_dir, name, pixels, labels):
    """Writes a prepared `cifar10_corrupted` with one configuration."""
    directory = data_dir / "cifar10_corrupted" / name / "1.0.0"
    directory.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    rows = zip(pixels, labels, strict=True)
    write_tfds_dataset(
        directory,
        name="cifar10_corrupted",
        version="1.0.0",
        features=features,
        splits={"test": [{"image": encode_png(image), "label": label} for image, label in rows]},
        supervised_keys=("image", "label"),
    )
