"""Learning rates over the steps of a stage."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("ascl_tf")
class StepwiseSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Piecewise constant learning rate with an optional linear warm-up.

        rate(s) = base * min(1, (s + 1) / warmup_steps) * factor ** #{m in milestones: s >= m}

    s is the number of updates made before. The paper: factor 0.1 at 60 % and 80 %.

    Args:
        base: learning rate > 0.
        milestones: steps at which the rate is multiplied by `factor`, from that step on.
        factor: multiplier.
        warmup_steps: steps of the warm-up; 0: none.
    """

    def __init__(self, base, milestones=(), factor=0.1, warmup_steps=0):
        self.base, self.milestones = base, tuple(milestones)
        self.factor, self.warmup_steps = factor, warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.base, tf.float32)
        if self.warmup_steps:
            rate *= tf.minimum(1.0, (step + 1) / self.warmup_steps)
        for milestone in self.milestones:
            rate *= tf.where(step >= milestone, self.factor, 1.0)
        return rate

    def get_config(self):
        return {
            "base": self.base,
            "milestones": self.milestones,
            "factor": self.factor,
            "warmup_steps": self.warmup_steps,
        }


def make_pretrain_schedule(config, steps_per_epoch):
    """Returns pre-training's schedule: times 0.1 at each of `decay_at`, after the warm-up."""
    return StepwiseSchedule(
        config.learning_rate,
        milestones=_milestones(config.epochs, steps_per_epoch, config.decay_shares),
        warmup_steps=round(config.warmup_epochs * steps_per_epoch),
    )


def make_finetune_schedule(config, steps_per_epoch):
    """Returns fine-tuning's schedule: constant, or stepwise."""
    milestones = _milestones(
        config.num_finetune_epochs, steps_per_epoch, config.finetune_decay_shares
    )
    return StepwiseSchedule(config.finetune_learning_rate, milestones=milestones)


def _milestones(epochs, steps_per_epoch, shares):
    return [round(share * epochs) * steps_per_epoch for share in shares]
