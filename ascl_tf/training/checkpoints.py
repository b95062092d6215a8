"""The complete state of a stage on disk: `Method.parts`, optimizer, metrics, history.

`last` is written while training, `best` by robust accuracy on validation. Each has its
checksums beside it, and is loaded only if they hold. The step is the optimizer's own count;
data order, views and attacks are functions of (seed, step), so nothing else is needed to
continue bit for bit. The optimizer's state lies under a name that says whether its velocities
hold the learning rate (`Sgd`), so that the one is never read as the other.
"""

import contextlib
import json
import pathlib
import shutil
import time

import tensorflow as tf

from ascl_tf.errors import RunError
from ascl_tf.models.pass_checks import random_state
from ascl_tf.training.checksums import (
    find_fault,
    list_prefixes,
    remove_checkpoint,
    step_of,
    tell_tensorflow,
    write_checksums,
)

LAST, BEST = "last", "best"
# Where a checkpoint has the averages of the parts, by their names.
_AVERAGE = "average"
# The one before the last is there in case that the last is damaged.
NUM_KEPT = {LAST: 2, BEST: 1}


_HISTORY = (
    "epochs",
    "best_robust_accuracy",
    "best_epoch",
    "train_seconds",
    "rollbacks",
    "warnings",
    "epoch_seconds",
    "clock_seconds",
    "spans",
    "stage_loss",
)


