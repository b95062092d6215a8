"""What an image costs by its size and the network: time and memory of adversarial training.

    python tools/benchmark.py image_sizes [--sizes=32,64,128,224] [--width=16]

Each network and size has a process of its own, which makes steps of AT with one attack step (6
forward passes of each image); stems are those of --stem=auto. Memory is the peak of the process,
the interpreter included.
"""

import json
import pathlib
import statistics
import sys
import tempfile

from tools.benchmarks import common
from tools.measured_process import run_measured

PASSES = 1 + 2 + 3  # For the accuracy, the attack and the update.
NETWORKS = {
    "resnet18": {},
    "resnet50": {"depth": 50},
    "preact_resnet18": {"encoder": "preact_resnet"},
    "wide_resnet_16_4": {"encoder": "wide_resnet_16_4"},
}


def main(argv=None):
    arguments = parse(argv)
    report(arguments, [measure(arguments, *case) for case in cases(arguments)])


def parse(argv):
    """Returns the arguments, their lists parsed."""
    parser = common.make_parser(__doc__, repeats=3)
    common.add_model_arguments(parser)
    parser.set_defaults(batch_size=8)
    parser.add_argument("--sizes", default="32,64,128,224", help="pixels")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="which to measure")
    arguments = parser.parse_args(argv)
    arguments.networks = arguments.networks.split(",")
    unknown = sorted(set(arguments.networks) - set(NETWORKS))
    if unknown:
        expected = f"some of {', '.join(NETWORKS)}"
        parser.error(f"--networks: expected {expected}; found {', '.join(unknown)}")
    try:
        arguments.sizes = [int(size) for size in arguments.sizes.split(",")]
    except ValueError:
        parser.error(f"--sizes: expected numbers; found {arguments.sizes!r}")
    return arguments


def cases(arguments):
    """Returns (network, size) of everything that is measured."""
    return [(name, size) for name in arguments.networks for size in arguments.sizes]


def measure(arguments, name, size):
    """Returns a row: network, size, seconds of each step and of a pass of an image, peak bytes."""
    settings = NETWORKS[name] | {"width": arguments.width, "num_steps_at": 1}
    numbers = [str(number) for number in (size, arguments.batch_size, arguments.repeats)]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "seconds.json"
        command = [sys.executable, "-m", "tools.benchmarks._size_child", str(file)]
        usage = run_measured([*command, json.dumps(settings), *numbers], cwd=common.ROOT)
        if usage["exit_status"] != 0:
            found = usage["exit_status"]
            sys.exit(f"{name} at {size} pixels: expected exit status 0; found {found}")
        seconds = json.loads(file.read_text(encoding="utf-8"))
    # Said at once: the largest sizes take minutes.
    print(f"{name} at {size} pixels: {statistics.median(seconds):.2f} s a step", flush=True)
    return {
        "network": name,
        "size": size,
        "seconds": seconds,
        "seconds_per_pass": statistics.median(seconds) / (PASSES * arguments.batch_size),
        "peak_bytes": usage["peak_memory_bytes"],
    }


def report(arguments, rows):
    """Prints the table and writes the record; returns its path."""
    cells = [
        [
            row["network"],
            str(row["size"]),
            f"{1000 * row['seconds_per_pass']:.2f} ms",
            f"{row['peak_bytes'] / 2**30:.2f} GiB",
        ]
        for row in rows
    ]
    title = f"image sizes: width {arguments.width}, batch {arguments.batch_size}"
    headings = ("network", "pixels", "one pass of an image", "peak memory")
    common.show(f"{title}, medians of {arguments.repeats}", headings, cells)
    return common.write_record(
        arguments.output,
        "image_sizes",
        width=arguments.width,
        batch_size=arguments.batch_size,
        rows=rows,
    )
