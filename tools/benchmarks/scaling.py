"""How an ASCL step grows: with replicas, with the batch, with the attacks' steps; its memory.

    python tools/benchmark.py scaling [--parts=replicas,memory,time] [--width=16]

replicas  two virtual CPUs against one at the same global batch, each in a process of its own
          (the first call is left out of the medians, and reported)
memory    peak memory of a process that makes two steps, per batch, at --memory_width, against
          the bytes that one full backward pass must keep
time      seconds per step over batches and over steps of all three attacks, and how far
          they lie from a straight line
"""

import json
import statistics
import sys

import numpy as np

from tools.benchmarks import _cost, common
from tools.measured_process import run_measured

MEMORY_LIMIT, REPLICAS_LIMIT, LINE_LIMIT = 1.5, 1.25, 0.10
REPLICAS = (1, 2)


def main(argv=None):
    arguments = parse(argv)
    found = {part: PARTS[part](arguments) for part in arguments.parts}
    report(arguments, found)


def parse(argv):
    """Returns the arguments, their lists parsed."""
    parser = common.make_parser(__doc__, repeats=5)
    common.add_model_arguments(parser)
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--memory_width", type=int, default=64, help="width, for memory")
    parser.add_argument("--batches", default="32,64,128,256", help="for memory and time")
    parser.add_argument("--attack_steps", default="1,5,10,20", help="for time")
    arguments = parser.parse_args(argv)
    arguments.parts = arguments.parts.split(",")
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"--parts: expected some of {', '.join(PARTS)}; found {', '.join(unknown)}")
    for name in ("batches", "attack_steps"):
        setattr(arguments, name, _numbers(parser, name, getattr(arguments, name)))
    return arguments


def _numbers(parser, name, text):
    try:
        numbers = sorted({int(number) for number in text.split(",")})
    except ValueError:
        numbers = []
    if len(numbers) < 3 or numbers[0] < 1:
        # Through two points there is always a straight line.
        parser.error(f"--{name}: expected three or more numbers above 0; found {text!r}")
    return numbers


def measure_replicas(arguments):
    """Returns the first call's and the timed rounds' seconds, by number of replicas."""
    from tools.benchmarks._scaling_child import Child

    children = {}
    try:
        for count in REPLICAS:
            children[count] = Child(count, arguments.width, arguments.batch_size)
        first = {count: child.step() for count, child in children.items()}
        seconds = {count: [] for count in children}
        for _ in range(arguments.repeats):
            for count, child in children.items():
                seconds[count].append(child.step())
    finally:
        for child in children.values():
            child.close()
    one, two = (statistics.median(seconds[count]) for count in REPLICAS)
    return {"first_call": first, "seconds": seconds, "ratio": two / one}


def measure_memory(arguments):
    """Returns peak memory and the bytes that a backward pass keeps, by batch, and their ratio.

    A step's backward pass runs over the images of both branches at once: 6 for each of the batch.
    """
    kept = 6 * kept_bytes_per_image(arguments.memory_width)
    peaks = {}
    for batch_size in arguments.batches:
        print(f"memory at batch {batch_size}", flush=True)
        command = [sys.executable, "-m", "tools.benchmarks._scaling_child", "memory"]
        command += [str(arguments.memory_width), str(batch_size)]
        usage = run_measured(command, cwd=common.ROOT)
        if usage["exit_status"] != 0:
            sys.exit(f"batch {batch_size}: expected exit status 0; found {usage['exit_status']}")
        peaks[batch_size] = usage["peak_memory_bytes"]
    return {
        "peak_bytes": peaks,
        "kept_bytes": {batch_size: batch_size * kept for batch_size in peaks},
        "ratios": {batch_size: peak / (batch_size * kept) for batch_size, peak in peaks.items()},
        "line": fit_line(peaks),
    }


def kept_bytes_per_image(width):
    """Returns the bytes of activations of one image that a full backward pass must keep."""
    from ascl_tf.models import resnet18
    from tools.benchmarks import _ascl_step

    encoder = resnet18(width)
    encoder.build((None, _ascl_step.IMAGE_SIZE, _ascl_step.IMAGE_SIZE, 3))
    return _cost.activation_bytes(encoder, _ascl_step.IMAGE_SIZE)


