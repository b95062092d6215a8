"""ResNets with the CIFAR stem: images in [0, 1] -> pooled features.

He et al. 2016, arXiv:1512.03385, with basic blocks. The stem is one 3x3
convolution of stride 1 without max-pooling, as everywhere in this field.
"""

import keras
import tensorflow as tf

from ascl_tf.models.batch_norm import ADVERSARIAL, DualBatchNormalization, conv_batch_norm
from ascl_tf.models.recomputing import recomputing

BLOCKS_PER_STAGE = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


@keras.saving.register_keras_serializable("ascl_tf")
class BasicBlock(keras.layers.Layer):
    """Two 3x3 convolutions with a shortcut (a 1x1 convolution where the shape changes)."""

    def __init__(self, filters, strides=1, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides, self.batch_norm = filters, strides, batch_norm
        dtype = self.dtype_policy
        self.conv1 = _conv3x3(filters, strides, name="conv1", dtype=dtype)
        self.bn1 = DualBatchNormalization(batch_norm, name="bn1", dtype=dtype)
        self.conv2 = _conv3x3(filters, 1, name="conv2", dtype=dtype)
        self.bn2 = DualBatchNormalization(batch_norm, name="bn2", dtype=dtype)
        self.shortcut_conv = None

    def build(self, input_shape):
        if self.strides != 1 or input_shape[-1] != self.filters:
            dtype = self.dtype_policy
            self.shortcut_conv = _conv(
                self.filters, 1, 1, "valid", name="shortcut_conv", dtype=dtype
            )
            self.shortcut_bn = DualBatchNormalization(
                self.batch_norm, name="shortcut_bn", dtype=dtype
            )
            self.shortcut_conv.build(input_shape)
            self.shortcut_bn.build(self.compute_output_shape(input_shape))
        output_shape = self.compute_output_shape(input_shape)
        self.conv1.build(input_shape)
        self.bn1.build(output_shape)
        self.conv2.build(output_shape)
        self.bn2.build(output_shape)

    def call(self, inputs, training=False, branch=ADVERSARIAL):
        mode = {"training": training, "branch": branch}
        x = self._residual(inputs, **mode)
        shortcut = inputs
        if self.shortcut_conv is not None:
            shortcut = _every(self.strides, inputs)
            shortcut = conv_batch_norm(self.shortcut_conv, self.shortcut_bn, shortcut, **mode)
        return keras.ops.relu(x + shortcut)

    def _residual(self, inputs, *, training, branch):
        if training:
            x = self.bn1.branch_layer(branch).relu_conv(self.conv1(inputs), self.conv2)
            return self.bn2(x, training=True, branch=branch)
        x = conv_batch_norm(self.conv1, self.bn1, inputs, training=False, branch=branch)
        return conv_batch_norm(
            self.conv2, self.bn2, keras.ops.relu(x), training=False, branch=branch
        )

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, -(-height // self.strides), -(-width // self.strides), self.filters)

    def get_config(self):
        settings = {"filters": self.filters, "strides": self.strides, "batch_norm": self.batch_norm}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable("ascl_tf")
class ResNet(keras.Model):
    """Encoder: images [B, H, W, 3] -> features [B, 8 * width].

    Args:
        depth: 18 or 34.
        width: channels of the first stage; each further stage doubles them.
        batch_norm: "separate", "shared" or "triple", see `DualBatchNormalization`.
    """

    def __init__(self, depth=18, width=64, batch_norm="separate", **kwargs):
        super().__init__(**kwargs)
        if depth not in BLOCKS_PER_STAGE:
            raise ValueError(
                f"`depth` must be one of {sorted(BLOCKS_PER_STAGE)}; received {depth}."
            )
        if width < 1:
            raise ValueError(f"`width` must be >= 1; received {width}.")
        self.depth, self.width, self.batch_norm = depth, width, batch_norm
        # Named in each part, so that a saved encoder keeps its policy wherever it is loaded.
        dtype = self.dtype_policy
        self.stem_conv = _conv3x3(width, 1, name="stem_conv", dtype=dtype)
        self.stem_bn = DualBatchNormalization(batch_norm, name="stem_bn", dtype=dtype)
        self.blocks = [
            BasicBlock(
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
        return 8 * self.width

    def build(self, input_shape):
        self.stem_conv.build(input_shape)
        shape = (*input_shape[:-1], self.width)
        self.stem_bn.build(shape)
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)

    def call(self, images, training=False, branch=ADVERSARIAL):
        x = conv_batch_norm(self.stem_conv, self.stem_bn, images, training=training, branch=branch)
        x = keras.ops.relu(x)
        for block in self.blocks:
            x = block(x, training=training, branch=branch)
        return keras.ops.mean(x, axis=(1, 2))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.feature_dim)

    def get_config(self):
        settings = {"depth": self.depth, "width": self.width, "batch_norm": self.batch_norm}
        return {**super().get_config(), **settings}


def resnet18(width=64, batch_norm="separate"):
    """Returns a ResNet-18 encoder with the CIFAR stem; features are [B, 8 * width]."""
    return ResNet(depth=18, width=width, batch_norm=batch_norm)


@keras.saving.register_keras_serializable("ascl_tf")
class PaddedConv2D(keras.layers.Conv2D):
    """3x3 convolution without bias that pads 1 on both sides, as PyTorch does.

    TensorFlow's "same" pads only below and right at stride 2, so that published
    PyTorch weights would give other features. The padded input is not kept for the gradient.
    """

    def build(self, input_shape):
        super().build(_padded_by_one(input_shape))

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(_padded_by_one(input_shape))

    def call(self, inputs):
        def apply(inputs, kernel):
            return (self.convolution_op(inputs, kernel),)

        (outputs,) = recomputing(apply)(inputs, tf.cast(self.kernel, inputs.dtype))
        return outputs

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(
            keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0))), kernel
        )


def _every(strides, inputs):
    """Returns every second pixel for strides of 2: what a 1x1 convolution with them would see.

    They are taken first, since its filter gradient in oneDNN (TensorFlow 2.21) writes out of
    bounds for odd batches; by a mean over one pixel, since slices are slow, forward and back.
    """
    if strides == 1:
        return inputs
    return keras.ops.average_pool(inputs, 1, strides=strides, padding="valid")


def _padded_by_one(input_shape):
    batch, height, width, channels = input_shape
    padded = [None if size is None else size + 2 for size in (height, width)]
    return (batch, *padded, channels)


def _conv3x3(filters, strides, *, name, dtype):
    if strides == 1:  # There "same" is symmetric, and saves a copy of the input.
        return _conv(filters, 3, 1, "same", name=name, dtype=dtype)
    return _conv(filters, 3, strides, "valid", name=name, dtype=dtype, layer=PaddedConv2D)


def _conv(filters, size, strides, padding, *, name, dtype, layer=keras.layers.Conv2D):
    return layer(
        filters,
        size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
        dtype=dtype,
    )
