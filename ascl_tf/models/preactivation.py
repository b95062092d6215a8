"""ResNets with batch norm and ReLU in front of each convolution: images in [0, 1] -> features.

He et al. 2016, arXiv:1603.05027, with basic blocks; and wide ones, Zagoruyko and Komodakis 2016,
arXiv:1605.07146, as in TRADES. The sum of a block goes on as it is; a last batch norm and ReLU
stand in front of the pooling.
"""

import keras

from ascl_tf.models.batch_norm import ADVERSARIAL, DualBatchNormalization, conv_batch_norm
from ascl_tf.models.convolutions import (
    CIFAR,
    IMAGENET,
    NORMAL_BY_OUTPUTS,
    UNIFORM_BY_INPUTS,
    every,
    make_conv,
    make_stem,
    max_pool,
    stem_shape,
    strided_shape,
)

BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
# What a 1x1 convolution in a shortcut sees: the block's input, or that behind batch norm and ReLU.
INPUT, ACTIVATION = "input", "activation"


@keras.saving.register_keras_serializable("ascl_tf")
class PreActivationBlock(keras.layers.Layer):
    """Two 3x3 convolutions, each behind batch norm and ReLU, and a shortcut.

    Args:
        filters: channels of the output.
        strides: 1 or 2, of the first convolution.
        batch_norm: see `DualBatchNormalization`.
        shortcut: what the shortcut's convolution sees, where the shape changes: "activation" or
            "input".
        initializer: of the kernels.
    """

    def __init__(
        self,
        filters,
        strides=1,
        batch_norm="separate",
        shortcut=ACTIVATION,
        initializer="he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.strides, self.batch_norm = filters, strides, batch_norm
        self.shortcut, self.initializer = shortcut, initializer
        self.bn1 = DualBatchNormalization(batch_norm, name="bn1", dtype=self.dtype_policy)
        self.conv1 = self._conv("conv1", 3, strides)
        self.bn2 = DualBatchNormalization(batch_norm, name="bn2", dtype=self.dtype_policy)
        self.conv2 = self._conv("conv2", 3)
        self.shortcut_conv = None

    def _conv(self, name, size, strides=1):
        settings = {"name": name, "dtype": self.dtype_policy, "initializer": self.initializer}
        return make_conv(self.filters, size, strides, **settings)

    def build(self, input_shape):
        output_shape = self.compute_output_shape(input_shape)
        if self.strides != 1 or input_shape[-1] != self.filters:
            self.shortcut_conv = self._conv("shortcut_conv", 1)
            self.shortcut_conv.build(input_shape)
        self.bn1.build(input_shape)
        self.conv1.build(input_shape)
        self.bn2.build(output_shape)
        self.conv2.build(output_shape)

    def call(self, inputs, training=False, branch=ADVERSARIAL):
        mode = {"training": training, "branch": branch}
        active = keras.ops.relu(self.bn1(inputs, **mode))
        shortcut = inputs
        if self.shortcut_conv is not None:
            seen = active if self.shortcut == ACTIVATION else inputs
            shortcut = self.shortcut_conv(every(self.strides, seen))
        return shortcut + self._residual(active, **mode)

    def _residual(self, active, *, training, branch):
        if training:
            return self.bn2.branch_layer(branch).relu_conv(self.conv1(active), self.conv2)
        x = conv_batch_norm(self.conv1, self.bn2, active, training=False, branch=branch)
        return self.conv2(keras.ops.relu(x))

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self):
        names = ("filters", "strides", "batch_norm", "shortcut", "initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class _PreActivationNetwork(keras.Model):
    """A stem, blocks in stages, the last batch norm, and pooling.

    Args:
        stem_filters: channels of the stem.
        stages: (channels, number of blocks) of each stage; all but the first stride by 2.
        batch_norm, stem, shortcut: as of the subclasses.
        initializer: of the kernels.
        final_batch_norm: whether batch norm and ReLU stand in front of the pooling.
    """

    def __init__(
        self,
        stem_filters,
        stages,
        *,
        batch_norm,
        stem,
        initializer,
        shortcut=ACTIVATION,
        final_batch_norm=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.batch_norm, self.stem, self.stem_filters = batch_norm, stem, stem_filters
        self.feature_dim = stages[-1][0]
        # Named in each part, so that a saved encoder keeps its policy wherever it is loaded.
        dtype = self.dtype_policy
        self.stem_conv = make_stem(
            stem, stem_filters, name="stem_conv", dtype=dtype, initializer=initializer
        )
        self.blocks = [
            PreActivationBlock(
                filters,
                strides=2 if stage > 0 and index == 0 else 1,
                batch_norm=batch_norm,
                shortcut=shortcut,
                initializer=initializer,
                name=f"stage{stage + 1}_block{index + 1}",
                dtype=dtype,
            )
            for stage, (filters, num_blocks) in enumerate(stages)
            for index in range(num_blocks)
        ]
        self.final_bn = None
        if final_batch_norm:
            self.final_bn = DualBatchNormalization(batch_norm, name="final_bn", dtype=dtype)

    def build(self, input_shape):
        self.stem_conv.build(input_shape)
        shape = stem_shape(self.stem, input_shape, self.stem_filters)
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        if self.final_bn is not None:
            self.final_bn.build(shape)

    def call(self, images, training=False, branch=ADVERSARIAL):
        mode = {"training": training, "branch": branch}
        x = self.stem_conv(images)
        if self.stem == IMAGENET:
            x = max_pool(x)
        for block in self.blocks:
            x = block(x, **mode)
        if self.final_bn is not None:
            x = keras.ops.relu(self.final_bn(x, **mode))
        return keras.ops.mean(x, axis=(1, 2))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.feature_dim)

    def _config(self, *names):
        names = (*names, "batch_norm", "stem")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("ascl_tf")
class PreActResNet(_PreActivationNetwork):
    """Encoder: images [B, H, W, 3] -> features [B, 8 * width].

    Args:
        depth: 18 or 34.
        width: channels of the first stage; each further stage doubles them.
        batch_norm: "separate", "shared" or "triple", see `DualBatchNormalization`.
        stem: "cifar" or "imagenet", as of `ResNet`.
        shortcut: what the shortcuts' convolutions see: "activation" (He et al.), or "input".
        final_batch_norm: False: none in front of the pooling, as in some published networks.
    """

    def __init__(
        self,
        depth=18,
        width=64,
        batch_norm="separate",
        stem=CIFAR,
        shortcut=ACTIVATION,
        final_batch_norm=True,
        **kwargs,
    ):
        if depth not in BLOCKS_PER_STAGE:
            depths = sorted(BLOCKS_PER_STAGE)
            raise ValueError(f"`depth` must be one of {depths}; received {depth}.")
        if shortcut not in (INPUT, ACTIVATION):
            raise ValueError(f"`shortcut` must be input or activation; received {shortcut!r}.")
        counts = BLOCKS_PER_STAGE[depth]
        super().__init__(
            width,
            [(width * 2**stage, count) for stage, count in enumerate(counts)],
            batch_norm=batch_norm,
            stem=stem,
            initializer=UNIFORM_BY_INPUTS,
            shortcut=shortcut,
            final_batch_norm=final_batch_norm,
            **kwargs,
        )
        self.depth, self.width, self.shortcut = depth, width, shortcut
        self.final_batch_norm = final_batch_norm

    def get_config(self):
        return self._config("depth", "width", "shortcut", "final_batch_norm")


@keras.saving.register_keras_serializable("ascl_tf")
class WideResNet(_PreActivationNetwork):
    """Encoder: images [B, H, W, 3] -> features [B, 4 * factor * width].

    Args:
        depth: 6 n + 4, for n blocks in each of three stages: 28 and 34 are usual.
        factor: by which the first stage is wider than the stem; each further stage doubles it.
        width: channels of the stem, 16 as published.
        batch_norm: "separate", "shared" or "triple", see `DualBatchNormalization`.
        stem: "cifar" or "imagenet", as of `ResNet`.
    """

    def __init__(self, depth=28, factor=10, width=16, batch_norm="separate", stem=CIFAR, **kwargs):
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"`depth` must be one of 10, 16, 22, 28, ...; received {depth}.")
        super().__init__(
            width,
            [(factor * width * 2**stage, (depth - 4) // 6) for stage in range(3)],
            batch_norm=batch_norm,
            stem=stem,
            initializer=NORMAL_BY_OUTPUTS,
            **kwargs,
        )
        self.depth, self.factor, self.width = depth, factor, width

    def get_config(self):
        return self._config("depth", "factor", "width")
