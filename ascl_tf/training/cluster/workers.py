"""What the workers of a cluster do together beside their steps: the chief asks, all know.

Each worker runs the same program, and every collective must be met by all of them in the same
order. Whatever could come out otherwise on another worker (a file that is there already, an
accuracy that decides, a signal) is therefore the chief's to find out.
"""

import contextlib
import json
import re

import numpy as np
import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.process.tf_config import read_cluster

# How TensorFlow begins whatever it raises once a worker is gone.
_ABORTED = "Collective ops is aborted by: "


class Workers:
    """The processes that a cluster's strategy spans.

    Args:
        strategy: a `tf.distribute.MultiWorkerMirroredStrategy`.

    Attributes:
        num_workers, index: how many there are, and which one this is.
    """

    def __init__(self, strategy):
        self._strategy, cluster = strategy, read_cluster()
        self.num_workers, self.index = cluster.num_workers, cluster.index

    @property
    def is_chief(self):
        """Whether this worker writes files, and decides."""
        return self.index == 0

    def from_chief(self, function):
        """Returns what `function` () returns on the chief; it is not called on the others.

        Every worker must call this. The value is what JSON makes of it.
        """
        content = json.dumps(function()).encode() if self.is_chief else b""
        return json.loads(self._content_of_chief(content))

    def take_variables_of_chief(self, variables):
        """Gives Keras variables the chief's values, bit for bit, on every device.

        Of a variable that is summed over devices when it is read, each device's share is
        that of the chief's first device, as after restoring a checkpoint.
        """
        copies = [variable.value.values for variable in variables]
        content = b""
        if self.is_chief:
            content = b"".join(parts[0].numpy().tobytes() for parts in copies)
        content, begin = self._content_of_chief(content), 0
        for parts in copies:
            shape, dtype = parts[0].shape, parts[0].dtype.as_numpy_dtype
            value = np.frombuffer(content, dtype, shape.num_elements(), begin)
            begin += value.nbytes
            for part in parts:
                part.assign(value.reshape(shape))

    def check_same(self, found):
        """Makes sure that what each worker has found for itself is the same everywhere.

        Args:
            found: what JSON can hold, by name; a setting is named in backticks.

        Raises:
            RunError: on each worker that differs from the chief.
        """
        chief = self.from_chief(lambda: found)
        for name in sorted(set(chief) | set(found)):
            if found.get(name) != chief.get(name):
                raise RunError(
                    place=f"worker {self.index}",
                    expected=f"the chief's {name}, {chief.get(name)}",
                    found=found.get(name),
                )

    def _content_of_chief(self, content):
        """Returns the chief's bytes; the others' are ignored."""
        length = int(self._sum([len(content)])[0])
        padded = content.ljust(-(-length // 8) * 8, b"\0")
        return self._sum(np.frombuffer(padded, np.int64)).tobytes()[:length]

    def _sum(self, numbers):
        """Returns the sum over workers. Of integers, so that no bit is lost."""
        return self._strategy.reduce("SUM", tf.constant(numbers, tf.int64), axis=None).numpy()


@contextlib.contextmanager
def lost_worker_as_one_line():
    """Turns what TensorFlow raises when a worker of the cluster is gone into a RunError."""
    try:
        yield
    except tf.errors.OpError as error:
        if _ABORTED not in str(error):
            raise
        raise RunError(_describe_loss(str(error), read_cluster())) from error


def _describe_loss(message, cluster):
    reason = message.partition(_ABORTED)[2]
    # TensorFlow's name for it, such as /job:worker/replica:0/task:1.
    lost = re.search(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", reason)
    name = f"{lost[1]} {lost[2]}" if lost else "one"
    return (
        f"worker {cluster.index} of {cluster.num_workers}: expected all workers until the end; "
        f"found that {name} is gone ({reason.splitlines()[0].rstrip(' :')}). The same command on "
        "every worker continues from the last checkpoint"
    )