class History(tf.train.experimental.PythonState):
    """What a stage has reported so far; saved inside the checkpoint, so never ahead of it."""

    def __init__(self):
        super().__init__()
        self.epochs = []  # One dict of scalars per finished epoch.
        self.best_robust_accuracy = -1.0
        self.best_epoch = 0
        self.train_seconds = 0.0
        self.rollbacks = []  # One dict per step that was undone, see `--on_nan`.
        self.warnings = []  # One dict per occurrence, see run_warnings.py.
        self.epoch_seconds = []  # Training alone, one dict per finished epoch: TrainingClock.
        self.clock_seconds = {}  # The same of the epoch that is under way.
        self.spans = []  # One dict per stretch of steps under equal conditions, see provenance.py.
        self.stage_loss = {}  # Of the first and the last steps, see watches.py.

    def serialize(self):
        return json.dumps(self.to_json())

    def deserialize(self, string_value):
        self.set_json(json.loads(string_value))

    def set_json(self, values):
        """Sets what `to_json` has returned."""
        for name, value in values.items():
            setattr(self, name, value)

    def to_json(self):
        """Returns the history as plain values."""
        return {name: getattr(self, name) for name in _HISTORY}


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
        averages = {} if method.average is None else method.average.variables
        self._checkpoint = tf.train.Checkpoint(
            **{name: trackable(part.weights) for name, part in method.parts.items()},
            **({_AVERAGE: _all_trackable(averages)} if averages else {}),
            optimizer=_trackable_optimizer(method.optimizer),
            scalars=trackable([v for m in method.scalars.values() for v in m.variables]),
            # Only a model of one's own draws random numbers.
            **({"random_state": trackable(states)} if (states := _random_states(method)) else {}),
            history=self.history,
        )
        # `write` and `restore` agree on what a checkpoint holds only where this exists.
        self._checkpoint.save_counter.assign(0)
        self._refused = set()

    @property
    def step(self):
        """The number of updates made."""
        return int(self.method.optimizer.iterations.numpy())

    def save(self, name):
        """Writes the state as `name`, "last" or "best"; older ones go only afterwards.

        Raises:
            RunError: if it cannot be written; the checkpoint before is untouched then.
        """
        now = time.monotonic()
        self.history.train_seconds += now - self._timed_until
        self._timed_until = now
        prefix = self.folder / name / f"ckpt-{self.step}"
        try:
            self._write(prefix, NUM_KEPT[name])
        except (OSError, tf.errors.OpError) as error:
            with contextlib.suppress(OSError):  # Half of it would only fill the disk.
                _remove_all_but(prefix.parent, list_prefixes(prefix.parent))
            raise RunError(self._explain_failed_save(name, error)) from None

    def has(self, name):
        """Returns whether a checkpoint `name` exists."""
        return bool(list_prefixes(self.folder / name))

    def last_good_step(self, name=LAST):
        """Returns the step of the newest checkpoint whose checksums hold, None for none."""
        good = (path for path in list_prefixes(self.folder / name) if find_fault(path) is None)
        return next(map(step_of, good), None)

    def restore(self, name):
        """Loads the newest state saved as `name` that is whole; every variable must be in it.

        Raises:
            RunError: if there is none, or it is of an optimizer of the other convention.
        """
        faults = []
        for path in list_prefixes(self.folder / name):
            fault = find_fault(path) or self._load(path)
            if fault is None:
                if faults:
                    print(
                        f"notice: {faults[0]}; going back to {path.name}, which is one", flush=True
                    )
                else:
                    self._finish_saves()
                return
            self._refused.add(path)
            faults.append(f"{path}: expected a whole checkpoint of this network; found {fault}")
        raise RunError(faults[0] if faults else _none_found(self.folder / name))

    def _finish_saves(self):
        """Does what a kill has kept a save from: no other may follow in a stage at its end."""
        for name, num_kept in NUM_KEPT.items():
            whole = list_prefixes(self.folder / name)
            if whole:
                _keep(whole[:num_kept])

    def _load(self, path):
        try:
            _check_convention(path, self.method.optimizer)
            _restore_all(self._checkpoint, str(path))
        except RunError:
            raise  # No older checkpoint of the stage would help.
        except _READ_ERRORS as error:
            return str(error).splitlines()[0]
        return None

    def _write(self, prefix, num_kept):
        others = [p for p in list_prefixes(prefix.parent) if p not in {prefix, *self._refused}]
        # What a kill has left, or a fault, would be taken for a part of the new one.
        remove_checkpoint(prefix)
        self._checkpoint.write(str(prefix))
        write_checksums(prefix)
        self._refused.discard(prefix)
        _keep([prefix, *(p for p in others if step_of(p) < step_of(prefix))][:num_kept])

    def _explain_failed_save(self, name, error):
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        good = self.last_good_step(name)
        before = "there is none before it" if good is None else f"ckpt-{good} before it is whole"
        place = self.folder / name / f"ckpt-{self.step}"
        return (
            f"{place}: expected to write a checkpoint; found: {reason}; {before}, and the same "
            "command continues from the last whole one"
        )


def _random_states(method):
    return [variable for part in method.parts.values() for variable in random_state(part)]


def read_spans(folder, name=LAST):
    """Returns the spans of a stage's newest checkpoint `name`; empty where none can be read.

    Args: as of `read_history`.
    """
    return read_history(folder, name).get("spans", [])


def read_history(folder, name=LAST):
    """Returns the `History` in a stage's newest checkpoint as plain values; {} where none is.

    Args:
        folder: checkpoints/<stage> of a work directory.
        name: "last" or "best".
    """
    for path in list_prefixes(pathlib.Path(folder) / name):
        with contextlib.suppress(*_READ_ERRORS):
            reader = tf.train.load_checkpoint(str(path))
            keys = [k for k in reader.get_variable_to_shape_map() if k.startswith("history/")]
            return json.loads(reader.get_tensor(keys[0]))
    return {}


def trackable(variables):
    """Returns what `tf.train.Checkpoint` can save of Keras variables.

    Not the layers themselves: TensorFlow does not see the layers that a Keras layer
    keeps in a list or a dict, and would save the rest without a word.
    """
    return tf.train.Checkpoint(variables=[variable.value for variable in variables])


def _all_trackable(variables):
    return tf.train.Checkpoint(**{name: trackable(found) for name, found in variables.items()})


