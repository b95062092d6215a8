"""Selfie, adversarial: which of the hidden patches belongs at this place?

An image is cut into 4 x 4 patches, and `num_patches_masked` of them are hidden. From the
visible ones an attention network makes a query q_m for each hidden place m, which is to
find the patch h_m of that place among the hidden patches of the image:

    L(x) = -1/|M| * sum_{m in M} log( exp(q_m.h_m / sqrt(F)) / sum_{k in M} exp(q_m.h_k / sqrt(F)) )

    minimized: 1/2 * ( L(x) + L(x + d) ),  d maximizes L

F is the width of the features. Trinh, Luong, Le: Selfie, 2019, arXiv:1906.02940; adversarial
in Chen et al.: Adversarial robustness: from self-supervised pre-training to fine-tuning, CVPR
2020, arXiv:2003.12862. No labels are used. All passes use the adversarial branch; natural
and perturbed images are two passes, each with batch statistics of its own.

Differs from the authors' code: docs/differences.md.
"""

import math

import tensorflow as tf

from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.losses.inputs import at_least_float32
from ascl_tf.methods import pretext
from ascl_tf.methods.base import Method
from ascl_tf.methods.step_data import Outputs, Purpose, Term, make_weak_view
from ascl_tf.models import ADVERSARIAL
from ascl_tf.models.attention import PatchQueries


class Selfie(Method):
    """Patch identification on natural and on adversarial images."""

    has_classifier = False
    reports_robust_accuracy = False
    term_names = ("clean_loss", "adversarial_loss")

    def build(self, input_shape):
        pretext.check_image_shape("selfie", input_shape, has_patches=True)
        super().build(input_shape)
        self.feature_shape(pretext.patch_shape(input_shape))  # Raises if it takes no patches.
        queries_shape = (None, None, self.encoder.feature_dim)
        self.patch_queries = self.add_part(make_patch_queries(self.config), queries_shape)

    def make_views(self, batch):
        return {
            "images": make_weak_view(batch, self.config.weak_augmentation),
            "patch_orders": pretext.draw_patch_orders(batch.seeds(Purpose.PATCHES)),
            "seed_pretext": batch.seeds(Purpose.ATTACK_PRETEXT),
        }

    def make_adversarial(self, views):
        perturbed = self.perturb(
            lambda x: self._task_losses(x, views, training=False),
            views["images"],
            num_steps=self.config.num_steps_pretext,
            seed=views["seed_pretext"],
        )
        return {"images_pretext": perturbed}

    def forward(self, views, adversarial):
        # Twice the adversarial branch with batch statistics; its statistics move twice.
        clean = self._task_losses(views["images"], views, training=True)
        perturbed = self._task_losses(adversarial["images_pretext"], views, training=True)
        return Outputs({"clean_loss": Term(clean, 0.5), "adversarial_loss": Term(perturbed, 0.5)})

    def _task_losses(self, images, views, *, training):
        return patch_losses(
            self.encoder,
            self.patch_queries,
            images,
            views["patch_orders"],
            num_masked=self.config.num_patches_masked,
            training=training,
        )


def make_patch_queries(config):
    """Returns the unbuilt attention network that `config` describes."""
    return PatchQueries(config.num_attention_layers, name="patch_queries")


def patch_losses(encoder, patch_queries, images, patch_orders, *, num_masked, training):
    """Returns Selfie's loss L(x) of each image, float [B].

    Args:
        encoder: patches -> features; called on all patches at once, adversarial branch.
        patch_queries: (features of visible patches, hidden places) -> queries.
        images: [B, H, W, 3], H and W multiples of 4.
        patch_orders: int32 [B, 16]; the first `num_masked` places of each row are hidden.
        num_masked: Python int.
        training: the encoder's mode.
    """
    patches = pretext.split_patches(images)  # [B, 16, h, w, 3]
    rows = tf.reshape(patches, [-1, *patches.shape[2:]])  # [16B, h, w, 3], image-major
    features = encoder(rows, branch=ADVERSARIAL, training=training)
    features = tf.reshape(features, [-1, pretext.NUM_PATCHES, features.shape[-1]])
    features = tf.gather(features, patch_orders, batch_dims=1)
    hidden, visible = features[:, :num_masked], features[:, num_masked:]
    queries = patch_queries(visible, patch_orders[:, :num_masked])
    return _identification_losses(at_least_float32(queries), at_least_float32(hidden))


def _identification_losses(queries, patches):
    """Cross-entropy of finding patch m by query m, mean over m; both [B, M, F], result [B]."""
    num_masked, feature_dim = patches.shape[1:]
    logits = tf.matmul(queries, patches, transpose_b=True) / math.sqrt(feature_dim)  # [B, M, M]
    right = tf.tile(tf.range(num_masked), [tf.shape(logits)[0]])
    losses = cross_entropy_loss(tf.reshape(logits, [-1, num_masked]), right)
    return tf.reduce_mean(tf.reshape(losses, [-1, num_masked]), axis=1)
