"""Attacks: they receive a callable to maximise, never a model."""

from ascl_tf.attacks.pgd import linf_pgd

__all__ = ["linf_pgd"]
