"""From a config to a method: the one table of names."""

import importlib

from ascl_tf.config import METHODS
from ascl_tf.methods.finetune import FineTune
from ascl_tf.models import LinearHead, ProjectionHead, ResNet

# Imported when chosen, so that a run reads the code of its own method only.
PRETRAIN_METHODS = {
    "ascl": "ascl.Ascl",
    "standard": "supervised.Standard",
    "at": "supervised.AdversarialTraining",
    "trades": "supervised.Trades",
    "mart": "supervised.Mart",
    "rotation_at": "rotation_at.RotationAdversarialTraining",
    "scl": "scl.Scl",
    "simclr": "simclr.SimClr",
    "rocl": "rocl.Rocl",
    "acl": "acl.Acl",
    "dynacl": "dynacl.DynAcl",
    "dynacl_pp": "dynacl_pp.DynAclPlusPlus",
    "advcl": "advcl.AdvCl",
    "selfie": "selfie.Selfie",
    "selfie_dpe": "selfie_dpe.SelfieDpe",
}
if set(PRETRAIN_METHODS) != set(METHODS):
    raise ImportError("config.METHODS and factory.PRETRAIN_METHODS name different methods")


def method_class(name):
    """Returns the class of the pre-training method called `name`."""
    module, _, class_name = PRETRAIN_METHODS[name].partition(".")
    return getattr(importlib.import_module(f"ascl_tf.methods.{module}"), class_name)


def make_pretrain_method(config, *, num_classes, image_shape, steps_per_epoch=1):
    """Returns the built method of `--stage=pretrain`; call it inside the strategy's scope."""
    chosen = method_class(config.method)
    encoder = make_encoder(config)
    heads = {}
    if chosen.has_classifier:
        heads["linear_head"] = LinearHead(num_classes, name="linear_head")
    if chosen.has_projection_head:
        heads["projection_head"] = make_projection_head(config, encoder.feature_dim)
    method = chosen(
        encoder=encoder,
        config=config,
        steps_per_epoch=steps_per_epoch,
        num_classes=num_classes,
        **heads,
    )
    method.build((None, *image_shape))
    return method


def make_projection_head(config, feature_dim):
    """Returns the unbuilt projection head that `config` describes."""
    # "hidden_shared" is "hidden" with one set for all images, whatever the encoder has.
    layers, _, is_shared = config.projection_batch_norm.partition("_")
    return ProjectionHead(
        hidden_dim=config.projection_hidden_dim or feature_dim,
        projection_dim=config.projection_dim,
        batch_norm="shared" if is_shared else config.batch_norm,
        num_layers=config.projection_layers,
        normalized_layers=layers,
        name="projection_head",
    )


def make_finetune_method(config, *, num_classes, image_shape):
    """Returns the built method of `--stage=finetune`, with a fresh zero-initialised head."""
    method = FineTune(
        encoder=make_encoder(config),
        linear_head=LinearHead(num_classes, name="linear_head"),
        config=config,
        # Keras would number it by what the process has made before; variables bear the name.
        name="fine_tune",
    )
    method.build((None, *image_shape))
    return method


def make_encoder(config):
    """Returns the unbuilt encoder that `config` describes."""
    return ResNet(config.depth, config.width, config.batch_norm, name="encoder")
