"""Objectives as float64 loops over a method's own logits and projections."""

import math

import numpy as np
import tensorflow as tf

from tests.losses.contrastive_oracles import ascl_oracle, nt_xent_oracle


def softmax(row):
    exponents = np.exp(np.float64(row) - np.max(row))
    return exponents / exponents.sum()


def cross_entropy(logits, labels):
    """Minus the log-probability of each labeled row's class."""
    rows = zip(logits, labels, strict=True)
    return [-np.log(softmax(row)[label]) for row, label in rows if label >= 0]


def divergence(natural, adversarial):
    """KL of each row's natural from its adversarial probabilities."""
    pairs = [(softmax(n), softmax(a)) for n, a in zip(natural, adversarial, strict=True)]
    return [sum(p[k] * np.log(p[k] / q[k]) for k in range(len(p))) for p, q in pairs]


def trades(natural, adversarial, labels, beta):
    """Cross-entropy plus beta times the divergence, per labeled row."""
    pairs = zip(divergence(natural, adversarial), labels, strict=True)
    spread = [d for d, label in pairs if label >= 0]
    return [c + beta * d for c, d in zip(cross_entropy(natural, labels), spread, strict=True)]


def mart(natural, adversarial, labels, beta):
    """Boosted cross-entropy plus beta times the weighted divergence, per labeled row."""
    losses = []
    for n, a, d, label in zip(
        natural, adversarial, divergence(natural, adversarial), labels, strict=True
    ):
        if label >= 0:
            p, q = softmax(n), softmax(a)
            strongest_other = max(q[k] for k in range(len(q)) if k != label)
            # 1.0001: the published code's guard.
            boosted = -np.log(q[label]) - np.log(1.0001 - strongest_other)
            losses.append(boosted + beta * d * (1 - p[label]))
    return losses


def mean(losses):
    return float(np.mean(losses)) if len(losses) else 0.0


def contrastive(adversarial_views, clean, config):
    """The self-supervised term in the mode of `config`."""
    if config.cl_mode == "a2s":
        pair = np.concatenate([adversarial_views, clean[len(clean) // 2 :]])
        return mean(nt_xent_oracle(pair, config.temperature))
    both = mean(nt_xent_oracle(adversarial_views, config.temperature))
    if config.cl_mode == "a2a":
        return both
    return (both + mean(nt_xent_oracle(clean, config.temperature))) / 2


def supervised(clean, adversarial, labels, config):
    """The supervised adversarial term: mean over the clean views of labeled images."""
    per_anchor = ascl_oracle(
        np.float64(clean),
        np.float64(adversarial),
        labels,
        config.temperature,
        config.ascl_denominator,
        config.ascl_positives,
    )
    return mean([per_anchor[i] for i in range(len(per_anchor)) if labels[i % len(labels)] >= 0])


def patches(method, images, orders, *, num_masked, training):
    """Selfie's loss of each image: patches cut one by one, places in the order of the image."""
    cells = []
    for place in range(16):  # Patch-major, other than in the code under test.
        top, left = 2 * (place // 4), 2 * (place % 4)
        cells.append(images[:, top : top + 2, left : left + 2])
    stacked = tf.constant(np.concatenate(cells))
    features = method.encoder(stacked, branch="adversarial", training=training).numpy()
    features = features.reshape(16, len(images), -1)
    losses = []
    for i, order in enumerate(orders):
        hidden, visible = sorted(order[:num_masked]), sorted(order[num_masked:])
        seen = tf.constant(np.stack([features[p, i] for p in visible])[None])
        places = tf.constant(np.array(hidden, np.int32)[None])
        queries = np.float64(method.patch_queries(seen, places)[0].numpy())
        hidden_patches = np.float64([features[p, i] for p in hidden])
        losses_of_image = []
        for m in range(num_masked):
            scores = [queries[m] @ patch / math.sqrt(len(patch)) for patch in hidden_patches]
            losses_of_image.append(cross_entropy([scores], [m])[0])
        losses.append(np.mean(losses_of_image))
    return np.array(losses)
