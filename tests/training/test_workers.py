"""What workers agree upon, and what a lost one leaves to be said; without processes."""

import subprocess
import sys

import pytest
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.training.cluster.workers import Workers, lost_worker_as_one_line
from ascl_tf.training.processes import processes_of

GONE = (
    "Graph execution error:\n\nCollective ops is aborted by: Error reported from "
    "/job:worker/task:1: The following tasks are unhealthy (stopped sending heartbeats):\n"
    "/job:worker/replica:0/task:1\nThe tasks have crashed. Restart your program to reset."
)


class Second(Workers):
    """The second worker, beside a chief that has found `chief`."""

    def __init__(self, chief):
        self.num_workers, self.index, self._chief = 2, 1, chief

    def from_chief(self, function):
        return self._chief


def test_one_process_is_its_own_chief():
    process = processes_of(tf.distribute.get_strategy())
    assert process.is_chief and process.from_chief(lambda: {"a": 1}) == {"a": 1}


@pytest.mark.slow  # A process of its own, for what no test of a run would notice.
def test_training_on_one_machine_imports_nothing_of_the_clusters():
    code = (
        "import sys, tensorflow as tf\n"
        "from ascl_tf.training import processes, run\n"
        "from ascl_tf.training.strategy import make_strategy\n"
        "processes.processes_of(make_strategy())\n"
        "processes.open_work_directory('absent')\n"
        "with processes.lost_worker_as_one_line(): pass\n"
        "assert not [name for name in sys.modules if 'training.cluster' in name]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("found", [{"`seed`": 1, "`width`": 16}, {"`seed`": 1}])
def test_worker_that_differs_says_in_what(found):
    chief = {"`seed`": 1, "`width`": 64}
    Second(chief).check_same(dict(chief))
    message = f"worker 1: expected the chief's `width`, 64; found {found.get('`width`')}$"
    with pytest.raises(RunError, match=message):
        Second(chief).check_same(found)


def test_lost_worker_is_named_in_one_line(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG",
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
    )
    with pytest.raises(RunError) as caught, lost_worker_as_one_line():
        raise tf.errors.UnavailableError(None, None, GONE)
    message = str(caught.value)
    assert message.startswith("worker 0 of 2: ") and "found that worker 1 is gone (" in message
    assert "\n" not in message


def test_other_errors_of_tensorflow_pass():
    with pytest.raises(tf.errors.InvalidArgumentError), lost_worker_as_one_line():
        raise tf.errors.InvalidArgumentError(None, None, "shapes")
