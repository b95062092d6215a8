"""The three attacks inside ASCL's objective (eq. 2), and the losses they may raise.

Inference mode throughout: perturbed images go through the adversarial branch, the
clean anchors through the clean one. The anchors are therefore constant, and are
computed once for all steps of all attacks.

`--attack_source_{at,cl,ascl}` names the loss that each attack raises:

    ce    cross-entropy (for the AT term: whatever its outer loss attacks)
    cl    NT-Xent: of the two perturbed views, or of the perturbed image and a clean view
    ascl  the supervised contrastive loss with the perturbed images as its adversarials

`--shared_perturbation` leaves out the third, or the second too; `--at_attack` is in outer_loss.py.

An image without a label is attacked by every source: where the source's loss needs labels, it
raises the loss of methods/unlabeled.py in its place.

Under eq. 8 (`--ascl_loss=adversarial_pair...`) the views are what the third attack perturbs,
and ascl is eq. 8 for whatever perturbs two views; one image alone still raises eq. 9.
"""

from typing import NamedTuple

import tensorflow as tf

from ascl_tf.losses.contrastive import nt_xent_loss
from ascl_tf.methods.unlabeled import (
    cross_entropy_or_divergence,
    natural_logits_if_unlabeled,
    with_label_free_loss,
)
from ascl_tf.models import ADVERSARIAL, CLEAN


class Constants(NamedTuple):
    """What the attacks hold constant. What no attack of the run needs is an empty tensor."""

    labels: tf.Tensor  # [B]
    clean_projections: tf.Tensor  # [2B, D], view-major
    natural_logits: tf.Tensor  # [B, C], zeros where neither a loss nor a missing label needs them
    view_logits: tf.Tensor  # [2B, C], the same of the strong views


def make_constants(method, views):
    """Returns the `Constants` of a batch, each computed once."""
    images, stacked_views, labels = (views[k] for k in ("images", "stacked_views", "labels"))
    empty = tf.zeros([0])
    projections, logits, view_logits = empty, empty, empty
    if uses_clean_projections(method):
        projections = method.projections(stacked_views, branch=CLEAN, training=False)
    if _needs_natural_logits(method):
        logits = method.logits(images, branch=ADVERSARIAL, training=False)
    elif _classifies_images(method):
        logits = natural_logits_if_unlabeled(method, images, labels)
    if _classifies_views(method):
        view_logits = natural_logits_if_unlabeled(method, stacked_views, labels)
    return Constants(labels, projections, logits, view_logits)


def perturb_for_at(method, views, constants):
    """Returns x + d_at, [B, H, W, 3]."""
    source = method.config.attack_source_at
    objective = _outer_objective if source == "ce" else _IMAGE_OBJECTIVES[source]
    return _perturb(
        method,
        objective,
        source,
        views["images"],
        constants,
        views["seed_at"],
        method.config.num_steps_at,
        perturb=method.at_attack.perturb,
    )


def perturb_for_ascl(method, views, constants):
    """Returns x + d_ascl, [B, H, W, 3]; under eq. 8 v + d_ascl, [2B, H, W, 3]."""
    config = method.config
    source = config.attack_source_ascl
    images, objective = views["images"], _IMAGE_OBJECTIVES[source]
    if method.perturbs_pair:
        images, objective = views["stacked_views"], _VIEW_OBJECTIVES[source]
    return _perturb(
        method, objective, source, images, constants, views["seed_ascl"], config.num_steps_ascl
    )


def perturb_for_cl(method, views, constants):
    """Returns the perturbed strong views: both jointly [2B, H, W, 3], or view 0 under a2s."""
    config, source = method.config, method.config.attack_source_cl
    images, seed, objective = views["stacked_views"], views["seed_cl"], _VIEW_OBJECTIVES[source]
    if config.cl_mode == "a2s":
        half = tf.shape(images)[0] // 2
        images, seed = images[:half], seed[:half]
        objective = _FIRST_VIEW_OBJECTIVES[source]
    return _perturb(method, objective, source, images, constants, seed, config.num_steps_cl)


def _perturb(method, objective, source, images, constants, seed, num_steps, perturb=None):
    perturb = method.perturb if perturb is None else perturb
    return perturb(
        lambda x, *values: objective(method, x, Constants(*values)),
        images,
        num_steps=num_steps,
        seed=seed,
        constants=tuple(constants),
        gathers=source != "ce",
    )


