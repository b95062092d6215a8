"""From a config to a built method."""

from ascl_tf.methods.finetune import FineTune
from ascl_tf.models import LinearHead, ProjectionHead, ResNet


def make_pretrain_method(config, *, num_classes, image_shape, steps_per_epoch=1, encoder=None):
    """Returns the built method of `--stage=pretrain`; call it inside the strategy's scope.

    `encoder` is unbuilt, see `Method`; None: the one that `config` describes.
    """
    chosen = config.method_spec.load_class()
    encoder = make_encoder(config.network) if encoder is None else encoder
    heads = {}
    if chosen.has_classifier:
        heads["linear_head"] = LinearHead(num_classes, name="linear_head")
    if chosen.has_projection_head:
        heads["projection_head"] = make_projection_head(config.network, encoder.feature_dim)
    method = chosen(
        encoder=encoder,
        config=config,
        steps_per_epoch=steps_per_epoch,
        num_classes=num_classes,
        **heads,
    )
    method.build((None, *image_shape))
    return method


def make_projection_head(network, feature_dim):
    """Returns the unbuilt projection head that `network` describes."""
    # "hidden_shared" is "hidden" with one set for all images, whatever the encoder has.
    layers, _, is_shared = network.projection_batch_norm.partition("_")
    return ProjectionHead(
        hidden_dim=network.projection_hidden_dim or feature_dim,
        projection_dim=network.projection_dim,
        batch_norm="shared" if is_shared else network.batch_norm,
        num_layers=network.projection_layers,
        normalized_layers=layers,
        name="projection_head",
    )


def make_finetune_method(config, *, num_classes, image_shape, encoder=None):
    """Returns the built method of `--stage=finetune`, with a fresh zero-initialized head.

    `encoder` is unbuilt, see `Method`; None: the one that `config` describes.
    """
    method = FineTune(
        encoder=make_encoder(config.network) if encoder is None else encoder,
        linear_head=LinearHead(num_classes, name="linear_head"),
        config=config,
        # Keras would number it by what the process has made before; variables bear the name.
        name="fine_tune",
    )
    method.build((None, *image_shape))
    return method


def make_encoder(network):
    """Returns the unbuilt encoder that `network` describes."""
    return ResNet(network.depth, network.width, network.batch_norm, name="encoder")
