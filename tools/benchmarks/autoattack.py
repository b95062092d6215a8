"""AutoAttack against the official package, on the same network and the same images.

    python tools/benchmark.py autoattack [--subjects=<folder>] [--repeats=3] [--num_images=128]

The folder holds `robust.npz` (weights) and `images_128.npz` (`images` uint8, `labels`). The
official package is measured as shipped, and once more with PyTorch in channels-last.
Needs the extra `bench`. The attacks run in the order of the standard version, each on the
images that resisted those before it, all candidates in turn. Before that each attack of
each candidate runs once on a few images, untimed.
"""

import argparse
import sys

import numpy as np

from ascl_tf.config.paths import expanded_path
from tools.benchmarks import common
from tools.benchmarks._autoattack_candidates import OfficialCandidate, OurCandidate

ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")
OURS, OFFICIAL, CHANNELS_LAST = "ascl_tf", "pyautoattack", "pyautoattack, channels last"
# At most this share of the official time.
TO_REACH = 0.75
_NUM_WARM_UP_IMAGES = 8


def main(argv=None):
    parser = common.make_parser(__doc__, repeats=3)
    folder = common.ROOT.parent / "shared" / "subjects"
    parser.add_argument("--subjects", type=expanded_path, default=folder, help="weights and images")
    parser.add_argument("--num_images", type=int, default=128)
    parser.add_argument("--attacks", default=",".join(ATTACKS), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        candidates, images, labels = prepare(arguments)
    except (ImportError, OSError, KeyError) as error:
        sys.exit(f"autoattack benchmark: {_explain(error, arguments)}")
    attacks = arguments.attacks.split(",")
    warm_up(candidates, attacks, images, labels)
    seconds, robust = measure(candidates, attacks, images, labels, arguments.repeats)
    report(arguments, seconds, robust)


def prepare(arguments):
    """Returns (candidates by name, images [N, H, W, C], labels int64 [N])."""
    with np.load(arguments.subjects / "robust.npz", allow_pickle=False) as file:
        weights = dict(file)
    with np.load(arguments.subjects / "images_128.npz", allow_pickle=False) as file:
        images = file["images"][: arguments.num_images] / np.float32(255)
        labels = file["labels"][: arguments.num_images].astype(np.int64)
    candidates = {
        OURS: OurCandidate(weights),
        OFFICIAL: OfficialCandidate(weights, channels_last=False),
        CHANNELS_LAST: OfficialCandidate(weights, channels_last=True),
    }
    return candidates, images, labels


def warm_up(candidates, attacks, images, labels):
    """Runs each attack of each candidate on the first images, once."""
    for name, candidate in candidates.items():
        for attack in attacks:
            print(f"warming up: {attack}, {name}", flush=True)
            candidate.attack(attack, images[:_NUM_WARM_UP_IMAGES], labels[:_NUM_WARM_UP_IMAGES])


def measure(candidates, attacks, images, labels, repeats):
    """Returns (seconds, numbers of robust images): candidate -> attack -> one per round."""
    seconds = {name: {attack: [] for attack in attacks} for name in candidates}
    robust = {name: {attack: [] for attack in attacks} for name in candidates}
    for number in range(repeats):
        left = np.ones(len(images), bool)
        for attack in attacks:
            verdicts = {}
            for name, candidate in candidates.items():
                spent, verdicts[name] = common.timed(
                    lambda: candidate.attack(attack, images[left], labels[left])  # noqa: B023
                )
                seconds[name][attack].append(spent)
                robust[name][attack].append(int(verdicts[name].sum()))
                print(f"round {number + 1}: {attack}, {name}: {spent:.1f} s", flush=True)
            # All candidates go on with the same images.
            left[np.flatnonzero(left)] = verdicts[OFFICIAL]
    return seconds, robust


def report(arguments, seconds, robust):
    """Prints the ratios, per attack and in total, and writes the record."""
    medians = {name: common.medians(attacks) for name, attacks in seconds.items()}
    for attacks in medians.values():
        attacks["total"] = sum(attacks.values())
    rows = [
        {
            "attack": attack,
            "value": medians[OURS][attack] / medians[OFFICIAL][attack],
            "against_channels_last": medians[OURS][attack] / medians[CHANNELS_LAST][attack],
            "to_reach": TO_REACH,
        }
        for attack in medians[OURS]
    ]
    cells = [
        [
            row["attack"],
            f"{row['value']:.3f}",
            f"<= {TO_REACH}",
            f"{row['against_channels_last']:.3f}",
            *(f"{attacks[row['attack']]:.1f} s" for attacks in medians.values()),
        ]
        for row in rows
    ]
    headings = ("attack", "ratio", "to reach", "to channels last", *medians)
    title = f"AutoAttack, {arguments.num_images} images, medians of {arguments.repeats}"
    common.show(title, headings, cells)
    return common.write_record(
        arguments.output,
        "autoattack",
        num_images=arguments.num_images,
        ratios=rows,
        medians=medians,
        seconds=seconds,
        robust_images=robust,
        versions=_torch_versions(),
    )


def _explain(error, arguments):
    if isinstance(error, ImportError):
        return (
            "expected the packages torch and pyautoattack, as `pip install 'ascl-tf[bench]'` "
            f"brings them; found: {error}"
        )
    return (
        f"expected robust.npz and images_128.npz of the benchmark in --subjects="
        f"{arguments.subjects}; found: {error}"
    )


def _torch_versions():
    import importlib.metadata

    return {name: importlib.metadata.version(name) for name in ("torch", "pyautoattack")}


if __name__ == "__main__":
    main()
