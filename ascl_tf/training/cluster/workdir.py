"""The work directory as a worker of a cluster has it: the chief writes, the others read."""

import contextlib

from ascl_tf.training.workdir import WorkDirectory


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
