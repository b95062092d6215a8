"""The attack of a classification term: PGD, or FGSM with a random start.

FGSM-RS (Wong, Rice and Kolter 2020, arXiv:2001.03994): from a uniform point of the ball one step
of 1.25 radii along the sign of the gradient, projected on ball and box. It costs 2 forward
passes where PGD-10 costs 20.

A network can learn to withstand this one step alone (catastrophic overfitting). What is on the
lookout for that is training/overfitting.py; it calls `switch_to_pgd`, and from the next step on
the attack is PGD with `num_steps_at` steps, from which the network recovers (Li et al. 2020,
arXiv:2006.03089, who go back to one step after a few batches; here PGD stays).
"""

import tensorflow as tf


class AtAttack:
    """How a method attacks its classification term.

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
