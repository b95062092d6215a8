"""Settings that belong to single methods of pre-training, by method.

Part of `ascl_tf.config.Config`; what several methods share is there.
"""

import dataclasses
from typing import Any

from ascl_tf.config.paths import PATH
from ascl_tf.config.setting import FINETUNE, PRETRAIN, setting

_PRE, _TRAIN = (PRETRAIN,), (PRETRAIN, FINETUNE)


@dataclasses.dataclass(frozen=True)
class AsclConfig:
    """The supervised contrastive term of ASCL, and ACL's choice of views."""

    lambda_1: float = setting(
        0.5,
        "Weight of the self-supervised contrastive term; 0 leaves it out.",
        stages=_PRE,
        minimum=0.0,
    )
    lambda_2: float = setting(
        0.2,
        "Weight of the supervised adversarial contrastive term; 0 leaves it out.",
        stages=_PRE,
        minimum=0.0,
    )
    outer_loss: str = setting(
        "at", "Classification term of ascl.", stages=_PRE, choices=("at", "trades", "mart")
    )
    cl_mode: str = setting(
        "a2a",
        "Views of ascl's self-supervised term: both adversarial (a2a), one adversarial and "
        "one clean (a2s), or the mean of the clean and the a2a loss (ds).",
        stages=_PRE,
        choices=("a2a", "a2s", "ds"),
    )
    ascl_loss: str = setting(
        "clean_adversarial",
        "Supervised contrastive term: clean anchors and adversarial positives (eq. 9), or "
        "adversarial anchors and positives, whose denominator is adversarial too "
        "(adversarial_pair) or clean as eq. 8 has it (adversarial_pair_clean).",
        stages=_PRE,
        choices=("clean_adversarial", "adversarial_pair", "adversarial_pair_clean"),
    )
    ascl_denominator: str = setting(
        "joint",
        "Denominator of eq. 9: clean and adversarial, only clean, or only adversarial.",
        stages=_PRE,
        choices=("joint", "clean", "adversarial"),
    )
    ascl_positives: str = setting(
        "cross",
        "Positives of eq. 9: adversarial images of the class, or its clean views too.",
        stages=_PRE,
        choices=("cross", "all"),
    )


@dataclasses.dataclass(frozen=True)
class ClassificationConfig:
    """Classification on adversarial images."""

    trades_beta: float = setting(
        6.0, "Weight of the KL term in TRADES.", stages=_TRAIN, minimum=0.0
    )
    mart_beta: float = setting(5.0, "Weight of the KL term in MART.", stages=_PRE, minimum=0.0)
    rotation_weight: float = setting(
        0.5, "Weight of the rotation loss in rotation_at.", stages=_PRE, minimum=0.0
    )
    awp_gamma: float = setting(
        0.0,
        "Size of the adversarial weight perturbation, as a share of each kernel's norm; 0: none.",
        stages=_PRE,
        minimum=0.0,
    )
    awp_warmup_epochs: int = setting(
        0, "Epochs before weights are perturbed.", stages=_PRE, minimum=0
    )


@dataclasses.dataclass(frozen=True)
class AclConfig:
    """ACL and DynACL."""

    acl_mode: str = setting(
        "ds",
        "Views of acl: both adversarial (a2a), one adversarial and one clean (a2s), or the "
        "mean of the clean and the a2a loss (ds).",
        stages=_PRE,
        choices=("a2a", "a2s", "ds"),
    )
    dynacl_interval: int = setting(
        50,
        "Epochs after which dynacl changes the strength of its views and its weights.",
        stages=_PRE,
        minimum=1,
    )
    dynacl_weight_rate: float = setting(
        2 / 3,
        "dynacl: how far the weight of the adversarial loss rises above that of the clean one "
        "as views grow weaker.",
        stages=_PRE,
        minimum=0.0,
    )
    dynacl_momentum: float = setting(
        0.99,
        "Momentum of dynacl's averaged encoder, through which its second view goes; 0: none.",
        stages=_PRE,
        minimum=0.0,
        maximum=0.99999,
    )


@dataclasses.dataclass(frozen=True)
class RoclConfig:
    """RoCL."""

    rocl_lambda: float = setting(
        1 / 256,
        "Weight of rocl's term between adversarial and second view.",
        stages=_PRE,
        minimum=0.0,
    )


