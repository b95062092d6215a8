"""Classification terms on adversarial images, AT, TRADES and MART, and how they are attacked.

Each is a loss of the adversarial (and, for TRADES and MART, the natural) logits, and
the objective that its attack raises. Used by the one-shot methods, by ASCL's
outer loss, and by adversarial fine-tuning.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ascl_tf.losses import classification
from ascl_tf.methods.unlabeled import cross_entropy_or_divergence, natural_logits_if_unlabeled
from ascl_tf.models import ADVERSARIAL


class OuterLoss(NamedTuple):
    """A classification term.

    per_example: (natural_logits or None, adversarial_logits, labels) -> [B].
    attack_objective: (natural_logits, adversarial_logits, labels) -> [B], maximized.
    needs_natural: whether `per_example` uses natural logits.
    attack_needs_natural: whether the attack does where every label is known; they are constant,
        computed once.
    """

    per_example: Callable
    attack_objective: Callable
    needs_natural: bool
    attack_needs_natural: bool


def make_outer_loss(name, *, trades_beta, mart_beta):
    """Returns the `OuterLoss` called `name`: "at", "trades" or "mart"."""
    makers = {
        "at": lambda: OuterLoss(_madry, _cross_entropy, False, False),
        "trades": lambda: OuterLoss(_make_trades(trades_beta), _divergence, True, True),
        "mart": lambda: OuterLoss(_make_mart(mart_beta), _cross_entropy, True, False),
    }
    if name not in makers:
        raise ValueError(f"`name` must be one of {sorted(makers)}; received {name!r}.")
    return makers[name]()


def perturb_for_outer_loss(
    method,
    outer_loss,
    views,
    *,
    num_steps,
    natural_branch=ADVERSARIAL,
    natural_logits=None,
    perturb=None,
):
    """Returns adversarial images that raise the outer loss' attack objective.

    Inference mode, adversarial branch. The natural logits of a KL objective are those of
    `natural_branch`; they are constant and computed once, or given. So are those of a
    cross-entropy where a label is missing. `perturb` stands in for `method.perturb`.
    """
    images, labels = views["images"], views["labels"]
    if natural_logits is None and outer_loss.attack_needs_natural:
        natural_logits = method.logits(images, branch=natural_branch, training=False)
    elif natural_logits is None:
        natural_logits = natural_logits_if_unlabeled(method, images, labels)

    def objective(x):
        logits = method.logits(x, branch=ADVERSARIAL, training=False)
        return outer_loss.attack_objective(natural_logits, logits, labels)

    perturb = method.perturb if perturb is None else perturb
    return perturb(objective, images, num_steps=num_steps, seed=views["seed_at"])


def outer_loss_logits(
    method, outer_loss, views, adversarial, *, training, natural_branch=ADVERSARIAL
):
    """Returns (natural or None, adversarial) logits [B, C], each of a pass of its own.

    The natural images, where the loss needs them, pass first, then the adversarial ones. In
    training mode neither pass sees the other's batch statistics, whatever the branch, and moving
    statistics move in that order: the order of MART's, ACL's and DynACL's code.
    """
    natural_logits = None
    if outer_loss.needs_natural:
        natural_logits = method.logits(views["images"], branch=natural_branch, training=training)
    perturbed = adversarial["images_at"]
    return natural_logits, method.logits(perturbed, branch=ADVERSARIAL, training=training)


def _madry(natural_logits, adversarial_logits, labels):
    return classification.cross_entropy_loss(adversarial_logits, labels)


def _make_trades(beta):
    def trades(natural_logits, adversarial_logits, labels):
        return classification.trades_loss(natural_logits, adversarial_logits, labels, beta=beta)

    return trades


def _make_mart(beta):
    def mart(natural_logits, adversarial_logits, labels):
        return classification.mart_loss(natural_logits, adversarial_logits, labels, beta=beta)

    return mart


def _cross_entropy(natural_logits, adversarial_logits, labels):
    return cross_entropy_or_divergence(adversarial_logits, natural_logits, labels)


def _divergence(natural_logits, adversarial_logits, labels):
    return classification.kl_divergence(natural_logits, adversarial_logits)


class AtAttack:
    """How a method attacks its classification term: PGD, or FGSM with a random start.

    FGSM-RS (Wong, Rice and Kolter 2020, arXiv:2001.03994): from a uniform point of the ball one
    step of 1.25 radii along the sign of the gradient, projected on ball and box. It costs 2 forward
    passes where PGD-10 costs 20.

    A network can learn to withstand this one step alone (catastrophic overfitting). What is on the
    lookout for that is training/overfitting.py; it calls `switch_to_pgd`, and from the next step on
    the attack is PGD with `num_steps_at` steps, from which the network recovers (Li et al. 2020,
    arXiv:2006.03089, who go back to one step after a few batches; here PGD stays).

    Args:
        method: a `Method` whose config has been set; make it in the strategy's scope.
    """

    def __init__(self, method):
        self._method = method
        self.is_fast = method.config.at_attack == "fgsm_rs"
        # A variable, so that a compiled step sees the switch.
        self._uses_pgd = tf.Variable(False, trainable=False) if self.is_fast else None

    def perturb(self, objective, images, *, num_steps, **settings):
        """Returns perturbed images, as `Method.perturb` does; `num_steps` are those of PGD."""
        perturb, config = self._method.perturb, self._method.config

        def by_pgd():
            return perturb(objective, images, num_steps=num_steps, **settings)

        def by_fgsm():
            step_size = config.fgsm_step_ratio * float(config.epsilon)
            return perturb(objective, images, num_steps=1, step_size=step_size, **settings)

        return tf.cond(self._uses_pgd, by_pgd, by_fgsm) if self.is_fast else by_pgd()

    def switch_to_pgd(self):
        """Attacks by PGD from the next step on."""
        self._uses_pgd.assign(True)
