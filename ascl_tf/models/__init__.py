"""Networks: images in [0, 1] to features, projections and logits."""

from ascl_tf.models.batch_norm import (
    ADVERSARIAL,
    ADVERSARIAL_CE,
    BRANCHES,
    CLEAN,
    DualBatchNormalization,
)
from ascl_tf.models.branches import batch_norm_branch, with_dual_batch_norm
from ascl_tf.models.classifier import Classifier
from ascl_tf.models.heads import LinearHead, ProjectionHead
from ascl_tf.models.preactivation import PreActResNet, WideResNet
from ascl_tf.models.resnet import ResNet, resnet18

__all__ = [
    "ADVERSARIAL",
    "ADVERSARIAL_CE",
    "BRANCHES",
    "CLEAN",
    "Classifier",
    "DualBatchNormalization",
    "LinearHead",
    "PreActResNet",
    "ProjectionHead",
    "ResNet",
    "WideResNet",
    "batch_norm_branch",
    "resnet18",
    "with_dual_batch_norm",
]
