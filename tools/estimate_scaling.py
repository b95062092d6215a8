"""Estimates time and memory of one ASCL step on 1 to many GPUs, as a table.

    python tools/estimate_scaling.py --gpus=1,2,4,8 --seconds_per_image=0.002
    python tools/estimate_scaling.py --width=16                  # measures that number here

Compute is proportional to the images of a GPU; its cost per image is given (by
--seconds_per_image, or by --gflops and the operations of the step's passes), or measured here.
What is exchanged is counted: projections of the contrastive terms in every step of their
attacks, gradients, batch statistics. --link_gbytes and --latency_us say how fast that goes, and
are taken as given. docs/scaling.md explains the columns.
"""

import argparse
import os
import pathlib
import statistics
import sys
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Python puts the folder of a program on its path, not the one it is called from.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

BYTES_OF_FLOAT32 = 4
# Weights, momenta, gradients, their sum over replicas, and the weights before the update.
COPIES_OF_WEIGHTS = 5
# L_ASCL's similarities, their logarithms, and the gradients of both.
COPIES_OF_SIMILARITIES = 4
# A gather with gradient asks for the sizes first, forward and backward: 2 and 3.
COLLECTIVES_OF_GATHER = 5
# Batch norm over all replicas: sum, sum of squares and count; two gradients.
COLLECTIVES_OF_BATCH_NORM = 5
COLUMNS = (
    "GPUs",
    "global batch",
    "images each",
    "compute s",
    "gather MB",
    "gradient MB",
    "exchange s",
    "step s",
    "epoch min",
    "speed-up",
    "memory GiB",
)


class StepCost(NamedTuple):
    """What a step costs, apart from the number of GPUs.

    Attributes:
        seconds_per_image: of computing, per image of a GPU's part of the batch.
        bytes_per_image: of memory, likewise.
        fixed_bytes: of memory, whatever the batch.
        gathered_bytes: projections that are gathered, per image of the global batch.
        reduced_bytes: gradients that are summed over GPUs.
        num_collectives: exchanges one after the other.
    """

    seconds_per_image: float
    bytes_per_image: float
    fixed_bytes: float
    gathered_bytes: int
    reduced_bytes: int
    num_collectives: int


def main(argv=None):
    arguments = parse(argv)
    method = _make_method(arguments)
    cost, source = step_cost(method, arguments)
    print(f"ASCL, ResNet-18 of width {arguments.width}, attack steps {arguments.steps}")
    print(f"cost of an image: {1000 * cost.seconds_per_image:.4g} ms, {source}")
    print(
        f"memory of an image: {cost.bytes_per_image / 2**20:.4g} MiB, "
        f"{'given' if arguments.bytes_per_image else 'computed'}"
    )
    print(
        f"exchange: {arguments.link_gbytes:g} GB/s and {arguments.latency_us:g} us, taken as "
        f"given; {cost.num_collectives} collectives in a step\n"
    )
    print(table([row(cost, count, arguments) for count in arguments.gpus]))


