"""A process of its own for the scaling benchmark: steps on replicas, or two steps for memory.

    python -m tools.benchmarks._scaling_child replicas <count> <width> <global batch>
    python -m tools.benchmarks._scaling_child memory <width> <batch>

With `replicas` it makes a step for each line that it reads, and answers with its seconds.
"""

import contextlib
import json
import os
import subprocess
import sys
import types

from tools.rows import ROOT


class Child:
    """A process with `count` virtual CPUs that makes steps when told to."""

    def __init__(self, count, width, batch_size):
        numbers = [str(number) for number in (count, width, batch_size)]
        command = [sys.executable, "-m", "tools.benchmarks._scaling_child", "replicas", *numbers]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def step(self):
        """Returns the seconds of one step; the first one traces it."""
        try:
            self._process.stdin.write("step\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, ValueError):
            sys.exit("scaling: expected seconds of a step; found that its process has ended")

    def close(self):
        """Ends the process."""
        # Of one that has ended by itself the last question is still unread.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def main(argv):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    what, *numbers = argv
    numbers = [int(number) for number in numbers]
    if what == "memory":
        width, batch_size = numbers
        step = make_step(1, width, batch_size)
        for _ in range(2):
            step()
        return
    answers = sys.stdout
    # What libraries print must not stand between the answers.
    sys.stdout = sys.stderr
    answer_steps(make_step(*numbers), sys.stdin, answers)


def answer_steps(step, questions, answers):
    """Makes a step for every line of `questions`; writes its seconds to `answers`."""
    from tools.benchmarks import common

    for _ in questions:
        print(json.dumps(common.timed(step)[0]), file=answers, flush=True)


def make_step(num_replicas, width, global_batch_size):
    """Returns a function that makes one compiled ASCL step on `num_replicas` virtual CPUs."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * num_replicas
    tf.config.set_logical_device_configuration(cpu, devices)

    from ascl_tf.training.strategy import check_batch_size, make_strategy
    from tools.benchmarks import _ascl_step

    check_batch_size(global_batch_size, num_replicas)
    sizes = types.SimpleNamespace(width=width, batch_size=global_batch_size)
    strategy = make_strategy(num_replicas)
    with strategy.scope():
        method = _ascl_step.make_method(_ascl_step.make_config(sizes))
    data = _ascl_step.make_data(global_batch_size)
    if num_replicas == 1:
        return _ascl_step.compiled_step(method, data)
    return distributed_step(strategy, method, data)


def distributed_step(strategy, method, data):
    """Returns a function that makes one step of all replicas on their parts of `data`."""
    import tensorflow as tf

    def part(context):
        count = len(data["labels"]) // context.num_replicas_in_sync
        begin = count * context.replica_id_in_sync_group
        return {name: values[begin : begin + count] for name, values in data.items()}

    parts = strategy.experimental_distribute_values_from_function(part)
    run = tf.function(lambda parts: strategy.run(method.train_step, args=(parts,)), autograph=False)
    # All replicas' scalars, so that who waits for them waits for every replica.
    return lambda: tf.nest.map_structure(strategy.experimental_local_results, run(parts))


if __name__ == "__main__":
    main(sys.argv[1:])
