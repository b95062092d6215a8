"""Turns an official archive of CIFAR-10, CIFAR-100 or STL-10 into a data set to train on.

For machines without network: carry the archive there, then

    python tools/prepare_dataset.py --dataset=cifar10 --archive=cifar-10-binary.tar.gz \
        --output=data
    python -m ascl_tf.train --stage=pretrain --dataset=cifar10 --data_dir=data

Exit status 2 for anything wrong in the flags, 1 for what is wrong with the files.
"""

import argparse
import os
import sys

from ascl_tf.config.paths import expand
from ascl_tf.process.terminal import escape_unprintable

ARCHIVES = {
    "cifar10": "cifar-10-binary.tar.gz",
    "cifar100": "cifar-100-binary.tar.gz",
    "stl10": "stl10_binary.tar.gz",
}


def main(argv=None):
    """Converts one archive; returns the exit status."""
    escape_unprintable()
    flags = _parse(argv)
    # Imported late: TensorFlow takes seconds, which a mistyped flag need not wait for.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from ascl_tf.data import archives
    from ascl_tf.errors import RunError

    layout = archives.LAYOUTS[flags.dataset]()
    try:
        counts = archives.convert_archive(flags.archive, flags.output, layout)
    except (RunError, OSError) as error:
        print(f"prepare_dataset: {error}", file=sys.stderr)
        return 1
    written = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"Wrote {layout.name} {layout.version} ({written}) into {flags.output}.")
    return 0


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="prepare_dataset",
        allow_abbrev=False,
        description="Turns an official binary archive into the layout of tensorflow-datasets.",
    )
    parser.add_argument("--dataset", required=True, choices=sorted(ARCHIVES))
    names = ", ".join(ARCHIVES.values())
    parser.add_argument(
        "--archive", type=expand, required=True, help=f"the archive as downloaded: {names}"
    )
    parser.add_argument(
        "--output", type=expand, required=True, help="folder to pass as --data_dir later"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
