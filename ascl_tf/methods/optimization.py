"""How a stage optimizes, and how a step ends: weight decay, the update, and what is reported."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.losses.gather import sum_across_replicas
from ascl_tf.methods.step_data import Outputs


@dataclasses.dataclass(frozen=True)
class Optimization:
    """The optimization of one stage.

    Attributes:
        optimizer: "sgd" or "lars".
        momentum: of the velocity.
        nesterov: whether momentum is Nesterov's.
        weight_decay: coupled weight decay.
        weight_decay_on: "all" trainable variables, or "kernels" only; LARS adapts the same ones.
        lars_trust: trust coefficient of LARS.
        lars_rate: whether LARS has the rate "inside" its velocity or "outside".
        weight_averaging: decay of the moving average of the weights; 0: none.
        awp_gamma: size of the adversarial weight perturbation; 0: none.
        awp_warmup_epochs: epochs before weights are perturbed.
    """

    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    weight_decay_on: str = "all"
    lars_trust: float = 0.001
    lars_rate: str = "inside"
    weight_averaging: float = 0.0
    awp_gamma: float = 0.0
    awp_warmup_epochs: int = 0

    @property
    def perturbs_weights(self) -> bool:
        """Whether gradients are taken at adversarially perturbed weights."""
        return self.awp_gamma > 0

    def decay_of(self, variable: Any) -> float:
        """Returns the weight decay of a variable, a Python float."""
        kernels_only = self.weight_decay_on == "kernels"
        return 0.0 if kernels_only and variable.name != "kernel" else self.weight_decay


def of_pretraining(config: Config) -> Optimization:
    """Returns the `Optimization` of pre-training and of one-shot methods."""
    names = [field.name for field in dataclasses.fields(Optimization)]
    return Optimization(**{name: getattr(config, name) for name in names})


def of_finetuning(config: Config) -> Optimization:
    """Returns the `Optimization` of fine-tuning: SGD with its own weight decay."""
    return Optimization(
        momentum=config.optimization.momentum,
        weight_averaging=config.optimization.weight_averaging,
        weight_decay=config.finetuning.finetune_weight_decay,
        weight_decay_on=config.optimization.weight_decay_on,
    )


def apply_update(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    decays: Sequence[float],
) -> dict[str, tf.Tensor]:
    """Applies the gradients with coupled weight decay.

    An optimizer that says `decays_weights` does so by itself, and gets the plain gradient.

    Args:
        optimizer: sums over replicas.
        gradients: this replica's, one per variable.
        variables: what is updated.
        decays: the weight decay of each variable.

    Returns:
        dict of `gradient_norm` (without decay) and `update_norm`, over all replicas.

    Raises:
        ValueError: naming the variables that the objective does not depend on.
    """
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if missing:
        raise ValueError(f"the objective does not depend on: {', '.join(missing)}")
    before = [tf.identity(variable.value) for variable in variables]
    summed = [sum_across_replicas(gradient) for gradient in gradients]
    if not getattr(optimizer, "decays_weights", False):
        gradients = _with_decay(gradients, variables, decays)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    moved = [variable.value - old for variable, old in zip(variables, before, strict=True)]
    return {
        "gradient_norm": tf.linalg.global_norm(summed),
        "update_norm": tf.linalg.global_norm(moved),
    }


def _with_decay(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable], decays: Sequence[float]
) -> list[tf.Tensor]:
    # The optimizer sums over replicas; each adds its share of the decay.
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return [
        gradient + decay / num_replicas * variable.value
        for gradient, variable, decay in zip(gradients, variables, decays, strict=True)
    ]


def record_step(
    scalars: Mapping[str, keras.metrics.Metric],
    means: Mapping[str, tf.Tensor],
    norms: Mapping[str, tf.Tensor],
    standard_logits: tf.Tensor | None,
    outputs: Outputs,
    labels: tf.Tensor | None,
) -> None:
    """Updates the metrics of a step.

    Args:
        scalars: name -> metric, a mean.
        means: name -> this replica's share of a global mean.
        norms: name -> norm over all replicas.
        standard_logits: [B, C] of natural images, or None.
        outputs: of the step.
        labels: int32 [B], -1 = unlabeled; None where there are no logits.
    """
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for name, mean in means.items():
        # A share of the global mean, counted once per replica by the metric.
        scalars[name].update_state(mean * num_replicas)
    for name, norm in norms.items():
        scalars[name].update_state(norm)
    logits = {"standard_accuracy": standard_logits, "robust_accuracy": outputs.robust_logits}
    for name, values in logits.items():
        if values is not None:
            _record_accuracy(scalars[name], values, labels)
    if outputs.projections is not None:
        # Falls to 0 when all images get the same projection (collapse).
        spread = tf.reduce_mean(tf.math.reduce_std(outputs.projections, axis=0))
        scalars["projection_std"].update_state(spread)


def _record_accuracy(metric: keras.metrics.Metric, logits: tf.Tensor, labels: tf.Tensor) -> None:
    is_right = tf.argmax(logits, axis=1, output_type=tf.int32) == labels
    percent = 100 * tf.cast(is_right, tf.float32)
    metric.update_state(percent, sample_weight=tf.cast(labels >= 0, tf.float32))
