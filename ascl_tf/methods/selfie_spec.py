"""What is known of selfie and selfie_dpe before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class SelfieSettings:
    """Selfie, and Selfie with the diversity penalty (DPE)."""

    num_patches_masked: int = setting(
        4, "selfie: masked patches of the sixteen.", stages=(PRETRAIN,), minimum=2, maximum=15
    )
    num_attention_layers: int = setting(
        13,
        "selfie: layers of the attention pooling.",
        stages=(PRETRAIN,),
        minimum=1,
        smoke_maximum=2,
    )
    num_steps_pretext: int = setting(
        10, "Attack steps of selfie and selfie_dpe.", stages=(PRETRAIN,), minimum=0, smoke_maximum=2
    )


@dataclasses.dataclass(frozen=True)
class DiversitySettings:
    """The penalty on how alike the gradients of the tasks are."""

    dpe_weight: float = setting(
        0.1,
        "selfie_dpe: weight of the log-determinant of the tasks' gradients, as in the authors' "
        "code; below 0, training drives the gradients apart.",
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
