"""What a ResNet costs by its layers' shapes, and what share of the machine's limit it reaches.

A pass costs operations and the bytes that it must keep; the limit is that of a product of two
square matrices.
"""

from typing import NamedTuple

import tensorflow as tf

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


def add_matrix_size(parser):
    """Adds the size of the matrices."""
    parser.add_argument(
        "--matrix_size", type=int, default=4096, help="rows of the matrices of the limit"
    )


def product_name(precision):
    """Returns the name of a precision's matrix product."""
    return f"matrix product, {precision}"


def matrix_product(arguments, precision):
    """Returns a function that multiplies two square matrices."""
    matrix = tf.random.stateless_normal([arguments.matrix_size] * 2, [0, 0], dtype=precision)
    return tf.function(lambda: tf.matmul(matrix, matrix))


def limit_share(arguments, middle, name, operations, precision="float32"):
    """Returns the GFLOP/s that a candidate reaches, those of the product, and their ratio.

    Args:
        middle: median seconds by name, of the product too.
        operations: of the candidate, multiplications and additions counted singly.
    """
    reached = operations / middle[name] / 1e9
    limit = 2 * arguments.matrix_size**3 / middle[product_name(precision)] / 1e9
    return {"gflops": reached, "limit_gflops": limit, "share": reached / limit}


def limit_cells(shares):
    """Returns the rows of a printed table: text, share, nothing to reach."""
    return [
        [
            f"{name}: {found['gflops']:.0f} of {found['limit_gflops']:.0f} GFLOP/s",
            f"{found['share']:.2f}",
            "",
        ]
        for name, found in shares.items()
    ]
