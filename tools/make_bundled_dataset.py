"""Makes `cifar10_mini`, the data set that the package carries, from a prepared CIFAR-10.

    python tools/make_bundled_dataset.py --source=DATA_DIR --output=ascl_tf/data/bundled \
        [--lossy_ids=lossy_ids.json]

Per class, the 400 training and 100 test images whose ids have the smallest
SHA-256 of "<seed>:<id>", without the ids listed in `--lossy_ids` (a JSON object with
lists `train` and `test`: images that the source holds only as decoded JPEGs). The encoded
images are copied byte for byte, in the order of their ids, so the same source
gives the same files.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow_datasets as tfds  # noqa: E402

from ascl_tf.config.paths import expand
from ascl_tf.data.datasets import prepared_builder  # noqa: E402
from ascl_tf.data.reading import quiet  # noqa: E402
from ascl_tf.data.tfds_layout import complete_or_absent, write_tfds_dataset  # noqa: E402
from ascl_tf.errors import RunError  # noqa: E402
from ascl_tf.process.terminal import escape_unprintable

NAME, VERSION = "cifar10_mini", "1.0.0"
SEED = 0
IMAGES_PER_CLASS = {"train": 400, "test": 100}
# The order of the official batches.meta.txt.
CLASS_NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
CITATION = "Alex Krizhevsky. Learning multiple layers of features from tiny images. 2009."
NOTICE = """\
# cifar10_mini

4,000 training and 1,000 test images of CIFAR-10, 400 and 100 of each class, in the layout of
tensorflow-datasets. Pixels are those of the original, and `id` is the image's place in the
original split. Made by `tools/make_bundled_dataset.py`, which states the rule of selection.

Origin: CIFAR-10 by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton,
https://www.cs.toronto.edu/~kriz/cifar.html, a labeled subset of the 80 million tiny images.
The authors ask users to cite

    Alex Krizhevsky. Learning Multiple Layers of Features from Tiny Images. 2009.

The images are not covered by this package's license. The set serves the quick start and the
tests; numbers to compare with publications need the whole of CIFAR-10.
"""


def main(argv=None):
    """Writes the data set; returns the exit status."""
    escape_unprintable()
    flags = _parse(argv)
    try:
        make_bundled_dataset(flags.source, flags.output, _lossy_ids(flags.lossy_ids))
    except (RunError, OSError) as error:
        print(f"make_bundled_dataset: {error}", file=sys.stderr)
        return 1
    return 0


def make_bundled_dataset(source, output, lossy_ids):
    """Selects and writes both splits into `<output>/cifar10_mini/1.0.0`."""
    builder = prepared_builder("cifar10", source)
    if builder is None:
        raise RunError(f"--source={source}: expected a folder that holds cifar10, found none.")
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=CLASS_NAMES),
        }
    )
    with complete_or_absent(pathlib.Path(output) / NAME / VERSION) as directory:
        write_tfds_dataset(
            directory,
            name=NAME,
            version=VERSION,
            features=features,
            splits={split: _selected(builder, split, lossy_ids) for split in IMAGES_PER_CLASS},
            supervised_keys=("image", "label"),
            description="4,000 training and 1,000 test images of CIFAR-10, class-balanced.",
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            citation=CITATION,
        )
        (directory / "README.md").write_text(NOTICE, encoding="utf-8")


def _selected(builder, split, lossy_ids):
    """Returns the selected examples of one split, in the order of their ids."""
    with quiet():
        data = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    by_class = {}
    for example in tfds.as_numpy(data):
        example["id"] = example["id"].decode()
        if example["id"] not in lossy_ids:
            by_class.setdefault(int(example["label"]), []).append(example)
    chosen = []
    for examples in by_class.values():
        chosen += sorted(examples, key=_rank)[: IMAGES_PER_CLASS[split]]
    return sorted(chosen, key=lambda example: example["id"])


def _rank(example):
    return hashlib.sha256(f"{SEED}:{example['id']}".encode()).hexdigest()


def _lossy_ids(path):
    if path is None:
        return frozenset()
    listed = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return frozenset(listed["train"] + listed["test"])


def _parse(argv):
    parser = argparse.ArgumentParser(prog="make_bundled_dataset", allow_abbrev=False)
    parser.add_argument(
        "--source", type=expand, required=True, help="TFDS data_dir that holds cifar10"
    )
    parser.add_argument(
        "--output", type=expand, required=True, help="folder to make cifar10_mini in"
    )
    parser.add_argument("--lossy_ids", type=expand, help="JSON file of ids to leave out")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
