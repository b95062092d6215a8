"""ResNets: images in [0, 1] -> pooled features.

He et al. 2016, arXiv:1512.03385, with basic blocks (18, 34) or bottlenecks (50, which stride in the
3x3 convolution, as PyTorch's do). The stem is one 3x3 convolution of stride 1 without max-pooling,
as everywhere in this field, or that of ImageNet.
"""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL, DualBatchNormalization, conv_batch_norm
from ascl_tf.models.convolutions import (
    CIFAR,
    IMAGENET,
    NORMAL_BY_OUTPUTS,
    every,
    make_conv,
    make_stem,
    max_pool,
    stem_shape,
    strided_shape,
)

BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class _ResidualBlock(keras.layers.Layer):
    """Convolutions, each with batch norm, and a shortcut (a 1x1 one where the shape changes)."""

    expansion = 1  # Channels of the output, as a multiple of `filters`.
    initializer = "he_normal"

    def __init__(self, filters, strides=1, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides, self.batch_norm = filters, strides, batch_norm
        self.shortcut_conv = None
        for number, (width, size, stride) in enumerate(self._convolutions(), start=1):
            setattr(self, f"conv{number}", self._conv(f"conv{number}", width, size, stride))
            setattr(self, f"bn{number}", self._norm(f"bn{number}"))

    def _convolutions(self):
        """Returns (filters, size, strides) of the convolutions, in order."""
        raise NotImplementedError

    def _conv(self, name, filters, size, strides=1):
        settings = {"name": name, "dtype": self.dtype_policy, "initializer": self.initializer}
        return make_conv(filters, size, strides, **settings)

    def _norm(self, name):
        return DualBatchNormalization(self.batch_norm, name=name, dtype=self.dtype_policy)

    @property
    def pairs(self):
        """The convolutions, each with its batch norm, in order."""
        numbers = range(1, len(self._convolutions()) + 1)
        return [(getattr(self, f"conv{n}"), getattr(self, f"bn{n}")) for n in numbers]

    def build(self, input_shape):
        output_shape = self.compute_output_shape(input_shape)
        if self.strides != 1 or input_shape[-1] != output_shape[-1]:
            self.shortcut_conv = self._conv("shortcut_conv", output_shape[-1], 1)
            self.shortcut_bn = self._norm("shortcut_bn")
            self.shortcut_conv.build(input_shape)
            self.shortcut_bn.build(output_shape)
        shape = input_shape
        for (conv, norm), (filters, _, strides) in zip(
            self.pairs, self._convolutions(), strict=True
        ):
            conv.build(shape)
            shape = strided_shape(shape, strides, filters)
            norm.build(shape)

    def call(self, inputs, training=False, branch=ADVERSARIAL):
        mode = {"training": training, "branch": branch}
        x = self._residual(inputs, **mode)
        shortcut = inputs
        if self.shortcut_conv is not None:
            shortcut = every(self.strides, inputs)
            shortcut = conv_batch_norm(self.shortcut_conv, self.shortcut_bn, shortcut, **mode)
        return keras.ops.relu(x + shortcut)

    def _residual(self, inputs, *, training, branch):
        (first, norm), *others = self.pairs
        if training:
            x = first(inputs)
            for conv, next_norm in others:
                x = norm.branch_layer(branch).relu_conv(x, conv)
                norm = next_norm
            return norm(x, training=True, branch=branch)
        x = conv_batch_norm(first, norm, inputs, training=False, branch=branch)
        for conv, next_norm in others:
            x = keras.ops.relu(x)
            x = conv_batch_norm(conv, next_norm, x, training=False, branch=branch)
        return x

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters * self.expansion)

    def get_config(self):
        settings = {"filters": self.filters, "strides": self.strides, "batch_norm": self.batch_norm}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable("ascl_tf")
class BasicBlock(_ResidualBlock):
    """Two 3x3 convolutions."""

    def _convolutions(self):
        return [(self.filters, 3, self.strides), (self.filters, 3, 1)]


@keras.saving.register_keras_serializable("ascl_tf")
class Bottleneck(_ResidualBlock):
    """A 3x3 convolution between two of 1x1, the last of which has four times the channels."""

    expansion = 4
    initializer = NORMAL_BY_OUTPUTS

    def _convolutions(self):
        filters = self.filters
        return [(filters, 1, 1), (filters, 3, self.strides), (self.expansion * filters, 1, 1)]


BLOCKS = {18: BasicBlock, 34: BasicBlock, 50: Bottleneck}


@keras.saving.register_keras_serializable("ascl_tf")
class ResNet(keras.Model):
    """Encoder: images [B, H, W, 3] -> features [B, 8 * width], for depth 50 [B, 32 * width].

    Args:
        depth: 18, 34 or 50.
        width: channels of the first stage; each further stage doubles them.
        batch_norm: "separate", "shared" or "triple", see `DualBatchNormalization`.
        stem: "cifar", a 3x3 convolution, or "imagenet", a 7x7 one of stride 2 and max-pooling.
    """

    def __init__(self, depth=18, width=64, batch_norm="separate", stem=CIFAR, **kwargs):
        super().__init__(**kwargs)
        if depth not in BLOCKS_PER_STAGE:
            raise ValueError(
                f"`depth` must be one of {sorted(BLOCKS_PER_STAGE)}; received {depth}."
            )
        if width < 1:
            raise ValueError(f"`width` must be >= 1; received {width}.")
        self.depth, self.width, self.batch_norm, self.stem = depth, width, batch_norm, stem
        block = BLOCKS[depth]
        # Named in each part, so that a saved encoder keeps its policy wherever it is loaded.
        dtype = self.dtype_policy
        self.stem_conv = make_stem(
            stem, width, name="stem_conv", dtype=dtype, initializer=block.initializer
        )
        self.stem_bn = DualBatchNormalization(batch_norm, name="stem_bn", dtype=dtype)
        self.blocks = [
            block(
                filters=width * 2**stage,
                strides=2 if stage > 0 and index == 0 else 1,
                batch_norm=batch_norm,
                name=f"stage{stage + 1}_block{index + 1}",
                dtype=dtype,
            )
            for stage, num_blocks in enumerate(BLOCKS_PER_STAGE[depth])
            for index in range(num_blocks)
        ]

    @property
    def feature_dim(self):
        """Width of the pooled features."""
        return 8 * self.width * BLOCKS[self.depth].expansion

    def build(self, input_shape):
        self.stem_conv.build(input_shape)
        shape = stem_shape(self.stem, input_shape, self.width)
        self.stem_bn.build(shape)
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)

    def call(self, images, training=False, branch=ADVERSARIAL):
        x = conv_batch_norm(self.stem_conv, self.stem_bn, images, training=training, branch=branch)
        x = keras.ops.relu(x)
        if self.stem == IMAGENET:
            x = max_pool(x)
        for block in self.blocks:
            x = block(x, training=training, branch=branch)
        return keras.ops.mean(x, axis=(1, 2))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.feature_dim)

    def get_config(self):
        names = ("depth", "width", "batch_norm", "stem")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def resnet18(width=64, batch_norm="separate"):
    """Returns a ResNet-18 encoder with the CIFAR stem; features are [B, 8 * width]."""
    return ResNet(depth=18, width=width, batch_norm=batch_norm)