def measure_time(arguments):
    """Returns seconds by batch and by attack steps, each with its straight line."""
    from tools.benchmarks import _ascl_step

    def step(batch_size, **changes):
        config = _ascl_step.make_config(arguments, **changes)
        method = _ascl_step.make_method(config)
        return _ascl_step.compiled_step(method, _ascl_step.make_data(batch_size))

    by_batch = {size: step(size) for size in arguments.batches}
    names = ("num_steps_at", "num_steps_cl", "num_steps_ascl")
    by_steps = {
        count: step(arguments.batch_size, **dict.fromkeys(names, count))
        for count in arguments.attack_steps
    }
    candidates = {("batch", size): run for size, run in by_batch.items()}
    candidates |= {("attack_steps", count): run for count, run in by_steps.items()}
    seconds = common.interleaved(candidates, arguments.repeats)
    return {axis: _series(seconds, axis) for axis in ("batch", "attack_steps")}


def _series(seconds, axis):
    rounds = {number: found for (name, number), found in seconds.items() if name == axis}
    return {"seconds": rounds, "line": fit_line(common.medians(rounds))}


def fit_line(values):
    """Returns the straight line through number -> value, and the largest relative deviation.

    Least squares of relative deviations: each value counts alike, whatever its size.
    """
    numbers = np.array(list(values), float)
    found = np.array(list(values.values()), float)
    columns = np.stack([np.ones_like(numbers), numbers], axis=1) / found[:, None]
    constant, slope = np.linalg.lstsq(columns, np.ones_like(found), rcond=None)[0]
    deviations = np.abs(constant + slope * numbers - found) / found
    return {
        "constant": float(constant),
        "slope": float(slope),
        "largest_deviation": float(deviations.max()),
    }


def report(arguments, found):
    """Prints the table and writes the record."""
    cells = []
    if "replicas" in found:
        cells += _replica_cells(found["replicas"])
    if "memory" in found:
        cells += _memory_cells(found["memory"])
    for axis, series in found.get("time", {}).items():
        medians = common.medians(series["seconds"])
        cells.append(_line_cells(f"time over {axis}", series["line"]))
        cells += [[f"{axis} {number}", f"{value:.3f} s", ""] for number, value in medians.items()]
    title = f"scaling: width {arguments.width}, batch {arguments.batch_size}"
    common.show(f"{title}, medians of {arguments.repeats}", ("what", "value", "to reach"), cells)
    return common.write_record(
        arguments.output,
        "scaling",
        width=arguments.width,
        memory_width=arguments.memory_width,
        batch_size=arguments.batch_size,
        to_reach={
            "replicas": REPLICAS_LIMIT,
            "memory": MEMORY_LIMIT,
            "largest_deviation": LINE_LIMIT,
        },
        # Numbers that are keys become text, as JSON has them.
        **json.loads(json.dumps(found)),
    )


def _replica_cells(found):
    cells = [["2 replicas / 1 replica", f"{found['ratio']:.3f}", f"<= {REPLICAS_LIMIT}"]]
    for count, seconds in common.medians(found["seconds"]).items():
        first = found["first_call"][count]
        cells.append([f"{count} replica(s)", f"{seconds:.3f} s", f"first call {first:.1f} s"])
    return cells


def _memory_cells(found):
    cells = []
    for batch_size, ratio in found["ratios"].items():
        peak = f"{found['peak_bytes'][batch_size] / 2**30:.2f} GiB"
        what = f"peak memory at batch {batch_size} / kept activations"
        cells.append([what, f"{ratio:.2f} ({peak})", f"<= {MEMORY_LIMIT}"])
    return [*cells, _line_cells("memory over batch", found["line"])]


def _line_cells(what, line):
    deviation = f"{100 * line['largest_deviation']:.1f} %"
    return [f"{what}: largest deviation from a line", deviation, f"< {100 * LINE_LIMIT:.0f} %"]


PARTS = {"replicas": measure_replicas, "memory": measure_memory, "time": measure_time}


if __name__ == "__main__":
    main()
