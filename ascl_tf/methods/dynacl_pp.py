"""DynACL++: what DynACL has learned, adapted by adversarial training on pseudo-labels.

    1. k-means with as many clusters as there are classes, on the features of the training
       images in the branch `clean` of the encoder of `--initial_encoder`: pseudo-labels
    2. linear probing: a head on that encoder's features in the branch `adversarial`
    3. TRADES of encoder and head on the pseudo-labels y (`trades_beta`, `num_steps_at`):
       mean of CE(f(x), y) + beta * KL(f(x) || f(x + d)), d raises the KL; a pass of x, then
       one of x + d, each with batch statistics of its own

Luo et al. 2023, arXiv:2303.01289; PKU-ML/DYNACL, assign_label.py, LPAFT.py. x is the weak view
of an image. All passes of 3 use the branch `adversarial`; the branch `clean` stays as the
initial encoder had it. The head is the part `pseudo_label_head`; fine-tuning starts from the
encoder alone, with a new head for the true labels, which are not used here. The initial
encoder should come from a method that trains both branches (acl, dynacl).

Differs from the authors' code: docs/differences.md.
"""

from ascl_tf.errors import RunError
from ascl_tf.methods.linear_probe import compute_features, fit_linear_probe
from ascl_tf.methods.supervised import Trades
from ascl_tf.models import ADVERSARIAL, CLEAN, LinearHead

# Gradient descent for a time T is about as strong as a decay of 1/T: the authors' probe makes
# 880 steps at a rate of 0.01, which a momentum of 0.9 makes ten times as long; T is 88.
PROBE_WEIGHT_DECAY = 0.01


class DynAclPlusPlus(Trades):
    """The second half of DynACL++, from a pre-trained encoder on."""

    has_classifier = False
    reports_robust_accuracy = False
    preparations = ("pseudo_labels",)
    pseudo_label_setting = "initial_encoder"
    pseudo_label_branch = CLEAN

    def build(self, input_shape):
        super().build(input_shape)
        if self.num_classes < 2:
            raise RunError(
                field="dataset",
                value=self.config.dataset,
                expected="classes, whose number `method=dynacl_pp` takes for its clusters",
                found=self.num_classes,
            )
        head = LinearHead(self.num_classes, name="pseudo_label_head")
        self.pseudo_label_head = self.add_part(head, self.feature_shape(input_shape))

    @property
    def pseudo_label_counts(self):
        return (self.num_classes,)

    def initialize(self, features, pseudo_labels, images):
        # Of the branch that is trained, unlike the features that were clustered.
        features = compute_features(self.encoder, images, branch=ADVERSARIAL)
        kernel, bias = fit_linear_probe(
            features, pseudo_labels[:, 0], weight_decay=PROBE_WEIGHT_DECAY
        )
        self.pseudo_label_head.dense.kernel.assign(kernel)
        self.pseudo_label_head.dense.bias.assign(bias)

    def make_views(self, batch):
        return {**super().make_views(batch), "labels": batch.pseudo_labels[:, 0]}

    def logits(self, images, *, branch, training):
        """Returns logits of the clusters, [N, C]."""
        return self.pseudo_label_head(self.encoder(images, branch=branch, training=training))

    def forward(self, views, adversarial):
        # What is right about pseudo-labels is no accuracy.
        return super().forward(views, adversarial)._replace(robust_logits=None)
