"""One ASCL step against the same step in PyTorch, the sum of its parts, and the machine's limit.

    python tools/benchmark.py step [--width=16] [--batch_size=128] [--steps=10,5,5]
        [--precisions=float32,bfloat16]

The PyTorch step is this project's own, on the same weights: as public code writes it (the
clean anchors recomputed in each step of their attack, `loss.backward()` into all parameters),
with anchors that are recomputed but detached, and with neither waste. Of its two memory
layouts the faster counts. The parts are the passes of a step, each timed alone. The limit is
a matrix product. A processor without AVX-512 emulates bfloat16: many times slower than float32.
"""

import os

from ascl_tf.config.sections import PRECISIONS
from ascl_tf.methods.cost import count_step
from tools.benchmarks import _ascl_step, _cost, common

OURS = {precision: f"ascl_tf, {precision}" for precision in PRECISIONS}
UNCACHED, PARTS = "ascl_tf, anchors recomputed", "sum of the parts"
# A step of the two attacks on projections, whose branch and mode are the same.
FUSED, APART = "contrastive attacks, one pass", "contrastive attacks, two passes"
ATTACKS_APART = ("attack on two views", "attack on projections")
PLAIN, DETACHED, FRUGAL = "PyTorch, plain", "PyTorch, anchors detached", "PyTorch, no waste"
LAYOUTS = (" (channels last)", " (default layout)")
# Name of a habit -> settings of `_torch_step.Habits`.
HABITS = {
    PLAIN: {"caches_anchors": False, "inputs_only": False},
    DETACHED: {"caches_anchors": False, "inputs_only": False, "detaches_anchors": True},
    FRUGAL: {"caches_anchors": True, "inputs_only": True},
}
# (above, below, at most): None where there is nothing to reach.
RATIOS = (
    (OURS["float32"], PLAIN, 0.55),
    (OURS["bfloat16"], PLAIN, 0.40),
    (OURS["float32"], DETACHED, None),
    (OURS["bfloat16"], DETACHED, None),
    (OURS["float32"], FRUGAL, 0.95),
    (OURS["bfloat16"], FRUGAL, 0.68),
    (OURS["float32"], PARTS, 1.05),
    (OURS["float32"], UNCACHED, 0.93),
    (FUSED, APART, None),
)


def main(argv=None):
    arguments = parse(argv)
    candidates, parts = make_candidates(arguments)
    seconds = common.interleaved(candidates, arguments.repeats)
    report(arguments, derived(seconds, parts), parts)


