"""20 steps of linf_pgd against 20 bare forward + input-gradient passes, and against other packages.

    python tools/benchmark.py pgd [--width=16] [--batch_size=128] [--repeats=7]
    python tools/benchmark.py pgd --subject=<robust.npz>

The network is a ResNet-18 or, with --subject, the small one whose weights the file holds (see
tools/benchmarks/_autoattack_candidates.py). The packages are cleverhans and, from the extra
`bench`, foolbox, adversarial-robustness-toolbox and torchattacks; one that is missing is
named and left out. The robust accuracy that each leaves is printed beside its time.
"""

import statistics
import sys

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.config.paths import expanded_path
from ascl_tf.data import load_dataset
from ascl_tf.losses import cross_entropy_loss
from tools.benchmarks import _cost, _pgd_peers, common

NUM_STEPS = 20
EPSILON, STEP_SIZE = 8 / 255, 2 / 255
NUM_CLASSES = 10
OURS, BARE = "linf_pgd", "bare passes"
PRODUCT = _cost.product_name("float32")
FASTEST, MEDIAN = "fastest package", "median of the packages"


def main(argv=None):
    parser = common.make_parser(__doc__, repeats=7)
    common.add_model_arguments(parser)
    parser.add_argument("--subject", type=expanded_path, help="weights of the small network")
    _cost.add_matrix_size(parser)
    arguments = parser.parse_args(argv)
    task, operations = make_task(arguments)
    peers, missing = _pgd_peers.make_peers(task)
    attacks = make_candidates(task) | peers
    candidates = attacks | {PRODUCT: _cost.matrix_product(arguments, "float32")}
    seconds = common.interleaved(candidates, arguments.repeats)
    report(arguments, task, operations, seconds, attacks, missing)


def make_task(arguments):
    """Returns the `Task` of all candidates, and the operations of its convolutions.

    Those are of one attack: NUM_STEPS passes forward and as many back to the images.
    """
    dataset = load_dataset("bundled", "train").take(slice(arguments.batch_size))
    make = _resnet if arguments.subject is None else _small_network
    logits_fn, torch_network, forward = make(arguments)
    task = _pgd_peers.Task(
        logits_fn=logits_fn,
        torch_network=torch_network,
        images=tf.constant(dataset.images.astype(np.float32) / 255),
        labels=tf.constant(dataset.labels),
        num_classes=NUM_CLASSES,
        epsilon=EPSILON,
        step_size=STEP_SIZE,
        num_steps=NUM_STEPS,
    )
    return task, 2 * NUM_STEPS * len(dataset.labels) * forward


def _resnet(arguments):
    """Returns its logits, a function that gives it in PyTorch, and the operations of a pass."""
    from tools.benchmarks import _ascl_step

    method = _ascl_step.make_method(_ascl_step.make_config(arguments))

    def torch_network():
        from tools.benchmarks import _torch_network

        return _torch_network.Classifier(_torch_network.network_from(method)).eval()

    return method, torch_network, _cost.forward_operations(method.encoder, _ascl_step.IMAGE_SIZE)


def _small_network(arguments):
    """As `_resnet`, of the network whose weights a file holds."""
    from tools.benchmarks import _autoattack_candidates

    try:
        with np.load(arguments.subject, allow_pickle=False) as file:
            weights = dict(file)
    except (OSError, ValueError) as error:
        sys.exit(f"--subject: expected a file of weights (.npz); found: {error}")

    def torch_network():
        import torch

        return _autoattack_candidates._torch_network(torch, weights).eval()

    forward = _autoattack_candidates.forward_operations(weights)
    return _autoattack_candidates.OurCandidate(weights)._logits, torch_network, forward


