"""Networks: images in [0, 1] to features, projections and logits."""

from ascl_tf.models.batch_norm import (
    ADVERSARIAL,
    ADVERSARIAL_CE,
    BRANCHES,
    CLEAN,
    DualBatchNormalization,
)
from ascl_tf.models.classifier import Classifier
from ascl_tf.models.heads import LinearHead, ProjectionHead
from ascl_tf.models.resnet import ResNet, resnet18

__all__ = [
    "ADVERSARIAL",
    "ADVERSARIAL_CE",
    "BRANCHES",
    "CLEAN",
    "Classifier",
    "DualBatchNormalization",
    "LinearHead",
    "ProjectionHead",
    "ResNet",
    "resnet18",
]
