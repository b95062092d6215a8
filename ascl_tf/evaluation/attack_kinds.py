"""From the `kind` of a protocol to the function that carries it out.

A new kind of attack is one entry in `ATTACKS`; its numbers go to `protocols.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.evaluation import reference_attacks
from ascl_tf.evaluation.ensembles import autoattack_outcome


class AttackKind(NamedTuple):
    """How a kind of protocol is carried out.

    Attributes:
        attack: called as (logits_fn, images, labels, protocol, seed), returns images;
            images [B, H, W, C] float32, labels int32 [B], seed int32 [B, 2].
        in_graph: whether a batch can run as one `tf.function`.
        whole_set: whether the attack goes over the data set by itself; it is then called
            as (run, protocol), see `ensembles.autoattack_outcome`.
    """

    attack: Callable
    in_graph: bool = True
    whole_set: bool = False


def _no_attack(logits_fn, images, labels, protocol, seed):
    return images


def _linf_pgd(logits_fn, images, labels, protocol, seed):
    def cross_entropy(perturbed):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits_fn(perturbed)
        )

    return linf_pgd(
        cross_entropy, images, random_start=protocol.random_start, **_steps(protocol, seed)
    )


def _make_cleverhans(kind):
    def attack(logits_fn, images, labels, protocol, seed):
        return reference_attacks.cleverhans_attack(
            kind,
            logits_fn,
            images,
            labels,
            random_start=protocol.random_start,
            **_steps(protocol, seed),
            **protocol.options,
        )

    return attack


def _steps(protocol, seed):
    return {
        "epsilon": float(protocol.epsilon),
        "step_size": float(protocol.step_size),
        "num_steps": protocol.num_steps,
        "seed": seed,
    }


ATTACKS = {
    "none": AttackKind(_no_attack),
    "linf_pgd": AttackKind(_linf_pgd),
    "autoattack": AttackKind(autoattack_outcome, in_graph=False, whole_set=True),
    **{
        f"cleverhans_{kind}": AttackKind(_make_cleverhans(kind)) for kind in reference_attacks.KINDS
    },
}
