"""Networks: images in [0, 1] to features, projections and logits."""

from ascl_tf.models.batch_norm import ADVERSARIAL, BRANCHES, CLEAN, DualBatchNormalization
from ascl_tf.models.classifier import Classifier
from ascl_tf.models.heads import LinearHead, ProjectionHead
from ascl_tf.models.resnet import ResNet, resnet18

__all__ = [
    "ADVERSARIAL",
    "BRANCHES",
    "CLEAN",
    "Classifier",
    "DualBatchNormalization",
    "LinearHead",
    "ProjectionHead",
    "ResNet",
    "resnet18",
]
