"""What is done about NaN and infinity: the run stops, or goes back and leaves steps out."""

import keras
import numpy as np

from ascl_tf.errors import RunError
from ascl_tf.training.checkpoints import LAST

MAX_ROLLBACKS = 3
ROLLBACK = "rollback"
NUM_NAMED = 3


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends the run at the step in which a loss, a gradient or a weight became NaN or infinite.

    A gradient shows in its norm. Weights and statistics are looked at before they are saved,
    so that every checkpoint is a good one.

    Args:
        checkpoints: `StageCheckpoints`, to name the last good one; None: unknown.
        weights_every: look at the weights after every so many steps, and after each epoch;
            0: never.
        on_bad: callable (step, names, stop) in place of stopping; `stop` is the error.
    """

    def __init__(self, checkpoints=None, weights_every=0, on_bad=None):
        super().__init__()
        self.checkpoints, self.weights_every = checkpoints, weights_every
        self.on_bad = on_bad or _stop

    def on_train_batch_end(self, batch, logs=None):
        bad = [name for name, value in logs.items() if not np.isfinite(float(value))]
        if not bad and self._looks_at_weights(batch):
            bad = non_finite_weights(self.model)
        if bad:
            step = _step_of(self.model)
            self.on_bad(step, bad, self._error(step, bad))

    def _looks_at_weights(self, batch):
        if not self.weights_every:
            return False
        is_epoch_end = batch + 1 == self.params["steps"]
        return is_epoch_end or _step_of(self.model) % self.weights_every == 0

    def _error(self, step, bad):
        good = self.checkpoints.last_good_step() if self.checkpoints else None
        last = "" if good is None else f", the last good one is that of step {good}"
        return RunError(
            place=f"step {step}",
            expected="finite values",
            found=f"NaN or infinity in {', '.join(bad)}. Checkpoints of earlier steps are "
            f"untouched{last}; a lower learning rate is the usual remedy, `on_nan=rollback` "
            "another",
        )


class Rollback:
    """Goes back to the last good checkpoint and leaves out the steps up to the bad one.

    Weights, momentum and statistics become those of the checkpoint; the count of steps stays,
    so that data, views and learning rate go on as if the steps between had been made. To
    repeat them would give NaN again: a step depends on the state, the seed and its number.
    What was left out stands in the history, and so in the stage's record.

    Args:
        method: the compiled `Method`.
        checkpoints: its `StageCheckpoints`.
        steps_per_epoch: Python int.
        then: callable (), called afterwards.
    """

    def __init__(self, method, checkpoints, steps_per_epoch, then):
        self.method, self.checkpoints = method, checkpoints
        self.steps_per_epoch, self.then = steps_per_epoch, then

    def __call__(self, step, names, stop):
        history = self.checkpoints.history.to_json()
        if len(history["rollbacks"]) == MAX_ROLLBACKS:
            raise RunError(f"{stop} ({MAX_ROLLBACKS} rollbacks have been made already)")
        if not self.checkpoints.has(LAST):
            raise stop
        self.checkpoints.restore(LAST)
        good = self.checkpoints.step
        # An epoch's means go on from the checkpoint, if that lies in the same epoch.
        if good % self.steps_per_epoch == 0 or self._epoch_of(good) != self._epoch_of(step):
            for metric in self.method.metrics:
                metric.reset_state()
        self.method.optimizer.iterations.assign(step)
        history["rollbacks"].append({"step": step, "back_to": good, "not_finite": names})
        self.checkpoints.history.set_json(history)
        print(
            f"\nnotice: step {step}: NaN or infinity in {', '.join(names)}; continuing from the "
            f"state of step {good} (rollback {len(history['rollbacks'])} of {MAX_ROLLBACKS})",
            flush=True,
        )
        self.then()

    def _epoch_of(self, step):
        return (step - 1) // self.steps_per_epoch


def non_finite_weights(method):
    """Returns the paths of the first few weights and slots that hold NaN or infinity."""
    weights = [weight for part in method.parts.values() for weight in part.weights]
    bad = [v.path for v in [*weights, *method.optimizer.variables] if not _is_finite(v.numpy())]
    return bad[:NUM_NAMED]


def _is_finite(values):
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def _stop(step, names, stop):
    raise stop


def _step_of(method):
    return int(method.optimizer.iterations.numpy())
