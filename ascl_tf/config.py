"""Every setting of a training run: default, help, range and the stages that use it.

Frozen dataclasses by topic, joined in `Config`. Flags are made from these fields
(flag_defs.py), so that each default and help text exists once. No TensorFlow here:
tools and tests of flagfiles stay fast.
"""

import dataclasses
import json
from typing import Any

from ascl_tf.errors import ConfigError, RunError
from ascl_tf.settings import (
    ALL,
    EVALUATE,
    EXPORT,
    FINETUNE,
    PRETRAIN,
    RADIUS_HELP,
    STAGES,
    Fraction,
    check_setting,
    setting,
    value_from_json,
)

__all__ = ["ALL", "EVALUATE", "EXPORT", "FINETUNE", "PRETRAIN", "STAGES", "Fraction", "setting"]

TRAINING_STAGES = (PRETRAIN, FINETUNE)

ONE_SHOT_METHODS = ("standard", "at", "trades", "mart")
METHODS = ("ascl", *ONE_SHOT_METHODS)
FINETUNE_MODES = ("laf", "lsf", "fsf", "faf")
ATTACK_SOURCES = ("ce", "cl", "ascl")


_PRE, _FINE, _TRAIN = (PRETRAIN,), (FINETUNE,), TRAINING_STAGES


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images a run sees."""

    dataset: str = setting(
        "auto",
        "Any name of tensorflow-datasets (cifar10, cifar100, stl10, ...), folder:/path, bundled "
        "(4,000 training and 1,000 test images of CIFAR-10), or auto: cifar10 where it is at "
        "hand, else bundled.",
    )
    data_dir: str = setting(
        "", "Folder of data sets in TFDS layout; empty: TFDS' own default.", is_identity=False
    )
    download: bool = setting(
        False, "Download the data set where data_dir does not hold it.", is_identity=False
    )
    image_size: int = setting(
        0, "Resize images to this height and width, antialiased; 0: as they are.", minimum=0
    )
    num_train_images: int = setting(
        0, "Use a class-balanced part of the training images; 0: all.", stages=_TRAIN, minimum=0
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the training images held out for validation, class-balanced, by seed.",
        stages=_TRAIN,
        minimum=0.0,
        maximum=0.9,
    )
    labeled_fraction: float = setting(
        1.0,
        "Share of the training images that keep their label; the rest is unlabelled.",
        stages=_TRAIN,
        above=0.0,
        maximum=1.0,
    )
    unlabeled_dataset: str = setting(
        "",
        "Data set, as in --dataset, whose training images are added without labels.",
        stages=_PRE,
    )
    weak_augmentation: str = setting(
        "crop_flip",
        "Augmentation of the image that the adversarial terms perturb.",
        stages=_PRE,
        choices=("crop_flip", "none"),
    )
    gaussian_blur: bool = setting(
        False,
        "Blur strong views (SimCLR's on larger images); needs tensorflow-addons.",
        stages=_PRE,
    )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network."""

    depth: int = setting(18, "Depth of the ResNet, 18 or 34.")
    width: int = setting(64, "Channels of the first stage; 64 is the paper's.", minimum=1)
    projection_dim: int = setting(128, "Width of the projections.", stages=_PRE, minimum=1)
    batch_norm: str = setting(
        "separate",
        "Batch-norm sets for clean and adversarial images: one each, or one for both.",
        choices=("separate", "shared"),
    )


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What pre-training minimises (eq. 10)."""

    method: str = setting("ascl", "Method of pre-training.", choices=METHODS)
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
    temperature: float = setting(
        0.5, "Divisor of the similarities in the contrastive terms.", stages=_PRE, above=0.0
    )
    outer_loss: str = setting(
        "at", "Classification term of ascl.", stages=_PRE, choices=("at", "trades", "mart")
    )
    trades_beta: float = setting(
        6.0, "Weight of the KL term in TRADES.", stages=_TRAIN, minimum=0.0
    )
    mart_beta: float = setting(5.0, "Weight of the KL term in MART.", stages=_PRE, minimum=0.0)
    cl_mode: str = setting(
        "a2a",
        "Views of the self-supervised term: both adversarial (a2a), one adversarial and "
        "one clean (a2s), or the mean of the clean and the a2a loss (ds).",
        stages=_PRE,
        choices=("a2a", "a2s", "ds"),
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
class AttackConfig:
    """The attacks inside training (eq. 2)."""

    epsilon: Fraction = setting(
        Fraction("8/255"),
        f"Radius of the l-infinity ball, {RADIUS_HELP}.",
        stages=_TRAIN,
        above=0.0,
        maximum=1.0,
    )
    step_size: Fraction = setting(
        Fraction("2/255"),
        f"Length of one attack step, {RADIUS_HELP}.",
        stages=_TRAIN,
        above=0.0,
        maximum=1.0,
    )
    num_steps_at: int = setting(
        10, "Attack steps of the classification term.", stages=_PRE, minimum=0
    )
    num_steps_cl: int = setting(
        5, "Attack steps of the self-supervised term.", stages=_PRE, minimum=0
    )
    num_steps_ascl: int = setting(
        5, "Attack steps of the supervised contrastive term.", stages=_PRE, minimum=0
    )
    attack_source_at: str = setting(
        "ce",
        "Loss that the classification term's attack raises (under trades, ce means KL).",
        stages=_PRE,
        choices=ATTACK_SOURCES,
    )
    attack_source_cl: str = setting(
        "cl",
        "Loss that the self-supervised term's attack raises.",
        stages=_PRE,
        choices=ATTACK_SOURCES,
    )
    attack_source_ascl: str = setting(
        "ascl",
        "Loss that the supervised contrastive term's attack raises.",
        stages=_PRE,
        choices=ATTACK_SOURCES,
    )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Optimisation of pre-training (or of a one-shot method)."""

    epochs: int = setting(100, "Epochs of pre-training.", stages=_PRE, minimum=1)
    global_batch_size: int = setting(
        512, "Images per step over all replicas.", stages=_TRAIN, minimum=1
    )
    learning_rate: float = setting(0.1, "Learning rate of pre-training.", stages=_PRE, above=0.0)
    decay_at: str = setting(
        "0.6,0.8",
        "Shares of the epochs, separated by commas, at which the learning rate of pre-training "
        "is multiplied by 0.1; empty: constant.",
        stages=_PRE,
    )
    warmup_epochs: float = setting(
        0.0,
        "Epochs over which pre-training's learning rate rises linearly from 0.",
        stages=_PRE,
        minimum=0.0,
    )
    momentum: float = setting(0.9, "Momentum of SGD.", stages=_TRAIN, minimum=0.0, maximum=0.9999)
    weight_decay: float = setting(
        2e-4, "Coupled weight decay, added to the gradient.", stages=_TRAIN, minimum=0.0
    )
    weight_decay_on: str = setting(
        "all",
        "Variables that decay: all trainable ones (as in PyTorch's SGD), or kernels only.",
        stages=_TRAIN,
        choices=("all", "kernels"),
    )


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tuning (Table 7)."""

    finetune: str = setting(
        "laf",
        "What is trained on which images: linear layer or everything (l, f), on standard "
        "or adversarial images (s, a).",
        stages=STAGES[1:],
        choices=FINETUNE_MODES,
    )
    pretrained: str = setting(
        "", "Work directory of the pre-training; empty: this run's own.", stages=_FINE
    )
    encoder_checkpoint: str = setting(
        "last",
        "Checkpoint that fine-tuning starts from; random: an untrained encoder.",
        stages=_FINE,
        choices=("last", "best", "random"),
    )
    finetune_epochs: int = setting(
        0,
        "Epochs of fine-tuning; 0: the paper's 10 (linear layer) or 25 (everything).",
        stages=_FINE,
        minimum=0,
    )
    finetune_learning_rate: float = setting(
        0.1, "Learning rate of fine-tuning.", stages=_FINE, above=0.0
    )
    finetune_loss: str = setting(
        "trades", "Loss of laf and faf.", stages=_FINE, choices=("trades", "ce")
    )
    finetune_num_steps: int = setting(10, "Attack steps of laf and faf.", stages=_FINE, minimum=0)
    finetune_augmentation: str = setting(
        "crop_flip", "Augmentation in fine-tuning.", stages=_FINE, choices=("crop_flip", "none")
    )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Validation while training, and evaluation at the end."""

    protocol: str = setting(
        "standard,pgd20,cleverhans_pgd20",
        "Protocols of the evaluation, separated by commas.",
        stages=(EVALUATE,),
        is_identity=False,
    )
    num_images: int = setting(
        0,
        "Evaluate the first so many test images; 0: all.",
        stages=(EVALUATE,),
        minimum=0,
        is_identity=False,
    )
    evaluation_batch_size: int = setting(
        250,
        "Images per evaluation batch; changes no number.",
        stages=STAGES[:3],
        minimum=1,
        is_identity=False,
    )
    validation_protocol: str = setting(
        "pgd20", "Protocol whose robust accuracy selects the best checkpoint.", stages=_TRAIN
    )
    export_checkpoint: str = setting(
        "best",
        "Checkpoint of the classifier that is exported.",
        stages=(EXPORT,),
        choices=("best", "last"),
        is_identity=False,
    )
    num_validation_images: int = setting(
        0, "Validate on the first so many held-out images; 0: all.", stages=_TRAIN, minimum=0
    )
    validate_every: int = setting(
        1, "Validate after every so many epochs, and after the last.", stages=_TRAIN, minimum=1
    )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Where a run lies, and how it reports."""

    workdir: str = setting(
        "", "Folder of the run; empty: runs/<dataset>_<method>.", is_identity=False
    )
    num_replicas: int = setting(
        0,
        "Devices to train on; 0: all GPUs, or the CPU.",
        stages=_TRAIN,
        minimum=0,
        is_identity=False,
    )
    seed: int = setting(
        0, "Seed of initial weights, data order, views and attacks.", minimum=0, maximum=2**31 - 1
    )
    checkpoint_every: int = setting(
        200,
        "Save after every so many steps, and after each epoch.",
        stages=_TRAIN,
        minimum=1,
        is_identity=False,
    )
    log_every: int = setting(
        10,
        "Write TensorBoard scalars after every so many steps.",
        stages=_TRAIN,
        minimum=1,
        is_identity=False,
    )
    smoke: bool = setting(
        False, "Shrink everything to seconds: few images, two steps, a narrow network."
    )


SECTIONS = (
    RunConfig,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    AttackConfig,
    TrainingConfig,
    FinetuneConfig,
    EvaluationConfig,
)


@dataclasses.dataclass(frozen=True)
class Config(
    EvaluationConfig,
    FinetuneConfig,
    TrainingConfig,
    AttackConfig,
    ObjectiveConfig,
    ModelConfig,
    DataConfig,
    RunConfig,
):
    """All settings of a run, flat: a field is a flag of the same name."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_setting(field, getattr(self, field.name))
        _check_combinations(self)

    def replace(self, **changes: Any) -> "Config":
        """Returns a copy with other values, checked anew."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; fractions as they were written."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: v.text if isinstance(v, Fraction) else v for k, v in values.items()}

    def identity(self, stage: str) -> dict[str, Any]:
        """Returns the values on which the result of `stage` depends."""
        names = [
            field.name
            for field in dataclasses.fields(self)
            if field.metadata["is_identity"] and stage in field.metadata["stages"]
        ]
        values = self.to_json()
        return {name: values[name] for name in names}

    @property
    def is_one_shot(self) -> bool:
        """Whether the method trains its classifier itself and needs no fine-tuning."""
        return self.method in ONE_SHOT_METHODS

    @property
    def decay_shares(self) -> tuple[float, ...]:
        """`decay_at` as numbers, ascending."""
        return tuple(sorted(float(share) for share in self.decay_at.split(",") if share.strip()))

    @property
    def num_finetune_epochs(self) -> int:
        """Epochs of fine-tuning with the paper's default filled in."""
        return self.finetune_epochs or (10 if self.finetune in ("lsf", "laf") else 25)


