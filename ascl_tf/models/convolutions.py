"""Convolutions, pooling and stems as PyTorch has them, so that published weights can be read in."""

import keras
import tensorflow as tf

from ascl_tf.models.recomputing import recomputing

CIFAR, IMAGENET = "cifar", "imagenet"
# Size and strides of the first convolution. The CIFAR stem has no max-pooling.
STEMS = {CIFAR: (3, 1), IMAGENET: (7, 2)}


# Names of initializers: that of torchvision's ResNets and TRADES' wide ones, and PyTorch's default.
NORMAL_BY_OUTPUTS, UNIFORM_BY_INPUTS = "normal_by_outputs", "uniform_by_inputs"
_SCALED = {
    NORMAL_BY_OUTPUTS: (2.0, "fan_out", "untruncated_normal"),
    UNIFORM_BY_INPUTS: (1 / 3, "fan_in", "uniform"),
}


def _make_initializer(name):
    """Returns an initializer of the name above, with a seed of its own; Keras' own by its name."""
    return keras.initializers.VarianceScaling(*_SCALED[name]) if name in _SCALED else name


@keras.saving.register_keras_serializable("ascl_tf")
class PaddedConv2D(keras.layers.Conv2D):
    """Convolution of odd size without bias that pads both sides alike, as PyTorch does.

    TensorFlow's "same" pads only below and right at stride 2, so that published
    PyTorch weights would give other features. The padded input is not kept for the gradient.
    """

    def build(self, input_shape):
        super().build(self._padded(input_shape))

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(self._padded(input_shape))

    def call(self, inputs):
        def apply(inputs, kernel):
            return (self.convolution_op(inputs, kernel),)

        (outputs,) = recomputing(apply)(inputs, tf.cast(self.kernel, inputs.dtype))
        return outputs

    def convolution_op(self, inputs, kernel):
        rows, columns = ((size // 2, size // 2) for size in self.kernel_size)
        padded = keras.ops.pad(inputs, ((0, 0), rows, columns, (0, 0)))
        return super().convolution_op(padded, kernel)

    def _padded(self, input_shape):
        batch, *sides, channels = input_shape
        sizes = zip(sides, self.kernel_size, strict=True)
        return (batch, *(None if n is None else n + 2 * (size // 2) for n, size in sizes), channels)


def every(strides, inputs):
    """Returns every second pixel for strides of 2: what a 1x1 convolution with them would see.

    They are taken first, since its filter gradient in oneDNN (TensorFlow 2.21) writes out of
    bounds for odd batches; by a mean over one pixel, since slices are slow, forward and back.
    """
    if strides == 1:
        return inputs
    return keras.ops.average_pool(inputs, 1, strides=strides, padding="valid")


def strided_shape(input_shape, strides, filters):
    """Returns the shape behind a convolution that keeps what it does not stride over."""
    batch, *sides, _ = input_shape
    return (batch, *(None if n is None else -(-n // strides) for n in sides), filters)


def make_conv(filters, size, strides=1, *, name, dtype, initializer="he_normal"):
    """Returns a convolution without bias that pads as PyTorch does, `size // 2` on each side.

    A 1x1 convolution has no strides: see `every`.
    """
    layer, padding = keras.layers.Conv2D, "valid"
    if size > 1 and strides == 1:  # There "same" is symmetric, and saves a copy of the input.
        padding = "same"
    elif size > 1:
        layer = PaddedConv2D
    return layer(
        filters,
        size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer=_make_initializer(initializer),
        name=name,
        dtype=dtype,
    )


def max_pool(inputs):
    """Returns the 3x3 max-pooling of stride 2 with a padding of 1, as PyTorch does."""
    lowest = inputs.dtype.min
    padded = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=lowest)
    return keras.ops.max_pool(padded, 3, strides=2, padding="valid")


def make_stem(kind, filters, *, name, dtype, initializer="he_normal"):
    """Returns the first convolution of a stem, "cifar" (3x3) or "imagenet" (7x7, stride 2).

    Raises:
        ValueError: for another one.
    """
    if kind not in STEMS:
        raise ValueError(f"`stem` must be one of {', '.join(STEMS)}; received {kind!r}.")
    size, strides = STEMS[kind]
    return make_conv(filters, size, strides, name=name, dtype=dtype, initializer=initializer)


def stem_shape(kind, input_shape, filters):
    """Returns the shape behind a stem, max-pooling included."""
    shape = strided_shape(input_shape, STEMS[kind][1], filters)
    return strided_shape(shape, 2, filters) if kind == IMAGENET else shape
