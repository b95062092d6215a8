"""What is known of acl before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_NONE, MethodSpec, Recipe, register
from ascl_tf.config.setting import PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class AclSettings:
    """ACL."""

    acl_mode: str = setting(
        "ds",
        "Views of acl: both adversarial (a2a), one adversarial and one clean (a2s), or the "
        "mean of the clean and the a2a loss (ds).",
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
