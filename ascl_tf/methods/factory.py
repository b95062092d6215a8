"""From a config to a method: the one table of names."""

from ascl_tf.config import METHODS
from ascl_tf.methods.ascl import Ascl
from ascl_tf.methods.finetune import FineTune
from ascl_tf.methods.supervised import AdversarialTraining, Mart, Standard, Trades
from ascl_tf.models import LinearHead, ProjectionHead, ResNet

PRETRAIN_METHODS = {
    "ascl": Ascl,
    "standard": Standard,
    "at": AdversarialTraining,
    "trades": Trades,
    "mart": Mart,
}
if set(PRETRAIN_METHODS) != set(METHODS):
    raise ImportError("config.METHODS and factory.PRETRAIN_METHODS name different methods")


def make_pretrain_method(config, *, num_classes, image_shape):
    """Returns the built method of `--stage=pretrain`; call it inside the strategy's scope."""
    encoder = make_encoder(config)
    heads = {"linear_head": LinearHead(num_classes, name="linear_head")}
    if not config.is_one_shot:
        heads["projection_head"] = ProjectionHead(
            hidden_dim=encoder.feature_dim,
            projection_dim=config.projection_dim,
            batch_norm=config.batch_norm,
            name="projection_head",
        )
    method = PRETRAIN_METHODS[config.method](encoder=encoder, config=config, **heads)
    method.build((None, *image_shape))
    return method


def make_finetune_method(config, *, num_classes, image_shape):
    """Returns the built method of `--stage=finetune`, with a fresh zero-initialised head."""
    method = FineTune(
        encoder=make_encoder(config),
        linear_head=LinearHead(num_classes, name="linear_head"),
        config=config,
    )
    method.build((None, *image_shape))
    return method


def make_encoder(config):
    """Returns the unbuilt encoder that `config` describes."""
    return ResNet(config.depth, config.width, config.batch_norm, name="encoder")
