"""Settings that all methods share, by topic: data, network, attacks, optimization, stages.

Those of single methods are beside the methods, in `ascl_tf/methods/*_spec.py`.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from ascl_tf.config import networks
from ascl_tf.config.paths import DATASET, MODEL, PATH
from ascl_tf.config.protocol_names import split_protocols
from ascl_tf.config.setting import (
    EVALUATE,
    EXPORT,
    FINETUNE,
    PRETRAIN,
    RADIUS_HELP,
    STAGES,
    Fraction,
    setting,
)
from ascl_tf.config.sizes import SIZE_HELP, parse_size
from ascl_tf.errors import ConfigError

TRAINING_STAGES = (PRETRAIN, FINETUNE)

FINETUNE_MODES = ("laf", "lsf", "fsf", "faf")
ATTACK_SOURCES = ("ce", "cl", "ascl")
PRECISIONS = ("float32", "bfloat16")
STEMS = ("auto", "cifar", "imagenet")
EXPORT_FORMATS = ("saved_model", "keras", "tflite", "onnx")
LARGEST_OF_CIFAR_STEM = 64  # pixels
# What the weights of an encoder fit to.
ENCODER_SETTINGS = ("encoder", "depth", "width", "stem", "batch_norm")

# Norm of a ball -> its largest radius that is no mistake. Beyond: gray levels, 8 for 8/255 or 128
# for 128/255; in the l2 norm two images of 32x32 pixels are at most 56 apart.
LARGEST_RADIUS = {"linf": 1.0, "l2": 100.0}
# A radius that is usual in the other norm alone: up to 16/255 in l-infinity, and in l2 from half
# the range on, at which l-infinity turns every image into the same gray.
_LARGEST_USUAL_LINF, _SMALLEST_USUAL_L2 = 16 / 255, 0.5


_PRE, _FINE, _TRAIN = (PRETRAIN,), (FINETUNE,), TRAINING_STAGES


def _shares(name: str, text: str) -> tuple[float, ...]:
    try:
        shares = tuple(sorted(float(share) for share in text.split(",") if share.strip()))
        is_valid = all(0 < share <= 1 for share in shares)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ConfigError(
            field=name,
            expected="numbers in (0, 1], separated by commas, such as 0.6,0.8",
            found=repr(text),
        )
    return shares


def read_memory_limit(text: str) -> int | None:
    """Returns the bytes that `memory_limit` says; None where that is left to the machine.

    Raises:
        ConfigError: if it says no number of bytes.
    """
    try:
        return parse_size(text) if text else None
    except ValueError:
        raise ConfigError(field="memory_limit", expected=SIZE_HELP, found=repr(text)) from None


def read_export_formats(text: str) -> list[str]:
    """Returns the formats that `export_format` says, such as "saved_model,onnx".

    Raises:
        ConfigError: if it says none, or another one.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(EXPORT_FORMATS):
        expected = f"some of {', '.join(EXPORT_FORMATS)}"
        raise ConfigError(field="export_format", expected=expected, found=text or "none")
    return names


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which images a run sees."""

    dataset: str = setting(
        "auto",
        "Any name of tensorflow-datasets (cifar10, cifar100, stl10, ...), folder:/path, bundled "
        "(4,000 training and 1,000 test images of CIFAR-10), or auto: cifar10 where it is at "
        "hand, else bundled.",
        path=DATASET,
        smoke="bundled",
    )
    train_split: str = setting(
        "train", "Split of the data set to train on.", stages=_TRAIN, smoke="train"
    )
    validation_split: str = setting(
        "",
        "Split of the data set to validate on; empty: of a folder that has val or validation "
        "beside test that split, else --validation_fraction of the training images.",
        stages=_TRAIN,
        smoke="",
    )
    test_split: str = setting(
        "auto",
        "Split of the data set to test on; auto: test, or where there is none val or validation.",
        stages=(EVALUATE, EXPORT),
        is_identity=False,
        smoke="auto",
    )
    test_fraction: float = setting(
        0.2,
        "Of a folder of pictures that tells no splits, the share that is tested on and not trained "
        "on, class-balanced, at least one of each class that has two; 0: none.",
        minimum=0.0,
        maximum=0.9,
    )
    split_seed: int = setting(
        0,
        "Decides which pictures --test_fraction takes. Not --seed: runs of several seeds are "
        "tested on the same pictures.",
        minimum=0,
        maximum=2**31 - 1,
    )
    data_dir: str = setting(
        "",
        "Folder of data sets in TFDS layout; empty: TFDS' own default.",
        path=PATH,
        is_identity=False,
    )
    download: bool = setting(
        False, "Download the data set where data_dir does not hold it.", is_identity=False
    )
    image_size: int = setting(
        0,
        "Resize images to this height and width, antialiased; 0: as they are, but for a folder of "
        "pictures of several sizes: 32, 64, 128 or 224, not above the median of their shorter "
        "sides.",
        minimum=0,
        smoke=16,
    )
    resize: str = setting(
        "crop",
        "What is done with images that are no squares where they are resized: crop, the longer "
        "side is cut to its center; pad, black borders; stretch, the aspect ratio changes.",
        choices=("stretch", "crop", "pad"),
    )
    memory_limit: str = setting(
        "",
        f"Images of a split that are held in memory, in {SIZE_HELP}; those of a larger split "
        "are decoded once into a file in --cache_dir and read from there batch by batch, which "
        "changes no number. Empty: half of the memory that is free.",
        is_identity=False,
    )
    cache_dir: str = setting(
        "",
        "Folder of such files; empty: ascl_tf in XDG_CACHE_HOME or ~/.cache.",
        path=PATH,
        is_identity=False,
    )
    num_train_images: int = setting(
        0, "Use a class-balanced part of the training images; 0: all.", stages=_TRAIN, minimum=0
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the training images held out for validation, class-balanced, by seed; at least "
        "one of each class that has two.",
        stages=_TRAIN,
        minimum=0.0,
        maximum=0.9,
        smoke=0.25,
    )
    labeled_fraction: float = setting(
        1.0,
        "Share of the training images that keep their label. The others serve the terms that need "
        "no labels; where there is none (fine-tuning, scl, standard, at, trades, mart, and ascl or "
        "rotation_at without theirs) training is on the labeled images alone, in as many steps.",
        stages=_TRAIN,
        above=0.0,
        maximum=1.0,
    )
    unlabeled_dataset: str = setting(
        "",
        "Data set, as in --dataset, whose training images are added without labels.",
        stages=_PRE,
        path=DATASET,
    )
    weak_augmentation: str = setting(
        "crop_flip",
        "Augmentation of the image that the adversarial terms perturb.",
        stages=_PRE,
        choices=("crop_flip", "none"),
    )
    min_crop_area: float = setting(
        0.2,
        "Smallest share of the image that a strong view is cropped from.",
        stages=_PRE,
        above=0.0,
        maximum=1.0,
    )
    gaussian_blur: bool = setting(
        False,
        "Blur strong views (SimCLR's on larger images); needs tensorflow-addons.",
        stages=_PRE,
    )

    def __post_init__(self) -> None:
        read_memory_limit(self.memory_limit)


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """The network."""

    encoder: str = setting(
        "resnet",
        "Network under the heads: resnet, preact_resnet, wide_resnet_<depth>_<factor>, or a Keras "
        "model of your own: a function as my_package.my_file:make_encoder, or a .keras file "
        "(docs/own_network.md).",
        path=PATH,
    )
    depth: int = setting(18, "Depth: of resnet 18, 34 or 50, of preact_resnet 18 or 34.")
    width: int = setting(
        64,
        "Channels of the first stage of resnet and preact_resnet, 64 as published; a wide ResNet "
        "is scaled by width/64, a network of your own is not.",
        minimum=1,
        smoke=2,
    )
    stem: str = setting(
        "auto",
        "First layers: cifar, a 3x3 convolution; imagenet, a 7x7 convolution of stride 2 and "
        "max-pooling; auto: imagenet above 64 pixels.",
        choices=STEMS,
    )
    initial_encoder: str = setting(
        "",
        "Encoder that pre-training starts from, and whose features dynacl_pp clusters: work "
        "directory of a pre-training, pretrained:NAME, or a .keras file of a classifier of this "
        "package; empty: random weights.",
        stages=_PRE,
        path=MODEL,
        is_identity=False,
    )
    projection_dim: int = setting(128, "Width of the projections.", stages=_PRE, minimum=1, smoke=8)
    projection_layers: int = setting(
        2, "Dense layers of the projection head.", stages=_PRE, minimum=1, maximum=3
    )
    projection_hidden_dim: int = setting(
        0,
        "Width inside the projection head; 0: that of the features.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=16,
    )
    projection_batch_norm: str = setting(
        "hidden",
        "Batch norm in the projection head: behind its hidden layers, behind all layers, none; "
        "or hidden_shared, one set for clean and adversarial images.",
        stages=_PRE,
        choices=("hidden", "all", "none", "hidden_shared"),
    )
    batch_norm: str = setting(
        "separate",
        "Batch-norm sets for clean and adversarial images: one each, or one for both; triple "
        "adds a third for advcl's images that attack its pseudo-labels.",
        choices=("separate", "shared", "triple"),
    )

    def __post_init__(self) -> None:
        networks.check_encoder(self.encoder, self.depth, self.stem)

    def stem_for(self, image_shape: Sequence[int]) -> str:
        """Returns cifar or imagenet for images [height, width, channels]."""
        if self.stem != "auto":
            return self.stem
        return "imagenet" if max(image_shape[:2]) > LARGEST_OF_CIFAR_STEM else "cifar"


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """What pre-training minimizes; each method has settings of its own, too."""

    method: str = setting(
        "ascl",
        "Method of pre-training: one of the package's, or one of your own as "
        "my_package.my_file:MyMethod (docs/methods.md).",
    )
    class_weights: str = setting(
        "none",
        "Weights of the classification terms by class, in fine-tuning too; balanced: a class has "
        "as much weight as any other, however few images it has, and the mean over the training "
        "images is 1.",
        stages=_TRAIN,
        choices=("none", "balanced"),
    )
    temperature: float = setting(
        0.5, "Divisor of the similarities in the contrastive terms.", stages=_PRE, above=0.0
    )


@dataclasses.dataclass(frozen=True)
class AttackSettings:
    """The attacks inside training (eq. 2)."""

    norm: str = setting(
        "linf",
        "Norm of the ball that attacks stay in: the largest pixel (linf), or the length of the "
        "whole perturbation (l2).",
        stages=_TRAIN,
        choices=tuple(LARGEST_RADIUS),
    )
    epsilon: Fraction = setting(
        Fraction("8/255"),
        f"Radius of the ball, {RADIUS_HELP}; under --norm=l2 128/255 where it is not given.",
        is_auto=True,
        stages=_TRAIN,
    )
    step_size: Fraction = setting(
        Fraction("2/255"),
        f"Length of one attack step, {RADIUS_HELP}; under --norm=l2 15/255 where it is not given.",
        is_auto=True,
        stages=_TRAIN,
    )
    num_steps_at: int = setting(
        10, "Attack steps of the classification term.", stages=_PRE, minimum=0, smoke_maximum=2
    )
    num_steps_cl: int = setting(
        5, "Attack steps of the self-supervised term.", stages=_PRE, minimum=0, smoke_maximum=2
    )
    num_steps_ascl: int = setting(
        5,
        "Attack steps of the supervised contrastive term.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=2,
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

    def __post_init__(self) -> None:
        largest = LARGEST_RADIUS[self.norm]
        for name in ("epsilon", "step_size"):
            # NaN is not in the range either.
            if not 0 < getattr(self, name) <= largest:
                expected = f"a number > 0 and <= {largest:g} ({RADIUS_HELP})"
                raise ConfigError(field=name, expected=expected, found=getattr(self, name))
        if self.step_size > self.epsilon * 2:
            raise ConfigError(
                field="step_size",
                expected=f"at most twice `epsilon={self.epsilon}`",
                found=self.step_size,
            )

    @property
    def doubt(self) -> ConfigError | None:
        """What would be wrong if the radius is meant for the other norm, as it plainly seems."""
        if self.norm == "linf" and self.epsilon >= _SMALLEST_USUAL_L2:
            expected, found = f"less than {_SMALLEST_USUAL_L2:g}", "a radius that is usual in l2"
        elif self.norm == "l2" and self.epsilon <= _LARGEST_USUAL_LINF:
            expected, found = "more than 16/255", "a radius that is usual in l-infinity"
        else:
            return None
        expected = f"{expected} for `norm={self.norm}`"
        return ConfigError(field="epsilon", value=self.epsilon, expected=expected, found=found)


@dataclasses.dataclass(frozen=True)
class OptimizationSettings:
    """Optimization of pre-training (or of a one-shot method)."""

    # 2: SGD has the rate outside its velocity.
    FORMAT: ClassVar[int] = 2

    epochs: int = setting(100, "Epochs of pre-training.", stages=_PRE, minimum=1, smoke=1)
    global_batch_size: int = setting(
        512, "Images per step over all replicas.", stages=_TRAIN, minimum=1, smoke=16
    )
    optimizer: str = setting(
        "sgd",
        "Optimizer of pre-training: SGD with momentum, or LARS (layer-wise rates).",
        stages=_PRE,
        choices=("sgd", "lars"),
    )
    learning_rate: float = setting(
        0.1,
        "Learning rate of pre-training; where it is not given, that of the method's recipe times "
        "the root of the batch size over the recipe's.",
        is_auto=True,
        stages=_PRE,
        above=0.0,
    )
    schedule: str = setting(
        "stepwise",
        "Learning rate of pre-training over its epochs: see --decay_at, or half a cosine to 0.",
        stages=_PRE,
        choices=("stepwise", "cosine"),
    )
    decay_at: str = setting(
        "0.6,0.8",
        "Shares of the epochs, separated by commas, at which the learning rate of pre-training "
        "is multiplied by 0.1 under --schedule=stepwise; empty: constant.",
        stages=_PRE,
    )
    warmup_epochs: float = setting(
        0.0,
        "Epochs over which pre-training's learning rate rises linearly from 0; where they are not "
        "given, a twentieth of all for a rate that is scaled, else none.",
        is_auto=True,
        stages=_PRE,
        minimum=0.0,
        smoke=0.0,
    )
    momentum: float = setting(0.9, "Momentum.", stages=_TRAIN, minimum=0.0, maximum=0.9999)
    nesterov: bool = setting(False, "Nesterov's form of momentum in pre-training.", stages=_PRE)
    weight_averaging: float = setting(
        0.0,
        "Decay of an exponential moving average of weights and batch-norm statistics, which is "
        "validated, exported and fine-tuned in their place; it rises from 0 over the first steps. "
        "0: no average.",
        stages=_TRAIN,
        minimum=0.0,
        maximum=0.999999,
    )
    lars_trust: float = setting(
        0.001, "Trust coefficient of LARS.", stages=_PRE, above=0.0, maximum=1.0
    )
    lars_rate: str = setting(
        "inside",
        "Where LARS has the learning rate: inside its velocity (SimCLR, ACL, DynACL), or outside, "
        "as --optimizer=sgd and PyTorch's SGD (RoCL).",
        stages=_PRE,
        choices=("inside", "outside"),
    )
    weight_decay: float = setting(
        2e-4,
        "Coupled weight decay of pre-training, added to the gradient.",
        stages=_PRE,
        minimum=0.0,
    )
    weight_decay_on: str = setting(
        "all",
        "Variables that decay: all trainable ones (as in PyTorch's SGD), or kernels only; LARS "
        "gives layer-wise rates to the same.",
        stages=_TRAIN,
        choices=("all", "kernels"),
    )

    def __post_init__(self) -> None:
        _ = self.decay_shares  # Raises where the text cannot be read.

    @property
    def decay_shares(self) -> tuple[float, ...]:
        """`decay_at` as numbers, ascending."""
        return _shares("decay_at", self.decay_at)


@dataclasses.dataclass(frozen=True)
class FinetuneSettings:
    """Fine-tuning (Table 7)."""

    finetune: str = setting(
        "laf",
        "What is trained on which images: linear layer or everything (l, f), on standard "
        "or adversarial images (s, a).",
        stages=STAGES[1:],
        choices=FINETUNE_MODES,
    )
    pretrained: str = setting(
        "",
        "Encoder that fine-tuning starts from: work directory of a pre-training, pretrained:NAME, "
        "or a .keras file of a classifier of this package; empty: this run's own.",
        stages=_FINE,
        path=MODEL,
        is_identity=False,
    )
    encoder_checkpoint: str = setting(
        "last",
        "Checkpoint that fine-tuning starts from; random: an untrained encoder.",
        stages=_FINE,
        choices=("last", "best", "random"),
    )
    encoder_part: str = setting(
        "encoder",
        "Which of selfie_dpe's three encoders is fine-tuned; encoder: the one trained by selfie.",
        stages=_FINE,
        choices=("encoder", "encoder_rotation", "encoder_jigsaw"),
    )
    finetune_epochs: int = setting(
        0,
        "Epochs of fine-tuning; 0: the paper's 10 (linear layer) or 25 (everything).",
        stages=_FINE,
        minimum=0,
        smoke=1,
    )
    finetune_learning_rate: float = setting(
        0.1,
        "Learning rate of fine-tuning; where it is not given, 0.1 times the root of the batch size "
        "over 512.",
        is_auto=True,
        stages=_FINE,
        above=0.0,
    )
    finetune_decay_at: str = setting(
        "auto",
        "Shares of fine-tuning's epochs at which its learning rate is multiplied by 0.1; empty: "
        "constant; auto: constant for a linear layer, 0.6,0.8 for everything.",
        stages=_FINE,
    )
    finetune_global_batch_size: int = setting(
        0,
        "Images per step of fine-tuning; 0: as --global_batch_size.",
        stages=_FINE,
        minimum=0,
        smoke_maximum=16,
    )
    finetune_weight_decay: float = setting(
        2e-4, "Coupled weight decay of fine-tuning.", stages=_FINE, minimum=0.0
    )
    finetune_natural_branch: str = setting(
        "adversarial",
        "Batch-norm branch of the natural images of faf under trades (clean: as DynACL's recipe).",
        stages=_FINE,
        choices=("adversarial", "clean"),
    )
    finetune_loss: str = setting(
        "trades", "Loss of laf and faf.", stages=_FINE, choices=("trades", "ce")
    )
    finetune_num_steps: int = setting(
        10, "Attack steps of laf and faf.", stages=_FINE, minimum=0, smoke_maximum=2
    )
    finetune_augmentation: str = setting(
        "crop_flip", "Augmentation in fine-tuning.", stages=_FINE, choices=("crop_flip", "none")
    )

    def __post_init__(self) -> None:
        _ = self.finetune_decay_shares  # Raises where the text cannot be read.

    @property
    def finetune_decay_shares(self) -> tuple[float, ...]:
        """`finetune_decay_at` as numbers, ascending, with "auto" filled in."""
        if self.finetune_decay_at != "auto":
            return _shares("finetune_decay_at", self.finetune_decay_at)
        return () if self.finetune in ("lsf", "laf") else (0.6, 0.8)

    @property
    def num_finetune_epochs(self) -> int:
        """Epochs of fine-tuning with the paper's default filled in."""
        return self.finetune_epochs or (10 if self.finetune in ("lsf", "laf") else 25)


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """Validation while training, and evaluation at the end."""

    protocol: str = setting(
        "standard,pgd20,cleverhans_pgd20",
        "Protocols of the evaluation, separated by commas; help lists them. A variant has other "
        "numbers behind an @: pgd20@epsilon=4/255,num_steps=50.",
        stages=(EVALUATE,),
        is_identity=False,
    )
    num_images: int = setting(
        0,
        "Evaluate the first so many test images; 0: all.",
        stages=(EVALUATE,),
        minimum=0,
        is_identity=False,
        smoke=20,
    )
    evaluation_batch_size: int = setting(
        250,
        "Images per evaluation batch; changes no number.",
        stages=STAGES[:3],
        minimum=1,
        is_identity=False,
        smoke=20,
    )
    validation_protocol: str = setting(
        "pgd20",
        "Protocol, or variant of one, whose robust accuracy selects the best checkpoint.",
        stages=_TRAIN,
        smoke="fgsm",
    )
    export_checkpoint: str = setting(
        "best",
        "Checkpoint of the classifier that is exported.",
        stages=(EXPORT,),
        choices=("best", "last"),
        is_identity=False,
    )
    export_format: str = setting(
        "saved_model",
        "Files that are exported, separated by commas: saved_model, keras (of Keras' own layers), "
        "tflite (in float32 and in 8-bit integers), onnx.",
        stages=(EXPORT,),
        is_identity=False,
    )
    num_validation_images: int = setting(
        0,
        "Validate on the first so many held-out images; 0: all.",
        stages=_TRAIN,
        minimum=0,
        smoke=10,
    )
    validate_every: int = setting(
        1, "Validate after every so many epochs, and after the last.", stages=_TRAIN, minimum=1
    )

    def __post_init__(self) -> None:
        if not split_protocols(self.protocol):
            raise ConfigError(field="protocol", expected="one or more names", found="none")
        _ = self.export_formats  # Raises where there is no such format.

    @property
    def export_formats(self) -> list[str]:
        """Names in `export_format`."""
        return read_export_formats(self.export_format)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """Where a run lies, and how it reports."""

    workdir: str = setting(
        "", "Folder of the run; empty: runs/<dataset>_<method>.", path=PATH, is_identity=False
    )
    num_replicas: int = setting(
        0,
        "Devices to train on; 0: all GPUs, or the CPU.",
        stages=_TRAIN,
        minimum=0,
        is_identity=False,
    )
    precision: str = setting(
        "float32",
        "What the network computes in while it trains. Weights, losses, similarities, batch-norm "
        "statistics, pixels and perturbations are float32 in both; so is evaluation.",
        stages=_TRAIN,
        choices=PRECISIONS,
    )
    jit: str = setting(
        "auto",
        "Whether XLA compiles the training step; auto: on one GPU, not on a CPU, where its "
        "convolutions are slow, nor on several devices. Changes numbers by rounding.",
        stages=_TRAIN,
        choices=("auto", "on", "off"),
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
    minutes: float = setting(
        0.0,
        "How long all stages may take, about: sets --epochs and --validate_every, once, by timing "
        "a few steps. 0: as --epochs says.",
        stages=_PRE,
        minimum=0.0,
        is_identity=False,
        smoke=0.0,
    )
    on_nan: str = setting(
        "stop",
        "What follows a NaN or infinity in a loss, gradient or weight: the run stops, or goes back "
        "to the last good checkpoint and leaves out the steps since (at most three times).",
        stages=_TRAIN,
        choices=("stop", "rollback"),
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
        False,
        "Shrink everything to seconds: few images, two steps, a narrow network. What the command "
        "line itself sets stays, and so do folders of pictures.",
    )


# By the name that a `Config` has them under.
SHARED_SECTIONS = {
    "run": RunSettings,
    "data": DataSettings,
    "network": NetworkSettings,
    "objective": ObjectiveSettings,
    "attack": AttackSettings,
    "optimization": OptimizationSettings,
    "finetuning": FinetuneSettings,
    "evaluation": EvaluationSettings,
}
