"""Learning rates over the steps of a stage."""

import math

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


@keras.saving.register_keras_serializable("ascl_tf")
class CosineSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Half a cosine from the base rate to 0, after a linear warm-up.

        rate(s) = base * (s + 1) / warmup_steps       where s < warmup_steps, and after that
        rate(s) = base * (1 + cos(pi * (s - warmup_steps) / (num_steps - warmup_steps))) / 2

    s is the number of updates made before (Loshchilov and Hutter 2017, arXiv:1608.03983,
    without restarts). 0 from `num_steps` on.

    Args:
        base: learning rate > 0.
        num_steps: steps of the stage, warm-up included.
        warmup_steps: steps of the warm-up; 0: none.
    """

    def __init__(self, base, num_steps, warmup_steps=0):
        self.base, self.num_steps, self.warmup_steps = base, num_steps, warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        num_falling = max(self.num_steps - self.warmup_steps, 1)
        share = tf.clip_by_value((step - self.warmup_steps) / num_falling, 0.0, 1.0)
        rate = self.base * (1 + tf.cos(math.pi * share)) / 2
        if self.warmup_steps:
            rate *= tf.minimum(1.0, (step + 1) / self.warmup_steps)
        return rate

    def get_config(self):
        return {
            "base": self.base,
            "num_steps": self.num_steps,
            "warmup_steps": self.warmup_steps,
        }


def make_pretrain_schedule(optimization, steps_per_epoch):
    """Returns pre-training's schedule, stepwise or a cosine, after the warm-up."""
    warmup_steps = round(optimization.warmup_epochs * steps_per_epoch)
    if optimization.schedule == "cosine":
        num_steps = optimization.epochs * steps_per_epoch
        return CosineSchedule(optimization.learning_rate, num_steps, warmup_steps)
    return StepwiseSchedule(
        optimization.learning_rate,
        milestones=_milestones(optimization.epochs, steps_per_epoch, optimization.decay_shares),
        warmup_steps=warmup_steps,
    )


def make_finetune_schedule(finetuning, steps_per_epoch):
    """Returns fine-tuning's schedule: constant, or stepwise."""
    milestones = _milestones(
        finetuning.num_finetune_epochs, steps_per_epoch, finetuning.finetune_decay_shares
    )
    return StepwiseSchedule(finetuning.finetune_learning_rate, milestones=milestones)


def _milestones(epochs, steps_per_epoch, shares):
    return [round(share * epochs) * steps_per_epoch for share in shares]
