"""From a config to a built method."""

from ascl_tf.config import ENCODER_SETTINGS, NetworkSettings
from ascl_tf.config.networks import PREACT_RESNET, RESNET, is_own, parse_wide
from ascl_tf.methods.finetune import FineTune
from ascl_tf.models import LinearHead, PreActResNet, ProjectionHead, ResNet, WideResNet
from ascl_tf.models.own_encoder import as_encoder, load_own_encoder

_NETWORKS = {RESNET: ResNet, PREACT_RESNET: PreActResNet}
# The stem of a wide ResNet has 16 channels where that of a ResNet has 64.
NARROWER_STEM = 4


def make_pretrain_method(config, *, num_classes, image_shape, steps_per_epoch=1, encoder=None):
    """Returns the built method of `--stage=pretrain`; call it inside the strategy's scope.

    `encoder` is a Keras model from images to features [B, F], or an unbuilt encoder, see `Method`;
    None: the one that `config` describes.
    """
    chosen = config.method_spec.load_class()
    encoder = choose_encoder(encoder, config.network, image_shape)
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

    `encoder`: as of `make_pretrain_method`.
    """
    method = FineTune(
        encoder=choose_encoder(encoder, config.network, image_shape),
        linear_head=LinearHead(num_classes, name="linear_head"),
        config=config,
        # Keras would number it by what the process has made before; variables bear the name.
        name="fine_tune",
    )
    method.build((None, *image_shape))
    return method


def choose_encoder(encoder, network, image_shape):
    """Returns the unbuilt encoder of a method: a caller's, or the one that `network` describes.

    Args:
        encoder: a Keras model from images to features [B, F], an encoder, or None.
        network: section of the settings.
        image_shape: (H, W, C).
    """
    if encoder is None:
        return make_encoder(network, image_shape)
    return as_encoder(encoder, image_shape, network.batch_norm)


def make_encoder(network, image_shape):
    """Returns the unbuilt encoder that `network` describes, for images [H, W, C]."""
    if is_own(network.encoder):
        return load_own_encoder(network.encoder, image_shape, network.batch_norm)
    settings = {"batch_norm": network.batch_norm, "stem": network.stem_for(image_shape)}
    wide = parse_wide(network.encoder)
    if wide:
        width = max(1, network.width // NARROWER_STEM)
        return WideResNet(*wide, width, **settings, name="encoder")
    return _NETWORKS[network.encoder](network.depth, network.width, **settings, name="encoder")


def settings_of_encoder(encoder):
    """Returns the settings with which `make_encoder` makes the like; None where none do.

    Example:
        >>> settings_of_encoder(ResNet(18, 16))["width"]
        16
    """
    if isinstance(encoder, WideResNet):
        name = f"wide_resnet_{encoder.depth}_{encoder.factor}"
        sizes = {"width": encoder.width * NARROWER_STEM}
    else:
        name = next((name for name, kind in _NETWORKS.items() if type(encoder) is kind), None)
        sizes = {name: getattr(encoder, name, None) for name in ("depth", "width")}
    if name is None:
        return None
    settings = {"encoder": name, "stem": encoder.stem, "batch_norm": encoder.batch_norm, **sizes}
    network = NetworkSettings(**settings)
    settings = {name: getattr(network, name) for name in ENCODER_SETTINGS}
    return settings if _structure(make_encoder(network, None)) == _structure(encoder) else None


def _structure(encoder):
    return {
        k: v for k, v in encoder.get_config().items() if k not in ("name", "dtype", "trainable")
    }
