"""A classifier in Keras' own layers alone, so that a file of it loads without this package."""

import functools

import keras

from ascl_tf.errors import RunError
from ascl_tf.models.batch_norm import ADVERSARIAL
from ascl_tf.models.branches import BranchedBatchNormalization
from ascl_tf.models.classifier import Classifier
from ascl_tf.models.convolutions import IMAGENET, PaddedConv2D
from ascl_tf.models.heads import LinearHead
from ascl_tf.models.own_encoder import OwnEncoder
from ascl_tf.models.preactivation import INPUT, PreActResNet, WideResNet
from ascl_tf.models.resnet import ResNet

L = keras.layers


def as_plain_model(model, image_shape):
    """Returns a functional Keras model images [B, H, W, 3] -> logits [B, C], with equal weights.

    Of this package's batch norm the branch of adversarial images is there, as a layer of Keras.
    The output of the layer `features` is what the classifier's last layer sees.

    Args:
        model: built `Classifier`, or a functional or Sequential Keras model.
        image_shape: (H, W, 3).

    Raises:
        RunError: if some of its layers are neither of Keras nor of this package.
    """
    if isinstance(model, Classifier):
        images = keras.Input(image_shape, name="images")
        features = _encode(model.encoder, _normalized(model, images))
        return keras.Model(images, _head(model.linear_head, features), name="classifier")
    return _replaced(model)


def _normalized(model, images):
    if model.input_mean is None:
        return images
    scale = [1 / std for std in model.input_std]
    offset = [-mean / std for mean, std in zip(model.input_mean, model.input_std, strict=True)]
    return L.Rescaling(scale, offset, name="normalize")(images)


def _encode(encoder, images):
    if isinstance(encoder, OwnEncoder):
        return L.Identity(name="features")(_replaced(encoder.model)(images))
    kind = next((known for known in _NETWORKS if isinstance(encoder, known)), None)
    if kind is None:
        raise _refused(f"{encoder.name}, a {type(encoder).__name__}")
    return L.GlobalAveragePooling2D(name="features")(_NETWORKS[kind](encoder, images))


def _head(head, features):
    dense = head.dense if isinstance(head, LinearHead) else head
    if not isinstance(dense, L.Dense):
        raise _refused(f"{head.name}, a {type(head).__name__}")
    return _like(L.Dense, dense, "logits", features)


def _resnet(encoder, images):
    x = L.ReLU()(_norm(encoder.stem_bn, _conv(encoder.stem_conv, images, "stem_conv"), "stem_bn"))
    if encoder.stem == IMAGENET:
        x = L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(x))  # Behind a ReLU zero is the lowest.
    for block in encoder.blocks:
        x = _residual_block(block, x)
    return x


def _residual_block(block, inputs):
    x, part = inputs, block.name
    for number, (conv, norm) in enumerate(block.pairs, start=1):
        x = L.ReLU()(x) if number > 1 else x
        x = _norm(norm, _conv(conv, x, f"{part}_conv{number}"), f"{part}_bn{number}")
    if block.shortcut_conv is not None:
        inputs = _conv(block.shortcut_conv, _every(block, inputs), f"{part}_shortcut_conv")
        inputs = _norm(block.shortcut_bn, inputs, f"{part}_shortcut_bn")
    return L.ReLU()(L.Add()([x, inputs]))


def _preactivation_network(encoder, images):
    x = _conv(encoder.stem_conv, images, "stem_conv")
    if encoder.stem == IMAGENET:
        lowest = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=_LOWEST)
        x = L.MaxPooling2D(3, 2)(lowest)
    for block in encoder.blocks:
        x = _preactivation_block(block, x)
    return x if encoder.final_bn is None else L.ReLU()(_norm(encoder.final_bn, x, "final_bn"))


def _preactivation_block(block, inputs):
    part = block.name
    active = L.ReLU()(_norm(block.bn1, inputs, f"{part}_bn1"))
    x = _norm(block.bn2, _conv(block.conv1, active, f"{part}_conv1"), f"{part}_bn2")
    x = _conv(block.conv2, L.ReLU()(x), f"{part}_conv2")
    if block.shortcut_conv is not None:
        seen = _every(block, inputs if block.shortcut == INPUT else active)
        inputs = _conv(block.shortcut_conv, seen, f"{part}_shortcut_conv")
    return L.Add()([inputs, x])


_LOWEST = -3.4e38  # About that of float32.
_NETWORKS = {
    ResNet: _resnet,
    PreActResNet: _preactivation_network,
    WideResNet: _preactivation_network,
}


def _every(block, inputs):
    """See `convolutions.every`, for why it is not the convolution that has the strides."""
    return inputs if block.strides == 1 else L.AveragePooling2D(1, block.strides)(inputs)


def _conv(conv, inputs, name):
    if isinstance(conv, PaddedConv2D):
        inputs = L.ZeroPadding2D([size // 2 for size in conv.kernel_size])(inputs)
    return _like(L.Conv2D, conv, name, inputs)


def _norm(norm, inputs, name):
    return _like(L.BatchNormalization, norm.branch_layer(ADVERSARIAL), name, inputs)


def _like(kind, layer, name, inputs):
    """Returns what a layer of Keras' own `kind` with the weights of `layer` makes of `inputs`."""
    config = {**layer.get_config(), "name": name, "dtype": "float32"}
    if "synchronized" in config:
        config["synchronized"] = False
    made = kind.from_config(config)
    outputs = made(inputs)
    made.set_weights(layer.get_weights())
    return outputs


def _replaced(model):
    """Returns a copy of a functional or Sequential model without branches of batch norm."""
    for layer in model._flatten_layers():
        is_known = isinstance(layer, BranchedBatchNormalization)
        is_of_keras = type(layer).__module__.partition(".")[0] == "keras"
        if not (is_known or is_of_keras) or isinstance(layer, L.Lambda):
            raise _refused(f"{layer.name}, a {type(layer).__name__}")
    copies = {}
    try:
        copy = _copy(model, copies)
        for layer, made in copies.values():
            if layer.weights:
                made.set_weights(layer.get_weights())
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise _refused(f"that {model.name} cannot be copied: {reason}") from error
    return copy


def _copy(layer, copies):
    """As of `branches.with_dual_batch_norm`."""
    if not isinstance(layer, keras.Layer):  # An operation such as `keras.ops.square`.
        return layer
    if isinstance(layer, BranchedBatchNormalization):
        layer = layer.branch_layer(ADVERSARIAL)
    if id(layer) in copies:
        return copies[id(layer)][1]
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(
            layer, clone_function=functools.partial(_copy, copies=copies)
        )
    config = layer.get_config()
    if config.get("synchronized"):
        config["synchronized"] = False
    made = type(layer).from_config(config)
    copies[id(layer)] = layer, made
    return made


def _refused(found):
    return RunError(
        place="keras",
        expected="a network of this package, or a functional or Sequential model of Keras' layers",
        found=found,
    )
