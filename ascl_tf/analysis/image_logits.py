"""Logits of many images as one array, without attack or under PGD."""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.analysis.landscape_inputs import as_landscape_inputs
from ascl_tf.attacks import linf_pgd
from ascl_tf.losses import cross_entropy_loss

# Keeps these draws apart from others with the same seed.
_RANDOM_STREAM = 0xCA11


def logits_of(logits_fn, images, labels, *, attack=None, seed=0, batch_size=250, progress=None):
    """Returns the logits of all images, NumPy float32 [N, num_classes].

    Args:
        logits_fn: what `ascl_tf.attacks.logits.as_logits_function` takes.
        images: [N, H, W, C], float in [0, 1].
        labels: int [N], what an attack leads away from.
        attack: None, or the settings `epsilon`, `step_size`, `num_steps` and `random_start` of
            `ascl_tf.attacks.linf_pgd`, which then raises the cross-entropy of every image.
        seed: Python int; the start of an image belongs to (seed, place in `images`).
        batch_size: images at once, Python int >= 1.
        progress: callable (images done, images to do), or None.

    Raises:
        ValueError: if an argument is not as above.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be >= 1; received {batch_size}.")
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    stream = tf.constant([seed, _RANDOM_STREAM], tf.int32)
    seeds = randomness.position_seeds(stream, tf.range(len(images)))

    def batch_logits(images, labels, seeds):
        if attack is not None:
            images = linf_pgd(
                lambda perturbed: cross_entropy_loss(logits_fn(perturbed), labels),
                images,
                seed=seeds,
                **attack,
            )
        return logits_fn(images)

    signature = [
        tf.TensorSpec([None, *images.shape[1:]], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, 2], tf.int32),
    ]
    traced = tf.function(batch_logits, autograph=False, input_signature=signature)
    logits = []
    for begin in range(0, len(images), batch_size):
        rows = slice(begin, begin + batch_size)
        logits.append(traced(images[rows], labels[rows], seeds[rows]).numpy())
        if progress is not None:
            progress(min(begin + batch_size, len(images)), len(images))
    return np.concatenate(logits)