def config_from_json(text: str, source: str) -> Config:
    """Returns the config written in `text`.

    Raises:
        RunError: naming `source`, if the text is no JSON object of known settings, each of
            its type and in its range.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise RunError(f"{source}: expected a JSON object of settings; found {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{source}: expected a JSON object; found {type(values).__name__}")
    fields = {field.name: field for field in dataclasses.fields(Config)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RunError(f"{source}: expected known settings; found {', '.join(unknown)}")
    settings = {k: value_from_json(fields[k], v, source) for k, v in values.items()}
    try:
        return Config(**settings)
    except ConfigError as error:
        raise RunError(f"{source}: {error}") from None


def shrink(config: Config) -> Config:
    """Returns the config of `--smoke`: the same path through the code, in seconds."""
    return config.replace(
        smoke=True,
        dataset="bundled",
        image_size=16,
        num_train_images=48,
        width=2,
        projection_dim=8,
        epochs=1,
        warmup_epochs=0.0,
        global_batch_size=16,
        finetune_epochs=1,
        num_steps_at=min(config.num_steps_at, 2),
        num_steps_cl=min(config.num_steps_cl, 2),
        num_steps_ascl=min(config.num_steps_ascl, 2),
        finetune_num_steps=min(config.finetune_num_steps, 2),
        num_images=20,
        validation_fraction=0.25,
        num_validation_images=10,
        validation_protocol="fgsm",
        evaluation_batch_size=20,
        # With fewer labels some of the ten classes would have none among so few images.
        labeled_fraction=max(config.labeled_fraction, 0.5),
        unlabeled_dataset="bundled" if config.unlabeled_dataset else "",
    )


def _check_combinations(config: Config) -> None:
    try:
        is_valid = all(0 < share <= 1 for share in config.decay_shares)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ConfigError(
            "--decay_at: expected numbers in (0, 1], separated by commas, such as 0.6,0.8; "
            f"found {config.decay_at!r}"
        )
    if config.depth not in (18, 34):
        raise ConfigError(f"--depth: expected 18 or 34; found {config.depth}")
    if config.is_one_shot and config.unlabeled_dataset:
        raise ConfigError(
            "--unlabeled_dataset: expected a method with a term that needs no labels, such as "
            f"ascl; found --method={config.method}"
        )
    if config.method == "ascl" and config.unlabeled_dataset and config.lambda_1 == 0:
        raise ConfigError(
            "--unlabeled_dataset: expected --lambda_1 > 0, the one term that uses such images; "
            "found --lambda_1=0"
        )
    if config.step_size > config.epsilon * 2:
        raise ConfigError(
            f"--step_size: expected at most twice --epsilon={config.epsilon}; "
            f"found {config.step_size}"
        )