def make_candidates(task):
    """Returns our functions to time, by name."""

    def objective(x):
        return cross_entropy_loss(task.logits_fn(x), task.labels)

    @tf.function(autograph=False)
    def attack(x):
        return linf_pgd(
            objective,
            x,
            epsilon=task.epsilon,
            step_size=task.step_size,
            num_steps=task.num_steps,
            random_start=True,
            seed=tf.constant([0, 1]),
        )

    @tf.function(autograph=False)
    def bare_passes(x):
        # Each pass needs the one before, so that none can be left out or run beside it.
        def one_pass(i, x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                total = tf.reduce_sum(objective(x))
            return i + 1, x + 1e-6 * tape.gradient(total, x)

        loop = (lambda i, _: i < task.num_steps, one_pass, (0, x))
        return tf.while_loop(*loop, parallel_iterations=1)[1]

    return {OURS: lambda: attack(task.images), BARE: lambda: bare_passes(task.images)}


def report(arguments, task, operations, seconds, attacks, missing):
    """Prints ratios, shares, times and what each attack leaves, and writes the record."""
    for package, reason in missing.items():
        print(f"left out: {package} (ascl-tf[bench]; found: {reason})")
    seconds = derived(seconds)
    middle = common.medians(seconds)
    rows = [
        {"ratio": f"{OURS} / {below}", "value": middle[OURS] / middle[below], "to_reach": limit}
        for below, limit in limits(arguments).items()
        if below in middle
    ]
    shares = {OURS: _cost.limit_share(arguments, middle, OURS, operations)}
    accuracies = robust_accuracies(task, attacks)
    cells = [[row["ratio"], f"{row['value']:.3f}", f"<= {row['to_reach']}", ""] for row in rows]
    cells += [[*cell, ""] for cell in _cost.limit_cells(shares)]
    for name, median in middle.items():
        accuracy = f"{accuracies[name]:.1f} %" if name in accuracies else ""
        cells.append([name, f"{median:.3f} s", "", accuracy])
    subject = subject_name(arguments)
    title = f"pgd: {subject}, batch {arguments.batch_size}, medians of {arguments.repeats}"
    common.show(title, ("what", "median", "to reach", "accuracy left"), cells)
    return common.write_record(
        arguments.output,
        "pgd" if arguments.subject is None else "pgd_small",
        subject=subject,
        batch_size=arguments.batch_size,
        ratios=rows,
        shares_of_the_limit=shares,
        seconds=seconds,
        robust_accuracies=accuracies,
        missing=sorted(missing),
        versions=_pgd_peers.versions(),
    )


def subject_name(arguments):
    """Returns what the network is called in table and record."""
    if arguments.subject is not None:
        return f"small network {arguments.subject.stem}"
    return f"ResNet-18, width {arguments.width}"


def limits(arguments):
    """Returns what our time is compared with -> the ratio to reach."""
    found = {BARE: 1.03, FASTEST: 1.02}
    return found if arguments.subject is None else found | {MEDIAN: 0.67}


def derived(seconds):
    """Returns the seconds with the fastest package and the median package, by their medians.

    A package that was timed in two memory layouts counts once, with the faster one.
    """
    middle = common.medians(seconds)
    names = [name for name in seconds if name not in (OURS, BARE, PRODUCT)]
    best = {}
    for name in sorted(names, key=middle.get):
        best.setdefault(name.partition(" (")[0], name)
    if not best:
        return seconds
    fastest = min(best.values(), key=middle.get)
    rounds = zip(*(seconds[name] for name in best.values()), strict=True)
    return seconds | {FASTEST: seconds[fastest], MEDIAN: [statistics.median(r) for r in rounds]}


def robust_accuracies(task, attacks):
    """Returns the accuracy in percent that each attack leaves, by name."""
    found = {}
    for name, attack in attacks.items():
        if name != BARE:
            predicted = tf.argmax(task.logits_fn(tf.convert_to_tensor(attack())), axis=1)
            is_right = predicted.numpy() == task.labels.numpy()
            found[name] = 100 * float(np.mean(is_right))
    return found


if __name__ == "__main__":
    main()
