"""What is known of rocl before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class RoclSettings:
    """RoCL."""

    rocl_lambda: float = setting(
        1 / 256,
        "Weight of the term between the adversarial view and the second view in rocl.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )


register(
    MethodSpec(
        "rocl",
        "ascl_tf.methods.rocl:Rocl",
        settings=(RoclSettings,),
        labels=LABELS_NONE,
        recipe=Recipe("lars", 1.5, 512),
    )
)
