"""What is known of standard, at, trades and mart before TensorFlow is imported."""

import dataclasses

from ascl_tf.config.registry import LABELS_OPTIONAL, MethodSpec, Recipe, register
from ascl_tf.config.setting import FINETUNE, PRETRAIN, setting


@dataclasses.dataclass(frozen=True)
class OuterLossSettings:
    """Loss weights of TRADES and MART, also inside ascl and in fine-tuning."""

    trades_beta: float = setting(
        6.0, "Weight of the KL term in TRADES.", stages=(PRETRAIN, FINETUNE), minimum=0.0
    )
    mart_beta: float = setting(
        5.0, "Weight of the KL term in MART.", stages=(PRETRAIN,), minimum=0.0
    )


@dataclasses.dataclass(frozen=True)
class AtAttackSettings:
    """Attack for the classification term."""

    at_attack: str = setting(
        "pgd",
        "Attack for the classification term of ascl, at, trades and mart: PGD with "
        "--num_steps_at steps (pgd), or FGSM with a random start (fgsm_rs), one step of "
        "--fgsm_step_ratio radii.",
        stages=(PRETRAIN,),
        choices=("pgd", "fgsm_rs"),
        only_own_methods=True,
    )
    fgsm_step_ratio: float = setting(
        1.25,
        "Length of the fgsm_rs step, in radii.",
        stages=(PRETRAIN,),
        above=0.0,
        maximum=2.0,
    )
    fgsm_guard: str = setting(
        "pgd",
        "What to do about catastrophic overfitting of fgsm_rs: use PGD from the next step to the "
        "end of the run (pgd), or only warn (warn).",
        stages=(PRETRAIN,),
        choices=("pgd", "warn"),
    )


@dataclasses.dataclass(frozen=True)
class WeightPerturbationSettings:
    """Adversarial weight perturbation (AWP)."""

    awp_gamma: float = setting(
        0.0,
        "Size of the adversarial weight perturbation, as a share of each kernel's norm. 0: off.",
        stages=(PRETRAIN,),
        only_own_methods=True,
        minimum=0.0,
    )
    awp_warmup_epochs: int = setting(
        0, "Number of epochs before weights are perturbed.", stages=(PRETRAIN,), minimum=0, smoke=0
    )


@dataclasses.dataclass(frozen=True)
class UnlabeledSettings:
    """Images without a label in adversarial training."""

    unlabeled_kl_weight: float = setting(
        0.0,
        "Weight of the KL divergence between the predictions on natural and adversarial images "
        "without a label, in at, trades and mart. 0: off, and only labeled images are used.",
        stages=(PRETRAIN,),
        only_own_methods=True,
        minimum=0.0,
    )


def find_conflict_of_attack(config):
    """Returns what fgsm_rs cannot do of what `config` asks for, as (setting, expected, found)."""
    if config.at_attack == "fgsm_rs" and config.norm != "linf":
        return "at_attack", "`norm=linf`, the norm of its ball", f"`norm={config.norm}`"
    return None


def _find_conflict_of_at(config):
    if config.unlabeled_kl_weight > 0 and config.pseudo_label_classifier:
        expected = "no `pseudo_label_classifier`, which leaves no image without a label"
        return "unlabeled_kl_weight", expected, config.pseudo_label_classifier
    return find_conflict_of_attack(config)


def _find_conflict_of_standard(config):
    if config.norm != "linf" and not config.pretrained:
        return "norm", "a method that is attacked by PGD", "`method=standard`"
    return None


_STANDARD = MethodSpec(
    "standard",
    "ascl_tf.methods.supervised:Standard",
    settings=(WeightPerturbationSettings,),
    needs_finetuning=False,
    find_conflict=_find_conflict_of_standard,
)
_AT = MethodSpec(
    "at",
    "ascl_tf.methods.supervised:AdversarialTraining",
    settings=(OuterLossSettings, AtAttackSettings, WeightPerturbationSettings, UnlabeledSettings),
    labels=LABELS_OPTIONAL,
    label_free_weight="unlabeled_kl_weight",
    needs_finetuning=False,
    find_conflict=_find_conflict_of_at,
)
_TRADES = dataclasses.replace(_AT, name="trades", class_path="ascl_tf.methods.supervised:Trades")
_MART = dataclasses.replace(
    _AT,
    name="mart",
    class_path="ascl_tf.methods.supervised:Mart",
    recipe=Recipe("sgd", 0.01, 128),
)
register(_STANDARD, _AT, _TRADES, _MART)
