"""What is known of dynacl and dynacl_pp before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting
from ascl_tf.methods.supervised_spec import OuterLossSettings


@dataclasses.dataclass(frozen=True)
class DynAclSettings:
    """DynACL: views that grow weaker over training, and an averaged encoder."""

    dynacl_interval: int = setting(
        50,
        "Number of epochs between changes of the view strength and the loss weights in dynacl.",
        stages=(PRETRAIN,),
        minimum=1,
    )
    dynacl_weight_rate: float = setting(
        2 / 3,
        "How far dynacl raises the weight of the adversarial loss above that of the clean loss "
        "as views grow weaker.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    dynacl_momentum: float = setting(
        0.99,
        "Momentum of the averaged encoder in dynacl, which encodes the second view. 0: no "
        "averaged encoder.",
        stages=(PRETRAIN,),
        minimum=0.0,
        maximum=0.99999,
    )


register(
    MethodSpec(
        "dynacl",
        "ascl_tf.methods.dynacl:DynAcl",
        settings=(DynAclSettings,),
        labels=LABELS_NONE,
        recipe=Recipe("lars", 5.0, 512),
    ),
    MethodSpec(
        "dynacl_pp",
        "ascl_tf.methods.dynacl_pp:DynAclPlusPlus",
        settings=(DynAclSettings, OuterLossSettings),
        labels=LABELS_NONE,
    ),
)
