"""Which processes train: this one alone, or the workers that TF_CONFIG names.

The only arrows from training on one machine into `training/cluster/`, and nothing there is imported
without a cluster.
"""

import contextlib

from ascl_tf.process.tf_config import read_cluster
from ascl_tf.training.fitting import StageFit
from ascl_tf.training.strategy import is_over_workers
from ascl_tf.training.workdir import WorkDirectory


class OneProcess:
    """This process, as what `training.cluster.workers.Workers` is for several."""

    num_workers, index, is_chief = 1, 0, True

    def from_chief(self, function):
        """Returns what `function` () returns."""
        return function()


def processes_of(strategy):
    """Returns the processes that a strategy spans: `OneProcess`, or a cluster's `Workers`."""
    if not is_over_workers(strategy):
        return OneProcess()
    from ascl_tf.training.cluster.workers import Workers

    return Workers(strategy)


def make_stage_fit(**settings):
    """Returns the `StageFit` of these settings, for one process or for a cluster's workers."""
    strategy = settings["method"].distribute_strategy
    if not is_over_workers(strategy):
        return StageFit(**settings)
    from ascl_tf.training.cluster.fit import ClusterFit

    return ClusterFit(workers=processes_of(strategy), **settings)


class ReadWorkDirectory(WorkDirectory):
    """The work directory in which another process, the chief, runs the same stage."""

    def held(self):
        """Holds nothing: the chief's lock keeps other runs out."""
        return contextlib.nullcontext()

    def make(self):
        """Makes nothing: the chief does."""

    def begin_stage(self, name, identity, config):
        """Compares the settings only: the chief records them."""
        self.check_stage(name, identity)


def open_work_directory(path):
    """Returns the `WorkDirectory` at `path`; beside the chief a worker's, which only reads."""
    cluster = read_cluster()
    is_chief = cluster is None or cluster.index == 0
    return WorkDirectory(path) if is_chief else ReadWorkDirectory(path)


def lost_worker_as_one_line():
    """Returns a context in which the loss of a worker is a RunError."""
    if read_cluster() is None:
        return contextlib.nullcontext()
    from ascl_tf.training.cluster import workers

    return workers.lost_worker_as_one_line()
