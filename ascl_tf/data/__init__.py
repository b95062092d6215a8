"""Data sets, their splits, batches, views and corruptions."""

from ascl_tf.data.corruptions import corrupt
from ascl_tf.data.datasets import is_available, load_dataset
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.splits import with_unlabeled
from ascl_tf.data.views import strong_view, weak_view

__all__ = [
    "ImageDataset",
    "corrupt",
    "is_available",
    "load_dataset",
    "strong_view",
    "weak_view",
    "with_unlabeled",
]
