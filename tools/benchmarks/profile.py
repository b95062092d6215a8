"""Where the time of one ASCL step goes, by TensorFlow's profiler: operations, by kind.

    python tools/benchmark.py profile [--width=16] [--batch_size=128] [--logs=runs/profile]

One compiled step is recorded after two that are not. The table adds up what each kind of
operation took on the threads that run operations; the record holds every kind. What was
recorded stays in --logs, for TensorBoard with its profile plugin.
"""

import collections
import os
import pathlib
import re

import tensorflow as tf

from ascl_tf.config.paths import expanded_path
from ascl_tf.config.sections import PRECISIONS
from tools.benchmarks import _ascl_step, common

# An operation is recorded as <name>:<kind>; what the runtime itself does has no such name.
_OPERATION = re.compile(r"(?P<name>[\w./>-]+):(?P<kind>_?[A-Z]\w*)")
# Kinds of TensorFlow -> what a reader calls them; the first that matches.
_FAMILIES = (
    ("convolution, gradient of the kernel", r"Conv2DBackpropFilter"),
    ("convolution, gradient of the input", r"Conv2DBackpropInput"),
    ("convolution, forward", r"Conv2D"),
    ("batch norm", r"FusedBatchNorm"),
    ("ReLU", r"Relu"),
    ("matrix product", r"MatMul|Einsum"),
    ("random numbers", r"Stateless|Random"),
    ("sums and means", r"^(Sum|Mean|AddN|Max|Min|Prod)$"),
    ("copies and shapes", r"Concat|Split|Slice|Pad|Tile|Reshape|Gather|Transpose|Pack|Cast"),
    ("elementwise", r"^(Mul|Add|Sub|RealDiv|Sign|Rsqrt|Sqrt|Square|Select|Maximum|Minimum)\w*$"),
)
OTHER = "other"


def main(argv=None):
    arguments = parse(argv)
    seconds, spent = record_step(arguments)
    report(arguments, seconds, spent)


def parse(argv):
    """Returns the arguments."""
    parser = common.make_parser(__doc__, repeats=1)
    common.add_model_arguments(parser)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--logs", type=expanded_path, default=pathlib.Path("runs/profile"))
    return parser.parse_args(argv)


def record_step(arguments):
    """Returns the seconds of the recorded step, and kind of operation -> seconds."""
    method = _ascl_step.make_method(_ascl_step.make_config(arguments), arguments.precision)
    step = _ascl_step.compiled_step(method, _ascl_step.make_data(arguments.batch_size))
    for _ in range(2):
        common.timed(step)
    known = _recordings(arguments.logs)
    tf.profiler.experimental.start(str(arguments.logs))
    seconds, _ = common.timed(step)
    tf.profiler.experimental.stop()
    (path,) = _recordings(arguments.logs) - known
    return seconds, seconds_by_kind(path.read_bytes())


def seconds_by_kind(recorded):
    """Returns kind of operation -> seconds over all threads, from a serialized XSpace."""
    # Only here: what TensorFlow keeps it in is no public module.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    spent = collections.Counter()
    for plane in xplane_pb2.XSpace.FromString(recorded).planes:
        for line in plane.lines:
            for event in line.events:
                found = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if found:
                    spent[found["kind"]] += event.duration_ps / 1e12
    return dict(spent)


def by_family(spent):
    """Returns family -> seconds, the longest first, `other` last."""
    families = collections.Counter()
    for kind, seconds in spent.items():
        families[family_of(kind)] += seconds
    return dict(sorted(families.items(), key=lambda item: (item[0] == OTHER, -item[1])))


def family_of(kind):
    """Returns the family of a kind of operation."""
    return next((name for name, pattern in _FAMILIES if re.search(pattern, kind)), OTHER)


def report(arguments, seconds, spent):
    """Shows and records where the time went."""
    total = sum(spent.values())
    families = by_family(spent)
    rows = [[name, f"{100 * t / total:.1f} %", f"{t:.3f} s"] for name, t in families.items()]
    rows.append(["all operations", "100.0 %", f"{total:.3f} s"])
    rows.append(["the step, with the recording", "", f"{seconds:.3f} s"])
    title = f"profile: width {arguments.width}, batch {arguments.batch_size}"
    common.show(f"{title}, {arguments.precision}", ("operations", "share", "time"), rows)
    common.write_record(
        arguments.output,
        "profile" if arguments.precision == "float32" else f"profile_{arguments.precision}",
        width=arguments.width,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        step_seconds=seconds,
        shares={name: t / total for name, t in families.items()},
        seconds_by_kind=spent,
        num_threads=os.cpu_count(),
    )


def _recordings(logs):
    return set(logs.rglob("*.xplane.pb"))
