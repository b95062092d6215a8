"""What a ResNet costs by its layers' shapes: operations of a pass, bytes that a pass must keep."""

from typing import NamedTuple

BYTES_OF_FLOAT32 = 4


class Convolution(NamedTuple):
    """One convolution on one image."""

    size: int  # height and width of what it gives
    kernel_size: int
    channels: int
    filters: int

    @property
    def operations(self):
        """Multiplications and additions, counted singly."""
        return 2 * self.num_outputs * self.kernel_size**2 * self.channels

    @property
    def num_outputs(self):
        return self.size**2 * self.filters


def forward_operations(encoder, image_size):
    """Returns the operations of one forward pass of one image, convolutions alone."""
    return sum(convolution.operations for convolution in convolutions(encoder, image_size))


def activation_bytes(encoder, image_size):
    """Returns the float32 bytes per image that a full backward pass needs, summed over layers.

    Those are what each batch norm reads (all that a convolution gives) and what each ReLU
    gives, which the next convolution reads: one behind the stem and two in each block.
    """
    numbers = sum(convolution.num_outputs for convolution in convolutions(encoder, image_size))
    size = image_size
    numbers += size**2 * encoder.width
    for block in encoder.blocks:
        size = -(-size // block.strides)
        numbers += 2 * size**2 * block.filters
    return numbers * BYTES_OF_FLOAT32


def convolutions(encoder, image_size):
    """Yields every `Convolution` of an encoder; image_size: height and width in pixels."""
    size, channels = image_size, encoder.width
    yield Convolution(size, 3, 3, channels)
    for block in encoder.blocks:
        size = -(-size // block.strides)
        yield Convolution(size, 3, channels, block.filters)
        yield Convolution(size, 3, block.filters, block.filters)
        if block.shortcut_conv is not None:
            yield Convolution(size, 1, channels, block.filters)
        channels = block.filters
