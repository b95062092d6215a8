"""Data sets in memory, their splits, batches and views."""

from ascl_tf.data.datasets import is_available, load_dataset
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.data.views import strong_view, weak_view

__all__ = ["ImageDataset", "is_available", "load_dataset", "strong_view", "weak_view"]
