"""SimCLR: two strong views of an image attract each other, all other images repel. No attack.

v1 and v2 are strong views, NTX is NT-Xent (eq. 4), a mean over the 2N views:

    NTX(v1, v2)

Chen et al. 2020, arXiv:2002.05709. All images go through the branch `adversarial`, the one
that fine-tuning and evaluation use.

Differs from the authors' code: docs/differences.md.
"""

from ascl_tf.losses.contrastive import nt_xent_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Term
from ascl_tf.methods.views import make_strong_views
from ascl_tf.models import ADVERSARIAL


class SimClr(Method):
    """Self-supervised contrastive pre-training on unperturbed views."""

    has_classifier = False
    has_projection_head = True
    reports_robust_accuracy = False
    term_names = ("contrastive_loss",)

    def make_views(self, batch):
        return {"stacked_views": make_strong_views(batch, self.config.data)}  # [2B, H, W, 3]

    def make_adversarial(self, views):
        return {}

    def forward(self, views, adversarial):
        # Batch statistics of both views together; the adversarial branch's statistics move.
        projections = self.projections(views["stacked_views"], branch=ADVERSARIAL, training=True)
        term = self.contrastive_term(projections, views)
        return Outputs({"contrastive_loss": term}, projections=projections)

    def contrastive_term(self, projections, views):
        """Returns the `Term` of the two views' projections [2B, D]."""
        return Term(nt_xent_loss(projections, temperature=self.config.temperature))
