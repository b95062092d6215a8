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
    """The supervised contrastive term of ASCL, and ACL's choice of views."""

    lambda_1: float = setting(
        0.5,
        "Weight of the self-supervised contrastive term; 0 leaves it out.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    lambda_2: float = setting(
        0.2,
        "Weight of the supervised adversarial contrastive term; 0 leaves it out.",
        stages=(PRETRAIN,),
        minimum=0.0,
    )
    outer_loss: str = setting(
        "at", "Classification term of ascl.", stages=(PRETRAIN,), choices=("at", "trades", "mart")
    )
    cl_mode: str = setting(
        "a2a",
        "Views of ascl's self-supervised term: both adversarial (a2a), one adversarial and "
        "one clean (a2s), or the mean of the clean and the a2a loss (ds).",
        stages=(PRETRAIN,),
        choices=("a2a", "a2s", "ds"),
    )
    ascl_loss: str = setting(
        "clean_adversarial",
        "Supervised contrastive term: clean anchors and adversarial positives (eq. 9), or "
        "adversarial anchors and positives, whose denominator is adversarial too "
        "(adversarial_pair) or clean as eq. 8 has it (adversarial_pair_clean).",
        stages=(PRETRAIN,),
        choices=("clean_adversarial", "adversarial_pair", "adversarial_pair_clean"),
    )
    ascl_denominator: str = setting(
        "joint",
        "Denominator of eq. 9: clean and adversarial, only clean, or only adversarial.",
        stages=(PRETRAIN,),
        choices=("joint", "clean", "adversarial"),
    )
    ascl_positives: str = setting(
        "cross",
        "Positives of eq. 9: adversarial images of the class, or its clean views too.",
        stages=(PRETRAIN,),
        choices=("cross", "all"),
    )
    shared_perturbation: str = setting(
        "none",
        "Which terms of ascl take the classification term's adversarial image in place of one of "
        "their own: none, the supervised contrastive term (ascl), or both contrastive terms (all).",
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