def uses_clean_projections(method):
    """Returns whether an attack holds projections of the clean views constant."""
    config = method.config
    sources = {config.attack_source_at} & {"cl", "ascl"}
    if method.attacks_ascl:
        sources |= _anchored_sources(method, config.attack_source_ascl, method.perturbs_pair)
    if method.attacks_cl:
        sources |= _anchored_sources(method, config.attack_source_cl, config.cl_mode != "a2s")
    return bool(sources)


def _anchored_sources(method, source, perturbs_both_views):
    """Returns the source where it needs clean anchors, else none."""
    needs = {"cl", "ascl"}
    if perturbs_both_views:
        # Each other's positives; only eq. 8's perturbed denominator has no clean part either.
        needs = {"ascl"} if method.config.ascl_loss != "adversarial_pair" else set()
    return {source} & needs


def _needs_natural_logits(method):
    """Returns whether the classification term's attack needs natural logits, labels or not."""
    return method.config.attack_source_at == "ce" and method.outer_loss.attack_needs_natural


def _classifies_images(method):
    """Returns whether an attack raises the cross-entropy of the weak view."""
    config = method.config
    of_ascl = method.attacks_ascl and config.attack_source_ascl == "ce" and not method.perturbs_pair
    return config.attack_source_at == "ce" or of_ascl


def _classifies_views(method):
    """Returns whether an attack raises the cross-entropy of strong views."""
    config = method.config
    of_ascl = method.attacks_ascl and config.attack_source_ascl == "ce" and method.perturbs_pair
    return of_ascl or (method.attacks_cl and config.attack_source_cl == "ce")


# Objectives: (method, images, constants) -> per-row losses, to be raised.


def _outer_objective(method, images, constants):
    logits = method.logits(images, branch=ADVERSARIAL, training=False)
    return method.outer_loss.attack_objective(constants.natural_logits, logits, constants.labels)


def _cross_entropy(method, images, constants):
    logits = method.logits(images, branch=ADVERSARIAL, training=False)
    return cross_entropy_or_divergence(logits, constants.natural_logits, constants.labels)


def _cross_entropy_of_views(method, images, constants):
    """Of both views, or of the first."""
    logits = method.logits(images, branch=ADVERSARIAL, training=False)
    num_rows = tf.shape(logits)[0]
    labels = tf.tile(constants.labels, [num_rows // tf.shape(constants.labels)[0]])
    return cross_entropy_or_divergence(logits, constants.view_logits[:num_rows], labels)


def _pair_with_first_view(method, images, constants):
    projections = method.projections(images, branch=ADVERSARIAL, training=False)
    return _pair_loss(method, projections, _clean_view(constants, 0))


def _pair_with_second_view(method, images, constants):
    projections = method.projections(images, branch=ADVERSARIAL, training=False)
    return _pair_loss(method, projections, _clean_view(constants, 1))


def _both_views(method, stacked_views, constants):
    projections = method.projections(stacked_views, branch=ADVERSARIAL, training=False)
    return _pair_loss(method, projections)


def _supervised(method, images, constants, partner=0):
    projections = method.projections(images, branch=ADVERSARIAL, training=False)
    clean, labels = constants.clean_projections, constants.labels
    losses = method.supervised_loss(projections, clean, labels)
    view = _clean_view(constants, partner)
    return with_label_free_loss(
        losses, lambda rows: _pair_loss(method, rows, view), projections, labels
    )


def _supervised_of_first_view(method, images, constants):
    return _supervised(method, images, constants, partner=1)


def _supervised_of_both_views(method, stacked_views, constants):
    projections = method.projections(stacked_views, branch=ADVERSARIAL, training=False)
    clean, labels = constants.clean_projections, constants.labels
    if method.perturbs_pair:
        losses = method.pair_loss(projections, clean, labels)
    else:
        halves = tf.split(projections, 2, axis=0)
        losses = sum(method.supervised_loss(half, clean, labels) for half in halves)
    return with_label_free_loss(losses, lambda rows: _pair_loss(method, rows), projections, labels)


def _pair_loss(method, *halves):
    """NT-Xent of projections [2B, D], given whole or as the two views."""
    return nt_xent_loss(tf.concat(halves, axis=0), temperature=method.config.temperature)


def _clean_view(constants, number):
    return tf.split(constants.clean_projections, 2, axis=0)[number]


_IMAGE_OBJECTIVES = {"ce": _cross_entropy, "cl": _pair_with_first_view, "ascl": _supervised}
_FIRST_VIEW_OBJECTIVES = {
    "ce": _cross_entropy_of_views,
    "cl": _pair_with_second_view,
    "ascl": _supervised_of_first_view,
}
_VIEW_OBJECTIVES = {
    "ce": _cross_entropy_of_views,
    "cl": _both_views,
    "ascl": _supervised_of_both_views,
}
