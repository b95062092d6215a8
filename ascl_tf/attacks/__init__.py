"""Attacks: each takes a callable to maximize or to fool, never a model."""

from ascl_tf.attacks.apgd import apgd
from ascl_tf.attacks.autoattack import AutoAttack
from ascl_tf.attacks.fab import fab_t
from ascl_tf.attacks.pgd import l2_pgd, linf_pgd
from ascl_tf.attacks.square import square

__all__ = ["AutoAttack", "apgd", "fab_t", "l2_pgd", "linf_pgd", "square"]