# Under which name an optimizer's state is saved, by where its learning rate stands.
_STATE_NAMES = {True: "variables", False: "rate_outside"}


def _trackable_optimizer(optimizer):
    state = [variable.value for variable in optimizer.variables]
    return tf.train.Checkpoint(**{_STATE_NAMES[optimizer.rate_inside]: state})


def _check_convention(path, optimizer):
    """Raises RunError if the optimizer of a checkpoint has its learning rate elsewhere."""
    keys = tf.train.load_checkpoint(str(path)).get_variable_to_shape_map()
    other = _STATE_NAMES[not optimizer.rate_inside]
    if any(key.startswith(f"optimizer/{other}/") for key in keys):
        wanted, found = ("with", "without") if optimizer.rate_inside else ("without", "with")
        raise RunError(
            place=path,
            expected=f"momentum {wanted} the learning rate in it",
            found=f"momentum {found} it, of another version or optimizer: repeat the stage in "
            "another `workdir` (a finished one still serves `stage=finetune`, evaluate and export)",
        )


def restore_parts(folder, name, **parts):
    """Loads some parts, such as `encoder`, from the checkpoint `name` of a stage.

    Their averages where the stage has averaged its weights.

    Raises:
        RunError: if there is no such checkpoint, or it holds another network.
    """
    paths = list_prefixes(pathlib.Path(folder) / name)
    if not paths:
        raise RunError(_none_found(pathlib.Path(folder) / name))
    path, fault = paths[0], find_fault(paths[0])
    try:
        if fault is not None:
            raise ValueError(fault)
        saved = _all_trackable({name: part.weights for name, part in parts.items()})
        place = _check_counts(str(path), parts)
        saved = tf.train.Checkpoint(**{_AVERAGE: saved}) if place else saved
        status = saved.restore(str(path)).expect_partial()
        status.assert_existing_objects_matched()
    except _READ_ERRORS as error:
        raise RunError(f"{path}: {_explain(error)}{_remedy(paths[1:])}") from None


def _restore_all(checkpoint, path):
    status = checkpoint.restore(path)
    try:
        status.assert_consumed()
    except AssertionError:
        status.expect_partial()  # Or TensorFlow lists each missing variable on its own.
        raise


def _check_counts(path, parts):
    """Returns where a checkpoint has the parts to load: under "average/", or "" for the top.

    Raises ValueError if one was saved with more variables than it has now: they are matched by
    place, and those behind the last one would be left out silently.
    """
    keys = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    place = f"{_AVERAGE}/" if any(key.startswith(f"{_AVERAGE}/") for key in keys) else ""
    for name, part in parts.items():
        num_saved = sum(key.startswith(f"{place}{name}/variables/") for key in keys)
        if num_saved != len(part.weights):
            raise ValueError(f"{num_saved} variables of {name}, not {len(part.weights)}")
    return place


def _keep(prefixes):
    """Leaves these checkpoints of a folder, the newest first, and nothing else."""
    tell_tensorflow(prefixes)
    _remove_all_but(prefixes[0].parent, prefixes)


def _remove_all_but(folder, kept):
    """Removes older checkpoints, refused ones, and what was left half-written."""
    for path in folder.glob("ckpt-*"):
        if path.name.split(".")[0] not in {prefix.name for prefix in kept}:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


_READ_ERRORS = (AssertionError, ValueError, IndexError, tf.errors.OpError)


def _explain(error):
    return f"expected a whole checkpoint of this network; found {str(error).splitlines()[0]}"


def _none_found(folder):
    return f"{folder}: expected a checkpoint; found none"


def _remedy(others):
    """Says what to do about a damaged checkpoint of a finished stage.

    An older state must not pass for the finished one: the numbers would be another's.
    """
    good = next((path.name for path in others if find_fault(path) is None), None)
    return f"; {good} is whole: the stage, run again, continues from there" if good else ""