def parse(argv):
    """Returns the arguments, `gpus` and `steps` as numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", default="1,2,4,8,16,32,64", help="numbers of GPUs")
    parser.add_argument("--width", type=int, default=64, help="width of the ResNet-18")
    parser.add_argument("--steps", default="10,5,5", help="steps of the three attacks")
    parser.add_argument("--global_batch_size", type=int, default=512, help="images of a step")
    parser.add_argument(
        "--images_per_gpu", type=int, default=0, help="in place of --global_batch_size"
    )
    parser.add_argument("--num_images", type=int, default=45000, help="images of an epoch")
    parser.add_argument("--seconds_per_image", type=float, default=0, help="of a step, on one GPU")
    parser.add_argument("--gflops", type=float, default=0, help="in place of --seconds_per_image")
    parser.add_argument(
        "--measure_batch", type=int, default=16, help="images, where it is measured"
    )
    parser.add_argument("--bytes_per_image", type=float, default=0, help="0: computed")
    parser.add_argument("--link_gbytes", type=float, default=12.5, help="GB/s from GPU to GPU")
    parser.add_argument("--latency_us", type=float, default=50, help="of one collective")
    arguments = parser.parse_args(argv)
    arguments.gpus = _numbers(parser, "gpus", arguments.gpus)
    numbers = _numbers(parser, "steps", arguments.steps)
    if len(numbers) != 3:
        parser.error(f"--steps: expected three numbers; found {arguments.steps!r}")
    arguments.num_steps = numbers
    _check_batch(parser, arguments)
    return arguments


def _numbers(parser, name, text):
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        parser.error(f"--{name}: expected numbers above 0; found {text!r}")
    return numbers


def _check_batch(parser, arguments):
    uneven = [count for count in arguments.gpus if arguments.global_batch_size % count]
    if uneven and not arguments.images_per_gpu:
        parser.error(
            f"--global_batch_size: expected a multiple of {uneven[0]} GPUs; "
            f"found {arguments.global_batch_size}"
        )


def _make_method(arguments):
    from tools.benchmarks import _ascl_step

    names = ("num_steps_at", "num_steps_cl", "num_steps_ascl")
    arguments.batch_size = arguments.measure_batch
    config = _ascl_step.make_config(arguments, **dict(zip(names, arguments.num_steps, strict=True)))
    return _ascl_step.make_method(config)


def step_cost(method, arguments):
    """Returns (`StepCost`, where its seconds come from)."""
    from tools.benchmarks import _ascl_step, _cost

    seconds, source = _seconds_per_image(method, arguments)
    images = 6  # of both branches, in the backward pass
    kept = images * _cost.activation_bytes(method.encoder, _ascl_step.IMAGE_SIZE)
    gathers, rows = gathered_rows(method.config)
    weights = sum(v.shape.num_elements() for v in method.step_variables())
    cost = StepCost(
        seconds_per_image=seconds,
        bytes_per_image=arguments.bytes_per_image or kept,
        fixed_bytes=COPIES_OF_WEIGHTS * BYTES_OF_FLOAT32 * weights,
        gathered_bytes=rows * method.config.projection_dim * BYTES_OF_FLOAT32,
        # Once for the norm that is reported, once by the optimizer.
        reduced_bytes=2 * BYTES_OF_FLOAT32 * weights,
        num_collectives=gathers * COLLECTIVES_OF_GATHER
        + num_batch_norms(method) * COLLECTIVES_OF_BATCH_NORM
        + 2 * len(method.step_variables()),
    )
    return cost, source


def gathered_rows(config):
    """Returns (number of gathers with gradient, rows gathered per image) of a default ASCL step.

    Both contrastive losses gather in the objective and in each step of their attack: L_CL the
    two perturbed views, L_ASCL the perturbed image and two clean views.
    """
    num_cl, num_ascl = config.num_steps_cl + 1, config.num_steps_ascl + 1
    return num_cl + num_ascl, 2 * num_cl + 3 * num_ascl


def num_batch_norms(method):
    """Returns how often a step takes batch statistics: in each layer, for both branches."""
    from ascl_tf.models import DualBatchNormalization

    parts = (method.encoder, method.projection_head)
    layers = [m for part in parts for m in part._flatten_layers()]
    return 2 * sum(isinstance(layer, DualBatchNormalization) for layer in layers)


def _seconds_per_image(method, arguments):
    if arguments.seconds_per_image:
        return arguments.seconds_per_image, "given"
    if arguments.gflops:
        operations = step_operations(method)
        source = f"{operations / 1e9:.4g} GFLOP at {arguments.gflops:g} GFLOP/s, taken as given"
        return operations / (1e9 * arguments.gflops), source
    from tools.benchmarks import _ascl_step, common

    step = _ascl_step.compiled_step(method, _ascl_step.make_data(arguments.measure_batch))
    step()
    seconds = statistics.median(common.timed(step)[0] for _ in range(3))
    source = f"measured here: {seconds:.3g} s for a step of {arguments.measure_batch} images"
    return seconds / arguments.measure_batch, source


def step_operations(method):
    """Returns the operations of a step per image: those of a forward pass times its units."""
    from tools.benchmarks import _ascl_step, _cost

    forward = _cost.forward_operations(method.encoder, _ascl_step.IMAGE_SIZE)
    return forward * method.forward_units()


def row(cost, num_gpus, arguments):
    """Returns the numbers of one row, in the order of `COLUMNS`."""
    batch = arguments.images_per_gpu * num_gpus or arguments.global_batch_size
    compute, exchange = compute_seconds(cost, batch, num_gpus), 0.0
    if num_gpus > 1:
        exchange = exchange_seconds(cost, batch, num_gpus, arguments)
    step = compute + exchange
    alone = compute_seconds(cost, batch, 1)
    memory = cost.fixed_bytes + cost.bytes_per_image * batch / num_gpus
    memory += similarity_bytes(batch, num_gpus)
    return (
        num_gpus,
        batch,
        batch // num_gpus,
        compute,
        batch * cost.gathered_bytes / 1e6,
        cost.reduced_bytes / 1e6,
        exchange,
        step,
        arguments.num_images // batch * step / 60,
        alone / step,
        memory / 2**30,
    )


def similarity_bytes(batch, num_gpus):
    """Returns the memory of a GPU's clean views against three views of the global batch."""
    return COPIES_OF_SIMILARITIES * BYTES_OF_FLOAT32 * (2 * batch // num_gpus) * 3 * batch


def compute_seconds(cost, batch, num_gpus):
    """Returns the seconds of a step without any exchange."""
    return cost.seconds_per_image * batch / num_gpus


def exchange_seconds(cost, batch, num_gpus, arguments):
    """Returns the seconds that GPUs spend on each other in a step.

    In a ring each GPU sends (n - 1) / n of what is gathered, and twice as much of what is
    summed; the gradient of a gather is a sum.
    """
    share = (num_gpus - 1) / num_gpus
    sent = share * (3 * batch * cost.gathered_bytes + 2 * cost.reduced_bytes)
    return sent / (1e9 * arguments.link_gbytes) + cost.num_collectives * arguments.latency_us / 1e6


def table(rows):
    """Returns rows of numbers as a table in Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in r] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
