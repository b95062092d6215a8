"""What is known of wscat before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_OPTIONAL, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting
from ascl_tf.methods.supervised_spec import WeightPerturbationSettings


@dataclasses.dataclass(frozen=True)
class WscatSettings:
    """WSCAT."""

    wscat_weight: float = setting(
        5.0,
        "Weight of wscat's KL and contrastive terms, which need no labels.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    wscat_contrastive_weight: float = setting(
        0.05,
        "Weight of wscat's contrastive term beside its KL term.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )


register(
    MethodSpec(
        "wscat",
        "ascl_tf.methods.wscat:Wscat",
        settings=(WscatSettings, WeightPerturbationSettings),
        labels=LABELS_OPTIONAL,
        label_free_weight="wscat_weight",
        needs_finetuning=False,
        recipe=Recipe("sgd", 0.1, 128),
    )
)