def parse(argv):
    """Returns the arguments, the numbers of attack steps among them."""
    parser = common.make_parser(__doc__, repeats=5)
    common.add_model_arguments(parser)
    parser.add_argument("--steps", default="10,5,5", help="attack steps of AT, CL and ASCL")
    parser.add_argument("--precisions", default=",".join(OURS), help="of our steps; float32 is one")
    _cost.add_matrix_size(parser)
    arguments = parser.parse_args(argv)
    arguments.precisions = arguments.precisions.split(",")
    if "float32" not in arguments.precisions or not set(OURS) >= set(arguments.precisions):
        parser.error(f"--precisions: expected float32 and others of {', '.join(OURS)}")
    try:
        numbers = [int(number) for number in arguments.steps.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or min(numbers) < 1:
        parser.error(f"--steps: expected three numbers such as 10,5,5; found {arguments.steps!r}")
    names = ("num_steps_at", "num_steps_cl", "num_steps_ascl")
    arguments.settings = dict(zip(names, numbers, strict=True))
    return arguments


def make_candidates(arguments):
    """Returns the functions to time by name, and part -> how often a step does it."""
    config = _ascl_step.make_config(arguments, **arguments.settings)
    data = _ascl_step.make_data(arguments.batch_size)
    # All are made before one is called: setting a seed drops what TensorFlow has prepared.
    methods = {name: _ascl_step.make_method(config, name) for name in arguments.precisions}
    uncached = _ascl_step.recompute_anchors(_ascl_step.make_method(config))
    candidates = {OURS[k]: _ascl_step.compiled_step(m, data) for k, m in methods.items()}
    candidates[UNCACHED] = _ascl_step.compiled_step(uncached, data)
    # Of a method of its own, whose weights no other candidate moves.
    other = _ascl_step.make_method(config)
    parts = _ascl_step.make_parts(other, data)
    candidates |= {name: function for name, (function, _) in parts.items()}
    candidates[FUSED] = _ascl_step.make_fused_attack(other, data)
    candidates |= torch_candidates(methods["float32"], config, data)
    candidates |= {
        _cost.product_name(name): _cost.matrix_product(arguments, name) for name in methods
    }
    return candidates, {name: times for name, (_, times) in parts.items()}


def torch_candidates(method, config, data):
    """Returns the steps in PyTorch by name; none where it is missing."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed (ascl-tf[bench]): ratios to it are left out")
        return {}
    from tools.benchmarks import _torch_network, _torch_step

    torch.set_num_threads(num_threads())
    images = torch.from_numpy(data["images"].numpy())
    labels = torch.from_numpy(data["labels"].numpy()).long()
    candidates = {}
    for name, habits in HABITS.items():
        for layout in LAYOUTS:
            chosen = _torch_step.Habits(**habits, channels_last=layout == LAYOUTS[0])
            step = _torch_step.TorchStep(_torch_network.network_from(method), config, chosen)
            candidates[name + layout] = lambda step=step: step(images, labels)
    return candidates


def num_threads():
    """Returns the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def derived(seconds, parts):
    """Returns the seconds with the sums of parts, and the faster layout under each habit."""
    seconds = dict(seconds)
    rounds = zip(*(seconds[name] for name in parts), strict=True)
    weights = list(parts.values())
    seconds[PARTS] = [sum(w * s for w, s in zip(weights, r, strict=True)) for r in rounds]
    seconds[APART] = [sum(r) for r in zip(*(seconds[n] for n in ATTACKS_APART), strict=True)]
    middle = common.medians(seconds)
    for habit in HABITS:
        layouts = [habit + layout for layout in LAYOUTS if habit + layout in seconds]
        if layouts:
            seconds[habit] = seconds[min(layouts, key=middle.get)]
    return seconds


def report(arguments, seconds, parts):
    """Prints the ratios, then what they come from, and writes the record."""
    middle = common.medians(seconds)
    rows = [
        {"ratio": f"{above} / {below}", "value": middle[above] / middle[below], "to_reach": limit}
        for above, below, limit in RATIOS
        if above in middle and below in middle
    ]
    limits = shares_of_the_limit(arguments, middle)
    cells = [[r["ratio"], f"{r['value']:.3f}", common.at_most(r["to_reach"])] for r in rows]
    cells += _cost.limit_cells(limits)
    for name, median in middle.items():
        times = f"{parts[name]} x " if name in parts else ""
        cells.append([name, f"{times}{median:.3f} s", ""])
    title = f"step: width {arguments.width}, batch {arguments.batch_size}, steps {arguments.steps}"
    common.show(f"{title}, medians of {arguments.repeats}", ("what", "median", "to reach"), cells)
    return common.write_record(
        arguments.output,
        "step",
        width=arguments.width,
        batch_size=arguments.batch_size,
        steps=arguments.steps,
        num_threads=num_threads(),
        ratios=rows,
        parts=parts,
        shares_of_the_limit=limits,
        seconds=seconds,
        versions=torch_version(),
    )


def shares_of_the_limit(arguments, middle):
    """Returns candidate -> GFLOP/s that a step reaches, those of the product, and their ratio."""
    config = _ascl_step.make_config(arguments, **arguments.settings)
    encoder = _ascl_step.make_method(config).encoder
    forward = _cost.forward_operations(encoder, _ascl_step.IMAGE_SIZE)
    operations = forward * count_step(config) * arguments.batch_size
    return {
        name: _cost.limit_share(arguments, middle, name, operations, precision)
        for precision, name in OURS.items()
        if name in middle
    }


def torch_version():
    """Returns PyTorch's version by name, where it is installed."""
    try:
        import torch
    except ImportError:
        return {}
    return {"torch": torch.__version__}


if __name__ == "__main__":
    main()
