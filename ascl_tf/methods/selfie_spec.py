"""What is known of selfie and selfie_dpe before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class SelfieSettings:
    """Selfie, with or without the diversity penalty (DPE)."""

    num_patches_masked: int = setting(
        4,
        "Number of patches that selfie masks, out of 16.",
        stages=(PRETRAIN,),
        minimum=2,
        maximum=15,
    )
    num_attention_layers: int = setting(
        13,
        "Number of layers in the attention pooling of selfie.",
        stages=(PRETRAIN,),
        minimum=1,
        smoke_maximum=2,
    )
    num_steps_pretext: int = setting(
        10,
        "Number of attack steps in selfie and selfie_dpe.",
        stages=(PRETRAIN,),
        minimum=0,
        smoke_maximum=2,
    )


@dataclasses.dataclass(frozen=True)
class DiversitySettings:
    """Diversity penalty on similar task gradients."""

    dpe_weight: float = setting(
        0.1,
        "Weight of the log-determinant of the task gradients in selfie_dpe, as in the authors' "
        "code. Below 0, training drives the gradients apart.",
        stages=(PRETRAIN,),
    )


register(
    MethodSpec(
        "selfie",
        "ascl_tf.methods.selfie:Selfie",
        settings=(SelfieSettings,),
        labels=LABELS_NONE,
        recipe=Recipe("sgd", 0.1, 128),
    ),
    MethodSpec(
        "selfie_dpe",
        "ascl_tf.methods.selfie_dpe:SelfieDpe",
        settings=(SelfieSettings, DiversitySettings),
        labels=LABELS_NONE,
        recipe=Recipe("sgd", 0.001, 32),
    ),
)
