"""What is known of ascl before TensorFlow is imported: its settings and what goes together."""

import dataclasses

from ascl_tf.config.registry import LABELS_OPTIONAL, MethodSpec, register
from ascl_tf.config.setting import PRETRAIN, setting
from ascl_tf.methods.supervised_spec import (
    AtAttackSettings,
    OuterLossSettings,
    WeightPerturbationSettings,
    find_conflict_of_attack,
)


@dataclasses.dataclass(frozen=True)
class AsclSettings:
    """ASCL: its supervised contrastive term, and ACL's choice of views."""

    lambda_1: float = setting(
        0.5,
        "Weight of the self-supervised contrastive term. 0: off.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    lambda_2: float = setting(
        0.2,
        "Weight of the supervised adversarial contrastive term. 0: off.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    outer_loss: str = setting(
        "at", "Classification term of ascl.", stages=(PRETRAIN,), choices=("at", "trades", "mart")
    )
    cl_mode: str = setting(
        "a2a",
        "Views in the self-supervised term of ascl: both adversarial (a2a), or one adversarial "
        "and one clean (a2s). ds: the mean of the loss on clean views and the a2a loss.",
        stages=(PRETRAIN,),
        choices=("a2a", "a2s", "ds"),
    )
    ascl_loss: str = setting(
        "clean_adversarial",
        "Supervised contrastive term. clean_adversarial: clean anchors and adversarial positives "
        "(eq. 9); adversarial_pair: adversarial anchors, positives and denominator; "
        "adversarial_pair_clean: the same with a clean denominator, as in eq. 8.",
        stages=(PRETRAIN,),
        choices=("clean_adversarial", "adversarial_pair", "adversarial_pair_clean"),
    )
    ascl_denominator: str = setting(
        "joint",
        "Views in the denominator of eq. 9: clean and adversarial (joint), clean only, or "
        "adversarial only.",
        stages=(PRETRAIN,),
        choices=("joint", "clean", "adversarial"),
    )
    ascl_positives: str = setting(
        "cross",
        "Positives in eq. 9: the adversarial images of the class (cross), or its clean views as "
        "well (all).",
        stages=(PRETRAIN,),
        choices=("cross", "all"),
    )
    shared_perturbation: str = setting(
        "none",
        "Terms of ascl that reuse the adversarial image of the classification term instead of "
        "making their own: none, the supervised contrastive term (ascl), or both contrastive "
        "terms (all).",
        stages=(PRETRAIN,),
        choices=("none", "ascl", "all"),
        only_own_methods=True,
    )


def find_conflict(config):
    """Returns what ascl cannot do of what `config` asks for, as (setting, expected, found)."""
    shared = config.shared_perturbation
    if config.at_attack == "fgsm_rs" and config.attack_source_at != "ce":
        return "at_attack", "`attack_source_at=ce`", config.attack_source_at
    if shared != "none" and config.ascl_loss != "clean_adversarial":
        return "shared_perturbation", "`ascl_loss=clean_adversarial`", config.ascl_loss
    if shared == "all" and config.cl_mode != "a2s":
        expected = "`cl_mode=a2s`, an adversarial and a clean view"
        return "shared_perturbation", expected, config.cl_mode
    return find_conflict_of_attack(config)


register(
    MethodSpec(
        "ascl",
        "ascl_tf.methods.ascl:Ascl",
        settings=(AsclSettings, OuterLossSettings, AtAttackSettings, WeightPerturbationSettings),
        labels=LABELS_OPTIONAL,
        label_free_weight="lambda_1",
        find_conflict=find_conflict,
    )
)
