"""Trained models that come with the package, by name."""

import keras

from ascl_tf.config import pretrained
from ascl_tf.serving.loading import load_model


def load(name: str) -> keras.Model:
    """Returns a trained model that comes with the package.

    Its card, `ascl_tf/pretrained/<name>/README.md`, says how it was trained and how accurate and
    how robust it was found to be. Programs take the same model as `--model=pretrained:<name>` and,
    for fine-tuning on other images, `--pretrained=pretrained:<name>`.

    Args:
        name: one of `list_pretrained()`.

    Returns:
        Classifier, a Keras model: images float32 [B, H, W, 3] in [0, 1] -> logits [B, C]. Its
        attribute `encoder` gives features [B, F], and is what `finetune` takes.

    Raises:
        ValueError: if there is no such model, or its file is damaged.

    Example:
        >>> import numpy as np
        >>> classifier = load("cifar10-w16-at")
        >>> classifier(np.zeros([1, 32, 32, 3], np.float32)).shape
        TensorShape([1, 10])
        >>> classifier.encoder.feature_dim
        128
    """
    if not isinstance(name, str):
        raise ValueError(f"`name` must be text; received {type(name).__name__}.")
    return load_model(pretrained.file_of(name.removeprefix(pretrained.PREFIX))).logits_fn