@dataclasses.dataclass(frozen=True)
class PseudoLabelConfig:
    """AdvCL and DynACL++: labels from clusters of features."""

    initial_encoder: str = setting(
        "",
        "Work directory of the pre-training whose encoder dynacl_pp starts from, and whose "
        "features it clusters into pseudo-labels.",
        stages=_PRE,
        path=PATH,
        is_identity=False,
    )
    pseudo_label_encoder: str = setting(
        "",
        "advcl: whose features are clustered into pseudo-labels: the work directory of a "
        "pre-training, or an exported SavedModel.",
        stages=_PRE,
        path=PATH,
        is_identity=False,
    )
    num_clusters: str = setting(
        "2,10,50,100,500",
        "Numbers of clusters of advcl, separated by commas, one pseudo-label head each; "
        "dynacl_pp has as many clusters as the data set has classes.",
        stages=_PRE,
    )
    advcl_ce_weight: float = setting(
        0.2, "Weight of advcl's pseudo-label term.", stages=_PRE, minimum=0.0
    )
    high_frequency_radius: int = setting(
        8,
        "advcl: frequencies nearer than this to zero are taken out of its fourth view.",
        stages=_PRE,
        minimum=0,
    )


@dataclasses.dataclass(frozen=True)
class PretextConfig:
    """Selfie, and Selfie with the diversity penalty (DPE)."""

    num_patches_masked: int = setting(
        4, "selfie: masked patches of the sixteen.", stages=_PRE, minimum=2, maximum=15
    )
    num_attention_layers: int = setting(
        13, "selfie: layers of the attention pooling.", stages=_PRE, minimum=1
    )
    dpe_weight: float = setting(
        0.1,
        "selfie_dpe: weight of the log-determinant of the tasks' gradients, as in the authors' "
        "code; below 0, training drives the gradients apart.",
        stages=_PRE,
    )
    num_steps_pretext: int = setting(
        10, "Attack steps of selfie and selfie_dpe.", stages=_PRE, minimum=0
    )


@dataclasses.dataclass(frozen=True)
class FastConfig:
    """Cheaper pre-training; everything is off by default (docs/fast.md)."""

    at_attack: str = setting(
        "pgd",
        "Attack of the classification term of ascl, at, trades and mart: PGD of --num_steps_at, or "
        "FGSM with a random start (fgsm_rs), one step of --fgsm_step_ratio radii.",
        stages=_PRE,
        choices=("pgd", "fgsm_rs"),
        added_later=True,
    )
    fgsm_step_ratio: float = setting(
        1.25,
        "Length of the step of fgsm_rs, in radii.",
        stages=_PRE,
        above=0.0,
        maximum=2.0,
        added_later=True,
    )
    fgsm_guard: str = setting(
        "pgd",
        "What follows catastrophic overfitting of fgsm_rs: PGD from the next step to the end of "
        "the run (pgd), or the warning alone (warn).",
        stages=_PRE,
        choices=("pgd", "warn"),
        added_later=True,
    )
    shared_perturbation: str = setting(
        "none",
        "Which terms of ascl take the classification term's adversarial image in place of one of "
        "their own: none, the supervised contrastive term (ascl), or both contrastive terms (all).",
        stages=_PRE,
        choices=("none", "ascl", "all"),
        added_later=True,
    )


METHOD_SECTIONS = (
    AsclConfig,
    ClassificationConfig,
    AclConfig,
    RoclConfig,
    PseudoLabelConfig,
    PretextConfig,
    FastConfig,
)


def fast_conflict(config: Any) -> str:
    """Returns what a `Config` asks for and its method cannot do, as a message; "" for nothing.

    Args:
        config: `ascl_tf.config.Config`.
    """
    is_ascl, found = config.method == "ascl", f"found --method={config.method}"
    shared = f"--shared_perturbation={config.shared_perturbation}: expected"
    rules = {
        "--at_attack=fgsm_rs: expected --method=ascl, at, trades or mart; " + found: (
            config.at_attack == "fgsm_rs" and config.method not in ("ascl", "at", "trades", "mart")
        ),
        f"--at_attack=fgsm_rs: expected --attack_source_at=ce; found {config.attack_source_at}": (
            config.at_attack == "fgsm_rs" and is_ascl and config.attack_source_at != "ce"
        ),
        f"{shared} --method=ascl; {found}": (config.shared_perturbation != "none" and not is_ascl),
        f"{shared} --ascl_loss=clean_adversarial; found {config.ascl_loss}": (
            config.shared_perturbation != "none" and config.ascl_loss != "clean_adversarial"
        ),
        f"{shared} --cl_mode=a2s, an adversarial and a clean view; found {config.cl_mode}": (
            config.shared_perturbation == "all" and config.cl_mode != "a2s"
        ),
    }
    return next((message for message, is_broken in rules.items() if is_broken), "")
