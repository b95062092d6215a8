"""What is known of acl before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class AclSettings:
    """ACL."""

    acl_mode: str = setting(
        "ds",
        "Views in acl: both adversarial (a2a), or one adversarial and one clean (a2s). ds: the "
        "mean of the loss on clean views and the a2a loss.",
        stages=(PRETRAIN,),
        choices=("a2a", "a2s", "ds"),
    )


register(
    MethodSpec(
        "acl",
        "ascl_tf.methods.acl:Acl",
        settings=(AclSettings,),
        labels=LABELS_NONE,
        recipe=Recipe("lars", 5.0, 512),
    )
)
