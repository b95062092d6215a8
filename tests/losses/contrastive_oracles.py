"""The contrastive losses as float64 loops over lists of vectors, and inputs for them."""

import itertools

import numpy as np
import pytest

from tests.losses.helpers import unit_rows

LABELS = np.array([0, 1, 0, 2, 1])  # Class 2 has a single member.
PARTLY_LABELED = np.array([0, -1, 0, 2, -1])
NUM_IMAGES = len(LABELS)
KNOBS = list(itertools.product(["joint", "clean", "adversarial"], ["cross", "all"]))
VIEWS = unit_rows(2 * NUM_IMAGES, seed=1)
PERTURBED = unit_rows(NUM_IMAGES, seed=2)
PERTURBED_VIEWS = unit_rows(2 * NUM_IMAGES, seed=3)

every_knob = pytest.mark.parametrize("denominator, positives", KNOBS)


def ratio_loss(anchor, positives, denominator, temperature):
    """Loops in float64 over explicit lists of vectors; no masks and no matrices."""
    if not positives:
        return 0.0
    total = sum(np.exp(np.dot(anchor, other) / temperature) for other in denominator)
    logs = [np.log(np.exp(np.dot(anchor, p) / temperature) / total) for p in positives]
    return -sum(logs) / len(logs)


def nt_xent_oracle(views, temperature):
    num_images = len(views) // 2
    losses = []
    for i in range(len(views)):
        partner = i + num_images if i < num_images else i - num_images
        others = [views[a] for a in range(len(views)) if a != i]
        losses.append(ratio_loss(views[i], [views[partner]], others, temperature))
    return np.array(losses)


def supervised_oracle(rows, labels, temperature):
    losses = []
    for i in range(len(rows)):
        others = [a for a in range(len(rows)) if a != i and labels[a] != -1]
        positives = [rows[p] for p in others if labels[p] == labels[i]]
        losses.append(ratio_loss(rows[i], positives, [rows[a] for a in others], temperature))
    return np.array(losses)


def ascl_oracle(views, perturbed, labels, temperature, denominator, positives):
    labeled = [n for n in range(len(labels)) if labels[n] != -1]
    losses = []
    for view, image in itertools.product(range(2), range(len(labels))):
        anchor = views[view * len(labels) + image]
        cross = [perturbed[n] for n in labeled if labels[n] == labels[image]]
        clean, clean_positives = [], []
        for v, n in itertools.product(range(2), labeled):
            if (v, n) != (view, image):
                row = views[v * len(labels) + n]
                clean.append(row)
                clean_positives += [row] if labels[n] == labels[image] else []
        adversarial = [perturbed[n] for n in labeled]
        below = {"joint": clean + adversarial, "clean": clean, "adversarial": adversarial}
        above = cross + (clean_positives if positives == "all" else [])
        above = [] if labels[image] == -1 else above
        losses.append(ratio_loss(anchor, above, below[denominator], temperature))
    return np.array(losses)


def paper_eq8_oracle(perturbed_views, views, labels, temperature):
    both = np.concatenate([labels, labels])
    losses = []
    for i in range(len(both)):
        others = [a for a in range(len(both)) if a != i and both[a] != -1]
        positives = [perturbed_views[p] for p in others if both[p] == both[i]]
        below = [views[a] for a in others]
        losses.append(ratio_loss(perturbed_views[i], positives, below, temperature))
    return np.array(losses)
