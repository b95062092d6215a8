"""What is known of rotation_at before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_OPTIONAL, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting
from ascl_tf.methods.supervised_spec import WeightPerturbationSettings


@dataclasses.dataclass(frozen=True)
class RotationSettings:
    """Rotation task alongside adversarial training."""

    rotation_weight: float = setting(
        0.5, "Weight of the rotation loss in rotation_at.", stages=(PRETRAIN,), minimum=0.0
    )


register(
    MethodSpec(
        "rotation_at",
        "ascl_tf.methods.rotation_at:RotationAdversarialTraining",
        settings=(RotationSettings, WeightPerturbationSettings),
        labels=LABELS_OPTIONAL,
        label_free_weight="rotation_weight",
        needs_finetuning=False,
        recipe=Recipe("sgd", 0.1, 128),
    )
)
