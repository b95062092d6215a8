"""How much the images of a class weigh in the classification terms."""

import numpy as np

BALANCED = "balanced"


def class_weights(kind, dataset):
    """Returns the weight of each class, NumPy float64 [C], or None where all weigh the same.

    Of N labeled images in K classes, n_c of them of class c, "balanced" gives N / (K n_c): each
    class has the same sum, and the mean over the labeled images is 1. Repeated images count as
    often as they occur, and a class without any weighs 0.

    Args:
        kind: "none" or "balanced".
        dataset: `ImageDataset`, all training images of the stage.
    """
    if kind != BALANCED or not dataset.num_labeled:
        return None
    labels = dataset.labels[dataset.labels >= 0]
    counts = np.bincount(labels, minlength=dataset.num_classes)
    share = len(labels) / np.count_nonzero(counts)
    return np.where(counts > 0, share / np.maximum(counts, 1), 0.0)
