"""Settings that all methods share, by topic: data, network, attacks, optimization, stages.

Those of single methods are beside the methods, in `ascl_tf/methods/*_spec.py`.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

from ascl_tf.config import networks
from ascl_tf.config.paths import DATASET, PATH, SOURCE
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
# The data set that the package carries.
BUNDLED = "bundled"


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
    """Training and test data."""

    dataset: str = setting(
        "auto",
        "Data set: any tensorflow-datasets name (cifar10, cifar100, stl10, ...); folder:/path; "
        "bundled, which is 4,000 training and 1,000 test images of CIFAR-10; or auto, which is "
        "cifar10 if available, else bundled.",
        path=DATASET,
        smoke=BUNDLED,
    )
    train_split: str = setting("train", "Split to train on.", stages=_TRAIN, smoke="train")
    validation_split: str = setting(
        "",
        "Split to validate on. Empty: the val or validation split of a folder that has one "
        "beside its test split; otherwise --validation_fraction of the training images.",
        stages=_TRAIN,
        smoke="",
    )
    test_split: str = setting(
        "auto",
        "Split to test on. auto: test, or val or validation if there is no test split.",
        stages=(EVALUATE, EXPORT),
        is_identity=False,
        smoke="auto",
    )
    test_fraction: float = setting(
        0.2,
        "Share of the pictures to hold out for testing if a folder does not define splits, "
        "class-balanced, with at least one picture of every class that has two. 0: hold out "
        "none.",
        minimum=0.0,
        maximum=0.9,
    )
    split_seed: int = setting(
        0,
        "Seed that selects the pictures that --test_fraction holds out. It is independent of "
        "--seed, so runs with different seeds are tested on the same pictures.",
        minimum=0,
        maximum=2**31 - 1,
    )
    data_dir: str = setting(
        "",
        "Folder of data sets in TFDS layout. Empty: the TFDS default.",
        path=PATH,
        is_identity=False,
    )
    download: bool = setting(
        False, "Download the data set if --data_dir does not contain it.", is_identity=False
    )
    image_size: int = setting(
        0,
        "Resize images to this height and width, with antialiasing. 0: keep the original size, "
        "but resize a folder with pictures of several sizes to 32, 64, 128 or 224, the largest "
        "that does not exceed the median shorter side.",
        minimum=0,
        smoke=16,
    )
    resize: str = setting(
        "crop",
        "How to resize images that are not square. crop: keep the center of the longer side; "
        "pad: add black borders; stretch: change the aspect ratio.",
        choices=("stretch", "crop", "pad"),
    )
    memory_limit: str = setting(
        "",
        f"Memory for the images of one split, in {SIZE_HELP}. A larger split is decoded once into "
        "a file in --cache_dir and read from there batch by batch, which does not change "
        "results. Empty: half of the free memory.",
        is_identity=False,
    )
    cache_dir: str = setting(
        "",
        "Folder for the files of splits larger than --memory_limit. Empty: ascl_tf in "
        "XDG_CACHE_HOME or ~/.cache.",
        path=PATH,
        is_identity=False,
    )
    num_train_images: int = setting(
        0, "Number of training images to use, class-balanced. 0: all.", stages=_TRAIN, minimum=0
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the training images to hold out for validation, class-balanced and selected by "
        "--seed, with at least one image of every class that has two.",
        stages=_TRAIN,
        minimum=0.0,
        maximum=0.9,
        smoke=0.25,
    )
    labeled_fraction: float = setting(
        1.0,
        "Share of the training images that keep their labels. The others are used only by terms "
        "that need no labels. Training without such a term (fine-tuning, scl, standard, and "
        "other methods with theirs off, as it is by default in at, trades and mart) uses the "
        "labeled images alone, for as many steps.",
        stages=_TRAIN,
        above=0.0,
        maximum=1.0,
    )
    unlabeled_dataset: str = setting(
        "",
        "Data set, named as in --dataset, whose training images are added without labels.",
        stages=_PRE,
        path=DATASET,
    )
    pseudo_label_classifier: str = setting(
        "",
        "Classifier whose predictions serve as labels of training images that have none: the work "
        "directory of a run, a SavedModel folder, a .keras file, or pretrained:NAME. Every method "
        "that uses labels then uses all images (robust self-training).",
        stages=_PRE,
        path=SOURCE,
        is_identity=False,
    )
    weak_augmentation: str = setting(
        "crop_flip",
        "Augmentation of the image that the adversarial terms perturb.",
        stages=_PRE,
        choices=("crop_flip", "none"),
    )
    min_crop_area: float = setting(
        0.2,
        "Smallest share of the image that the crop for a strong view covers.",
        stages=_PRE,
        above=0.0,
        maximum=1.0,
    )
    gaussian_blur: bool = setting(
        False,
        "Blur strong views, as SimCLR does for larger images. Requires tensorflow-addons.",
        stages=_PRE,
    )

    def __post_init__(self) -> None:
        read_memory_limit(self.memory_limit)


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """Network."""

    encoder: str = setting(
        "resnet",
        "Encoder, the network under the heads: resnet, preact_resnet, "
        "wide_resnet_<depth>_<factor>, or your own Keras model, given as a function "
        "(my_package.my_file:make_encoder) or as a .keras file (see docs/own_network.md).",
        path=PATH,
    )
    depth: int = setting(
        18, "Depth of the encoder: 18, 34 or 50 for resnet; 18 or 34 for preact_resnet."
    )
    width: int = setting(
        64,
        "Channels in the first stage of resnet and preact_resnet (64 as published). A wide "
        "ResNet is scaled by width/64; your own network is not scaled.",
        minimum=1,
        smoke=2,
    )
    stem: str = setting(
        "auto",
        "First layers. cifar: a 3x3 convolution; imagenet: a 7x7 convolution with stride 2, then "
        "max-pooling; auto: imagenet for images larger than 64 pixels, else cifar.",
        choices=STEMS,
    )
    initial_encoder: str = setting(
        "",
        "Encoder that pre-training starts from, and whose features dynacl_pp clusters: the work "
        "directory of a pre-training run, pretrained:NAME, or a .keras file of a classifier from "
        "this package. Empty: random weights.",
        stages=_PRE,
        path=SOURCE,
        is_identity=False,
    )
    projection_dim: int = setting(
        128, "Dimension of the projections.", stages=_PRE, minimum=1, smoke=8
    )
    projection_layers: int = setting(
        2, "Number of dense layers in the projection head.", stages=_PRE, minimum=1, maximum=3
    )
    projection_hidden_dim: int = setting(
        0,
        "Width of the hidden layers in the projection head. 0: same as the features.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=16,
    )
    projection_batch_norm: str = setting(
        "hidden",
        "Batch norm in the projection head: after its hidden layers (hidden), after all layers "
        "(all), or nowhere (none). hidden_shared: after its hidden layers, with one branch for "
        "clean and adversarial images.",
        stages=_PRE,
        choices=("hidden", "all", "none", "hidden_shared"),
    )
    batch_norm: str = setting(
        "separate",
        "Batch-norm branches: one each for clean and adversarial images (separate), or one for "
        "both (shared). triple adds a third one, for the images of advcl that attack its "
        "pseudo-labels.",
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
    """Pre-training objective (each method also has its own settings)."""

    method: str = setting(
        "ascl",
        "Pre-training method: one from this package, or your own as my_package.my_file:MyMethod "
        "(see docs/methods.md).",
    )
    class_weights: str = setting(
        "none",
        "Class weights in the classification terms, fine-tuning included. balanced: every class "
        "has the same total weight, however few images it has, and the mean weight over the "
        "training images is 1.",
        stages=_TRAIN,
        choices=("none", "balanced"),
    )
    temperature: float = setting(
        0.5,
        "Temperature of the contrastive terms: the divisor of the similarities.",
        stages=_PRE,
        above=0.0,
    )


@dataclasses.dataclass(frozen=True)
class AttackSettings:
    """Attacks in training (eq. 2)."""

    norm: str = setting(
        "linf",
        "Norm of the ball that attacks stay in: linf limits each pixel by itself, l2 the length "
        "of the whole perturbation.",
        stages=_TRAIN,
        choices=tuple(LARGEST_RADIUS),
    )
    epsilon: Fraction = setting(
        Fraction("8/255"),
        f"Radius of the ball, {RADIUS_HELP}. auto: 8/255, or 128/255 with --norm=l2.",
        is_auto=True,
        stages=_TRAIN,
    )
    step_size: Fraction = setting(
        Fraction("2/255"),
        f"Length of one attack step, {RADIUS_HELP}. auto: 2/255, or 15/255 with --norm=l2.",
        is_auto=True,
        stages=_TRAIN,
    )
    num_steps_at: int = setting(
        10,
        "Number of attack steps for the classification term.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=2,
    )
    num_steps_cl: int = setting(
        5,
        "Number of attack steps for the self-supervised term.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=2,
    )
    num_steps_ascl: int = setting(
        5,
        "Number of attack steps for the supervised contrastive term.",
        stages=_PRE,
        minimum=0,
        smoke_maximum=2,
    )
    attack_source_at: str = setting(
        "ce",
        "Loss that the attack for the classification term maximizes. With trades, ce means KL.",
        stages=_PRE,
        choices=ATTACK_SOURCES,
    )
    attack_source_cl: str = setting(
        "cl",
        "Loss that the attack for the self-supervised term maximizes.",
        stages=_PRE,
        choices=ATTACK_SOURCES,
    )
    attack_source_ascl: str = setting(
        "ascl",
        "Loss that the attack for the supervised contrastive term maximizes.",
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

    epochs: int = setting(100, "Number of pre-training epochs.", stages=_PRE, minimum=1, smoke=1)
    global_batch_size: int = setting(
        512, "Images per step, over all replicas.", stages=_TRAIN, minimum=1, smoke=16
    )
    optimizer: str = setting(
        "sgd",
        "Pre-training optimizer: SGD with momentum (sgd), or LARS, which has layer-wise learning "
        "rates (lars).",
        stages=_PRE,
        choices=("sgd", "lars"),
    )
    learning_rate: float = setting(
        0.1,
        "Pre-training learning rate. auto: the rate of the method's recipe, times the square "
        "root of the ratio of the batch size to the recipe's.",
        is_auto=True,
        stages=_PRE,
        above=0.0,
    )
    schedule: str = setting(
        "stepwise",
        "Learning-rate schedule of pre-training. stepwise: decay as --decay_at says; cosine: "
        "half a cosine down to 0.",
        stages=_PRE,
        choices=("stepwise", "cosine"),
    )
    decay_at: str = setting(
        "0.6,0.8",
        "Shares of the pre-training epochs, comma-separated, at which --schedule=stepwise "
        "multiplies the learning rate by 0.1. Empty: constant.",
        stages=_PRE,
    )
    warmup_epochs: float = setting(
        0.0,
        "Epochs over which the pre-training learning rate rises linearly from 0. auto: 5 % of "
        "all epochs if the rate is scaled to the batch size, else 0.",
        is_auto=True,
        stages=_PRE,
        minimum=0.0,
        smoke=0.0,
    )
    momentum: float = setting(
        0.9, "Momentum of the optimizer.", stages=_TRAIN, minimum=0.0, maximum=0.9999
    )
    nesterov: bool = setting(False, "Use Nesterov momentum in pre-training.", stages=_PRE)
    weight_averaging: float = setting(
        0.0,
        "Decay of an exponential moving average of the weights and batch-norm statistics. The "
        "average replaces them in validation, export and fine-tuning. The decay rises from 0 "
        "over the first steps. 0: no average.",
        stages=_TRAIN,
        minimum=0.0,
        maximum=0.999999,
    )
    lars_trust: float = setting(
        0.001, "Trust coefficient of LARS.", stages=_PRE, above=0.0, maximum=1.0
    )
    lars_rate: str = setting(
        "inside",
        "Where LARS applies the learning rate: inside its velocity, as in SimCLR, ACL and "
        "DynACL, or outside it, as in RoCL, --optimizer=sgd and PyTorch's SGD.",
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
        "Variables that decay: all trainable ones, as in PyTorch's SGD, or kernels only. LARS "
        "gives layer-wise rates to the same variables.",
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
        "Fine-tuning mode. First letter: train the linear layer only (l) or the full network "
        "(f). Second letter: on natural images (s, standard) or adversarial images (a).",
        stages=STAGES[1:],
        choices=FINETUNE_MODES,
    )
    pretrained: str = setting(
        "",
        "Encoder to fine-tune: the work directory of a pre-training run, pretrained:NAME, or a "
        ".keras file of a classifier from this package. Empty: the encoder of this run.",
        stages=_FINE,
        path=SOURCE,
        is_identity=False,
    )
    encoder_checkpoint: str = setting(
        "last",
        "Checkpoint that fine-tuning starts from. random: an untrained encoder.",
        stages=_FINE,
        choices=("last", "best", "random"),
    )
    encoder_part: str = setting(
        "encoder",
        "Which of the three encoders of selfie_dpe to fine-tune. encoder: the one trained on the "
        "selfie task.",
        stages=_FINE,
        choices=("encoder", "encoder_rotation", "encoder_jigsaw"),
    )
    finetune_epochs: int = setting(
        0,
        "Number of fine-tuning epochs. 0: as in the paper, 10 for the linear layer and 25 for "
        "the full network.",
        stages=_FINE,
        minimum=0,
        smoke=1,
    )
    finetune_learning_rate: float = setting(
        0.1,
        "Fine-tuning learning rate. auto: 0.1 times the square root of the batch size over 512.",
        is_auto=True,
        stages=_FINE,
        above=0.0,
    )
    finetune_decay_at: str = setting(
        "auto",
        "Shares of the fine-tuning epochs, comma-separated, at which the learning rate is "
        "multiplied by 0.1. Empty: constant. auto: constant for the linear layer, 0.6,0.8 for "
        "the full network.",
        stages=_FINE,
    )
    finetune_global_batch_size: int = setting(
        0,
        "Images per fine-tuning step. 0: same as --global_batch_size.",
        stages=_FINE,
        minimum=0,
        smoke_maximum=16,
    )
    finetune_weight_decay: float = setting(
        2e-4, "Coupled weight decay of fine-tuning.", stages=_FINE, minimum=0.0
    )
    finetune_natural_branch: str = setting(
        "adversarial",
        "Batch-norm branch for the natural images in faf with --finetune_loss=trades. clean "
        "follows DynACL's recipe.",
        stages=_FINE,
        choices=("adversarial", "clean"),
    )
    finetune_loss: str = setting(
        "trades", "Loss in laf and faf.", stages=_FINE, choices=("trades", "ce")
    )
    finetune_num_steps: int = setting(
        10, "Number of attack steps in laf and faf.", stages=_FINE, minimum=0, smoke_maximum=2
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
    """Validation, evaluation and export."""

    protocol: str = setting(
        "standard,pgd20,cleverhans_pgd20",
        "Evaluation protocols, comma-separated; --protocol=help lists them. A variant changes "
        "the numbers of a protocol after an @: pgd20@epsilon=4/255,num_steps=50.",
        stages=(EVALUATE,),
        is_identity=False,
    )
    num_images: int = setting(
        0,
        "Evaluate only the first N test images. 0: all.",
        stages=(EVALUATE,),
        minimum=0,
        is_identity=False,
        smoke=20,
    )
    evaluation_batch_size: int = setting(
        250,
        "Images per evaluation batch. Does not change results.",
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
        "Checkpoint of the classifier to export.",
        stages=(EXPORT,),
        choices=("best", "last"),
        is_identity=False,
    )
    export_format: str = setting(
        "saved_model",
        "Formats to export, comma-separated: saved_model; keras, made of Keras' own layers; "
        "tflite, in float32 and in 8-bit integers; onnx.",
        stages=(EXPORT,),
        is_identity=False,
    )
    num_validation_images: int = setting(
        0,
        "Number of held-out images to validate on, class-balanced. 0: all.",
        stages=_TRAIN,
        minimum=0,
        smoke=10,
    )
    validate_every: int = setting(
        1, "Validate every N epochs, and after the last one.", stages=_TRAIN, minimum=1
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
    """Run folder, devices, seed, precision, checkpoints and logs."""

    workdir: str = setting(
        "", "Folder of the run. Empty: runs/<dataset>_<method>.", path=PATH, is_identity=False
    )
    num_replicas: int = setting(
        0,
        "Number of devices to train on. 0: all GPUs, or the CPU if there are none.",
        stages=_TRAIN,
        minimum=0,
        is_identity=False,
    )
    precision: str = setting(
        "float32",
        "Precision of the network's computations in training. Weights, losses, similarities, "
        "batch-norm statistics, pixels and perturbations are always float32, and so is "
        "evaluation.",
        stages=_TRAIN,
        choices=PRECISIONS,
    )
    jit: str = setting(
        "auto",
        "Whether XLA compiles the training step. auto: on a single GPU; not on a CPU, where its "
        "convolutions are slow, nor on several devices. Results differ by rounding.",
        stages=_TRAIN,
        choices=("auto", "on", "off"),
        is_identity=False,
    )
    seed: int = setting(
        0, "Seed for initial weights, data order, views and attacks.", minimum=0, maximum=2**31 - 1
    )
    checkpoint_every: int = setting(
        200,
        "Save a checkpoint every N steps, and after each epoch.",
        stages=_TRAIN,
        minimum=1,
        is_identity=False,
    )
    minutes: float = setting(
        0.0,
        "Approximate time for all stages, in minutes. It sets --epochs and --validate_every "
        "once, by timing a few steps. 0: use --epochs.",
        stages=_PRE,
        minimum=0.0,
        is_identity=False,
        smoke=0.0,
    )
    on_nan: str = setting(
        "stop",
        "What to do about NaN or infinity in a loss, gradient or weight: stop the run, or roll "
        "back to the last good checkpoint and skip the steps since then (at most three times).",
        stages=_TRAIN,
        choices=("stop", "rollback"),
        is_identity=False,
    )
    log_every: int = setting(
        10,
        "Write TensorBoard scalars every N steps.",
        stages=_TRAIN,
        minimum=1,
        is_identity=False,
    )
    smoke: bool = setting(
        False,
        "Shrink everything to run in a minute or two: few bundled images, two steps, a narrow "
        "network. Flags set directly on the command line, not in a flagfile, keep their values, "
        "and so do folders of pictures.",
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
