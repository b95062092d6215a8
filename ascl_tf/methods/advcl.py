"""AdvCL: contrast of adversarial, strong and high-frequency views, and pseudo-labels.

    L_CL(x + d_cl, v1, v2, h(x)) + w * 1/M sum_m CE_m(x + d_ce)

Fan et al. 2021, arXiv:2111.01124; published code: LijieFan/AdvCL. x is the weak view of an
image, v1 and v2 are its strong views, h(x) is x without its low frequencies. L_CL is the
supervised contrastive loss without labels: mean over all four views as anchors, positives
are the other three views of the same image. CE_m is the cross-entropy of a linear head on the
features, with the clusters of the m-th k-means as classes. d_cl raises L_CL and d_ce raises
the CE terms; either loss depends on one of the two perturbations only, so that two attacks,
as here, are the one attack on the sum.

x + d_cl goes through the branch `adversarial`, x + d_ce through `adversarial_ce` (a set of its
own under batch_norm=triple), the three views without perturbation through `clean`. Each of the
five images is a pass with batch statistics of its own, in the order x + d_cl, x + d_ce, v1, v2,
h(x), in which moving statistics move too. With advcl_ce_weight=0 there are neither pseudo-labels
nor heads.

Differs from the authors' code: docs/differences.md.
"""

import tensorflow as tf

from ascl_tf.data.image_ops import high_frequency_component
from ascl_tf.losses.multi_view import clustering_loss, multi_view_contrastive_loss
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_strong_views, make_weak_view
from ascl_tf.models import ADVERSARIAL, ADVERSARIAL_CE, CLEAN
from ascl_tf.models.heads import PseudoLabelHeads

NUM_VIEWS = 4


class AdvCl(Method):
    """AdvCL pre-training."""

    has_classifier = False
    has_projection_head = True
    reports_robust_accuracy = False
    preparations = ("pseudo_labels",)

    def build(self, input_shape):
        super().build(input_shape)
        if self.has_pseudo_labels:
            heads = PseudoLabelHeads(self.config.cluster_counts, name="pseudo_label_heads")
            self.pseudo_label_heads = self.add_part(heads, self.feature_shape(input_shape))

    @property
    def has_pseudo_labels(self):
        """Whether the objective has the pseudo-label term."""
        return self.config.advcl_ce_weight > 0

    @property
    def term_names(self):
        return ("cl_loss", "ce_loss") if self.has_pseudo_labels else ("cl_loss",)

    @property
    def pseudo_label_counts(self):
        return self.config.cluster_counts if self.has_pseudo_labels else ()

    @property
    def trained_branches(self):
        own = (ADVERSARIAL_CE,) if self.has_pseudo_labels else ()
        return (ADVERSARIAL, CLEAN, *own)

    def _idle_variables(self, layer):
        idle = super()._idle_variables(layer)
        if layer is not self.projection_head:
            return idle
        # No image that attacks pseudo-labels comes by here.
        sets = [getattr(m, "branches", {}).get(ADVERSARIAL_CE) for m in layer._flatten_layers()]
        return idle + [v for s in sets if s is not None for v in s.trainable_variables]

    def make_views(self, batch):
        images = make_weak_view(batch, self.config.weak_augmentation)
        radius = self.config.high_frequency_radius
        views = {
            "images": images,  # [B, H, W, 3]
            "stacked_views": make_strong_views(
                batch, self.config.data
            ),  # [2B, H, W, 3], view-major
            "high_frequency": high_frequency_component(images, radius=radius),  # [B, H, W, 3]
            "seed_cl": batch.seeds(Purpose.ATTACK_CL_0),
        }
        if self.has_pseudo_labels:
            views["pseudo_labels"] = batch.pseudo_labels
            views["seed_ce"] = batch.seeds(Purpose.ATTACK_CE)
        return views

    def make_adversarial(self, views):
        adversarial = {"images_cl": self._perturb_for_contrast(views)}
        if self.has_pseudo_labels:
            adversarial["images_ce"] = self._perturb_for_pseudo_labels(views)
        return adversarial

    def forward(self, views, adversarial):
        # Adversarial branch, batch statistics; the adversarial branch's statistics move.
        perturbed = self.projections(adversarial["images_cl"], branch=ADVERSARIAL, training=True)
        ce_term = self._ce_term(views, adversarial)
        # Clean branch, batch statistics of each view alone: h(x) has mean zero, v1 and v2 have
        # not; the clean branch's statistics move three times.
        clean = [self.projections(v, branch=CLEAN, training=True) for v in _clean_views(views)]
        terms = {"cl_loss": Term(self._contrast(perturbed, tf.concat(clean, axis=0)))}
        return Outputs({**terms, **ce_term}, projections=perturbed)

    def _ce_term(self, views, adversarial):
        """The term of the pseudo-labels, in a dict that is empty without them."""
        if not self.has_pseudo_labels:
            return {}
        # Branch adversarial_ce, batch statistics; that branch's statistics move.
        ce_loss = self._clustering(adversarial["images_ce"], views["pseudo_labels"], training=True)
        return {"ce_loss": Term(ce_loss, weight=self.config.advcl_ce_weight)}

    def _perturb_for_contrast(self, views):
        """Returns x + d_cl, [B, H, W, 3]."""
        # Inference mode: what is in a pass does not matter.
        images = tf.concat(_clean_views(views), axis=0)  # [3B, H, W, 3], view-major
        clean = self.projections(images, branch=CLEAN, training=False)

        def objective(images, clean):
            perturbed = self.projections(images, branch=ADVERSARIAL, training=False)
            return self._contrast(perturbed, clean)

        return self.perturb(
            objective,
            views["images"],
            num_steps=self.config.num_steps_cl,
            seed=views["seed_cl"],
            constants=(clean,),
            gathers=True,
        )

    def _perturb_for_pseudo_labels(self, views):
        """Returns x + d_ce, [B, H, W, 3]."""
        return self.perturb(
            lambda images: self._clustering(images, views["pseudo_labels"], training=False),
            views["images"],
            num_steps=self.config.num_steps_cl,
            seed=views["seed_ce"],
        )

    def _contrast(self, perturbed, clean):
        """Returns L_CL of projections [B, D] and [3B, D], view-major; [4B]."""
        stacked = tf.concat([perturbed, clean], axis=0)
        return multi_view_contrastive_loss(
            stacked, num_views=NUM_VIEWS, temperature=self.config.temperature
        )

    def _clustering(self, images, pseudo_labels, *, training):
        """Returns the mean of the cross-entropies of all heads, [B]."""
        features = self.encoder(images, branch=ADVERSARIAL_CE, training=training)
        return clustering_loss(self.pseudo_label_heads(features), pseudo_labels)


def _clean_views(views):
    """Both strong views and the high-frequency view, three tensors [B, H, W, 3]."""
    return [*tf.split(views["stacked_views"], 2, axis=0), views["high_frequency"]]
