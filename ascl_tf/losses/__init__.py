"""Losses: functions from tensors to one unreduced value per anchor or per image."""

from ascl_tf.losses.classification import (
    cross_entropy_loss,
    kl_divergence,
    mart_loss,
    trades_loss,
)
from ascl_tf.losses.contrastive import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
    supervised_contrastive_loss,
)
from ascl_tf.losses.gather import (
    gather_across_replicas,
    gather_views,
    global_mean,
    local_rows,
    sum_across_replicas,
)

__all__ = [
    "adversarial_pair_supervised_contrastive_loss",
    "adversarial_supervised_contrastive_loss",
    "cross_entropy_loss",
    "gather_across_replicas",
    "gather_views",
    "global_mean",
    "kl_divergence",
    "local_rows",
    "mart_loss",
    "nt_xent_loss",
    "supervised_contrastive_loss",
    "sum_across_replicas",
    "trades_loss",
]
