"""The complete state of a stage on disk: weights, optimizer, metrics, history.

`last` is written while training, `best` by robust accuracy on validation. The
step is the optimizer's own count; data order, views and attacks are functions of
(seed, step), so nothing else is needed to continue bit for bit.
"""

import json
import pathlib
import time

import tensorflow as tf

from ascl_tf.errors import RunError

LAST, BEST = "last", "best"


class History(tf.train.experimental.PythonState):
    """What a stage has reported so far; saved inside the checkpoint, so never ahead of it."""

    def __init__(self):
        super().__init__()
        self.epochs = []  # One dict of scalars per finished epoch.
        self.best_robust_accuracy = -1.0
        self.best_epoch = 0
        self.train_seconds = 0.0

    def serialize(self):
        return json.dumps(self.to_json())

    def deserialize(self, string_value):
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)

    def to_json(self):
        """Returns the history as plain values."""
        names = ("epochs", "best_robust_accuracy", "best_epoch", "train_seconds")
        return {name: getattr(self, name) for name in names}


class StageCheckpoints:
    """The checkpoints of one stage.

    Args:
        folder: checkpoints/<stage> of the work directory.
        method: a built and compiled `Method`.
    """

    def __init__(self, folder, method):
        self.folder, self.method = pathlib.Path(folder), method
        self.history = History()
        self._timed_until = time.monotonic()
        self._checkpoint = tf.train.Checkpoint(
            **{name: trackable(part.weights) for name, part in method.parts.items()},
            optimizer=trackable(method.optimizer.variables),
            scalars=trackable([v for m in method.scalars.values() for v in m.variables]),
            history=self.history,
        )
        self._managers = {
            name: tf.train.CheckpointManager(
                self._checkpoint, str(self.folder / name), max_to_keep=keep
            )
            for name, keep in ((LAST, 2), (BEST, 1))
        }

    @property
    def step(self):
        """The number of updates made."""
        return int(self.method.optimizer.iterations.numpy())

    def save(self, name):
        """Writes the state as `name`, "last" or "best"; older ones go only afterwards."""
        now = time.monotonic()
        self.history.train_seconds += now - self._timed_until
        self._timed_until = now
        self._managers[name].save(checkpoint_number=self.step)

    def has(self, name):
        """Returns whether a checkpoint `name` exists."""
        return self._managers[name].latest_checkpoint is not None

    def restore(self, name):
        """Loads the state saved as `name`; every variable must be in it."""
        path = self._managers[name].latest_checkpoint
        if path is None:
            raise RunError(f"{self.folder / name}: expected a checkpoint; found none")
        try:
            _restore_all(self._checkpoint, path)
        except _READ_ERRORS as error:
            raise RunError(f"{path}: {_explain(error)}") from None


def trackable(variables):
    """Returns what `tf.train.Checkpoint` can save of Keras variables.

    Not the layers themselves: TensorFlow does not see the layers that a Keras layer
    keeps in a list or a dict, and would save the rest without a word.
    """
    return tf.train.Checkpoint(variables=[variable.value for variable in variables])


def restore_parts(folder, name, **parts):
    """Loads some parts, such as `encoder`, from the checkpoint `name` of a stage.

    Raises:
        RunError: if there is no such checkpoint, or it holds another network.
    """
    path = tf.train.latest_checkpoint(str(pathlib.Path(folder) / name))
    if path is None:
        raise RunError(f"{pathlib.Path(folder) / name}: expected a checkpoint; found none")
    try:
        saved = {name: trackable(part.weights) for name, part in parts.items()}
        _check_counts(path, parts)
        status = tf.train.Checkpoint(**saved).restore(path).expect_partial()
        status.assert_existing_objects_matched()
    except _READ_ERRORS as error:
        raise RunError(f"{path}: {_explain(error)}") from None


def _restore_all(checkpoint, path):
    status = checkpoint.restore(path)
    try:
        status.assert_consumed()
    except AssertionError:
        status.expect_partial()  # Or TensorFlow lists each missing variable on its own.
        raise


def _check_counts(path, parts):
    """Raises ValueError if a part was saved with more variables than it has now.

    Variables are matched by place; those behind the last one would be left out silently.
    """
    keys = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    for name, part in parts.items():
        num_saved = sum(key.startswith(f"{name}/variables/") for key in keys)
        if num_saved != len(part.weights):
            raise ValueError(f"{num_saved} variables of {name}, not {len(part.weights)}")


_READ_ERRORS = (AssertionError, ValueError, IndexError, tf.errors.OpError)


def _explain(error):
    return f"expected a whole checkpoint of this network; found {str(error).splitlines()[0]}"
