"""How a stage optimizes: what its optimizer, its weight decay and its weights' perturbation are."""

import dataclasses
from typing import Any

from ascl_tf.config import Config


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
        weight_decay=config.finetuning.finetune_weight_decay,
        weight_decay_on=config.optimization.weight_decay_on,
    )
