"""The common corruptions against the PyPI package imagecorruptions, on the same images.

    python tools/benchmark.py corruptions [--peer_python=<interpreter>] [--num_images=64]

The package needs setuptools < 81, scikit-image and opencv-python, which an environment of its
own may hold: `--peer_python` names its interpreter. It runs in a process beside this one, in
turn with ours, and measures itself, imports not counted. Compared are the types that it can
run, at all severities; it has those of ImageNet-C, ours are CIFAR-10-C's.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from ascl_tf.data import load_dataset
from ascl_tf.data.corruptions import SEVERITIES, corrupt, load_frost_textures
from tools.benchmarks import common

OURS, PEER = "ascl_tf", "imagecorruptions"
# At most this share of the package's time, all types together.
TO_REACH = 0.25
_PEER_PROGRAM = pathlib.Path(__file__).with_name("_corruptions_peer.py")


def main(argv=None):
    parser = common.make_parser(__doc__, repeats=5)
    parser.add_argument(
        "--peer_python", default=sys.executable, help="interpreter with the package"
    )
    parser.add_argument("--num_images", type=int, default=64)
    arguments = parser.parse_args(argv)
    images = load_dataset("bundled", "test").images[: arguments.num_images]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "images.npy"
        np.save(file, images)
        with PeerProcess(arguments.peer_python, file) as peer:
            seconds = measure(images, peer, arguments.repeats)
            report(arguments, seconds, peer)


class PeerProcess:
    """The package in a process of its own.

    Attributes:
        able: names of the corruptions that it can run.
        unable: name -> why not.
        versions: of it and its libraries.
    """

    def __init__(self, interpreter, images_file):
        command = [interpreter, str(_PEER_PROGRAM), str(images_file)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            sys.exit(f"corruptions benchmark: --peer_python={interpreter}: {error.strerror}")
        try:
            greeting = self._answer()
        except ValueError:
            self.__exit__()
            sys.exit(
                f"corruptions benchmark: expected the package {PEER} with setuptools < 81, "
                f"scikit-image and opencv-python; found that {interpreter} cannot import it "
                "(--peer_python names another interpreter)"
            )
        self.able, self.unable = greeting["able"], greeting["unable"]
        self.versions = greeting["versions"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def seconds(self, corruption, severity):
        """Returns what all images took."""
        self._process.stdin.write(json.dumps([corruption, severity]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())


def measure(images, peer, repeats):
    """Returns candidate -> corruption -> seconds per round, over all severities."""
    seconds = {name: {corruption: [] for corruption in peer.able} for name in (OURS, PEER)}
    textures = load_frost_textures()

    def ours(corruption):
        for severity in SEVERITIES:
            corrupt(images, corruption, severity, 0, frost_textures=textures)

    # The first round is not counted.
    for number in range(repeats + 1):
        for corruption in peer.able:
            spent = common.timed(lambda: ours(corruption))[0]  # noqa: B023
            peer_spent = sum(peer.seconds(corruption, severity) for severity in SEVERITIES)
            if number:
                seconds[OURS][corruption].append(spent)
                seconds[PEER][corruption].append(peer_spent)
        print(f"round {number} of {repeats}", flush=True)
    return seconds


def report(arguments, seconds, peer):
    """Prints the ratios, per type and in total, and writes the record."""
    medians = {name: common.medians(types) for name, types in seconds.items()}
    for types in medians.values():
        types["total"] = sum(types.values())
    rows = [
        {"corruption": name, "value": medians[OURS][name] / medians[PEER][name]}
        for name in medians[OURS]
    ]
    rows[-1]["to_reach"] = TO_REACH
    per_image = arguments.num_images * len(SEVERITIES) / 1000
    cells = [
        [
            row["corruption"],
            f"{row['value']:.3f}",
            f"<= {TO_REACH}" if "to_reach" in row else "",
            *(f"{types[row['corruption']] / per_image:.3f} ms" for types in medians.values()),
        ]
        for row in rows
    ]
    title = f"Corruptions of {arguments.num_images} images, medians of {arguments.repeats}"
    common.show(title, ("corruption", "ratio", "to reach", *medians), cells)
    for name, reason in peer.unable.items():
        print(f"{PEER} cannot run {name}: {reason}")
    return common.write_record(
        arguments.output,
        "corruptions",
        num_images=arguments.num_images,
        severities=list(SEVERITIES),
        ratios=rows,
        medians=medians,
        seconds=seconds,
        peer_unable=peer.unable,
        peer_versions=peer.versions,
    )


if __name__ == "__main__":
    main()
