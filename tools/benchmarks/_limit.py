"""The limit of a machine, a product of two square matrices, and what share of it is reached."""

import tensorflow as tf


def add_argument(parser):
    """Adds the size of the matrices."""
    parser.add_argument(
        "--matrix_size", type=int, default=4096, help="rows of the matrices of the limit"
    )


def product(precision):
    """Returns the name of a precision's matrix product."""
    return f"matrix product, {precision}"


def matrix_product(arguments, precision):
    """Returns a function that multiplies two square matrices."""
    matrix = tf.random.stateless_normal([arguments.matrix_size] * 2, [0, 0], dtype=precision)
    return tf.function(lambda: tf.matmul(matrix, matrix))


def share(arguments, middle, name, operations, precision="float32"):
    """Returns the GFLOP/s that a candidate reaches, those of the product, and their ratio.

    Args:
        middle: median seconds by name, of the product too.
        operations: of the candidate, multiplications and additions counted singly.
    """
    reached = operations / middle[name] / 1e9
    limit = 2 * arguments.matrix_size**3 / middle[product(precision)] / 1e9
    return {"gflops": reached, "limit_gflops": limit, "share": reached / limit}


def cells(shares):
    """Returns the rows of a printed table: text, share, nothing to reach."""
    return [
        [
            f"{name}: {found['gflops']:.0f} of {found['limit_gflops']:.0f} GFLOP/s",
            f"{found['share']:.2f}",
            "",
        ]
        for name, found in shares.items()
    ]
