"""The warning of a loss that ends above its start."""

import math

from scipy.special import stdtrit

from ascl_tf.training.run_warnings import Watch

# A tenth of a stage, and no fewer steps: the spread of two losses says nothing.
SHARE, SMALLEST_PART = 10, 3
# A shorter stage has hardly begun to learn.
MIN_STEPS = 20
# How often a stage that learns nothing, its losses alike from first to last, may be warned of.
LEVEL = 0.01


class LossWatch(Watch):
    """Compares the mean loss of a stage's last tenth with that of its first, at the stage's end.

    With m, m' the two means over n steps each, and s the standard deviation of the first n
    losses, t = (m' - m) / (s * sqrt(2 / n)) follows Student's distribution of n - 1 degrees of
    freedom where the losses are alike from first to last. It warns above the quantile 1 - LEVEL.
    The spread is that of the first steps alone: losses that run away also scatter.

    The sums are part of the checkpoints' history.

    Args:
        num_steps: steps of the whole stage.
        checkpoints, writer: as for `Watch`.
    """

    warning, metric = "rising_loss", "train/loss"
    _before = None

    def __init__(self, num_steps, checkpoints, writer):
        super().__init__(checkpoints, writer)
        self._num_steps = num_steps
        self._length = max(SMALLEST_PART, num_steps // SHARE)

    def on_train_batch_begin(self, batch, logs=None):
        self._before = self._total() if self._part_of(self.checkpoints.step + 1) else None

    def on_train_batch_end(self, batch, logs=None):
        step = self.checkpoints.step
        if self._before is not None:
            self._add(self._part_of(step), self._before, self._total())
        if step == self._num_steps:
            self._compare()

    def _part_of(self, step):
        if step <= self._length:
            return "first"
        return "last" if step > self._num_steps - self._length else None

    def _total(self):
        return [float(variable.numpy()) for variable in self.model.scalars["loss"].variables]

    def _add(self, part, before, after):
        (total, count), (old_total, old_count) = after, before
        if count <= old_count:  # A rollback has put the metric back.
            return
        # Of this step alone, so that an interruption changes nothing.
        loss = (total - old_total) / (count - old_count)
        sums = self.checkpoints.history.stage_loss.setdefault(part, [0, 0.0, 0.0])
        sums[:] = [sums[0] + 1, sums[1] + loss, sums[2] + loss**2]

    def _compare(self):
        sums = self.checkpoints.history.stage_loss
        if not all(sums.get(part, [0])[0] >= SMALLEST_PART for part in ("first", "last")):
            return  # Rollbacks, or a version that kept no sums.
        (count, first, spread), (_, last, _) = (_moments(*sums[p]) for p in ("first", "last"))
        margin = stdtrit(count - 1, 1 - LEVEL) * spread * math.sqrt(2 / count)
        is_bad = last > first + max(margin, _rounding(first, last))
        self.judge(
            last,
            is_bad=is_bad,
            is_good=not is_bad,
            text=(
                f"is {last:.4g} over the last {count} steps, and was {first:.4g} over the first "
                f"{count}: the stage has unlearned. A lower learning rate may help"
            ),
        )


def _moments(count, total, squares):
    mean = total / count
    variance = max(squares - count * mean**2, 0.0) / (count - 1)
    return count, mean, math.sqrt(variance)


def _rounding(*values):
    """Differences of float32 totals are exact to about this."""
    return 1e-4 * max(map(abs, values))
