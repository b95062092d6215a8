"""Lists of protocols as flags have them: names, and variants such as pgd20@epsilon=4/255.

What a name stands for is known to `ascl_tf.evaluation.protocols`. No TensorFlow here.
"""

# Between a protocol's name and the numbers that its variant has in place of the protocol's own.
VARIANT = "@"


def split_protocols(text: str) -> list[str]:
    """Returns the names in a list separated by commas, each once, in order.

    The numbers of a variant are separated by commas, too: a piece `name=value` belongs to the
    variant before it.

    Example:
        >>> split_protocols("standard, pgd20@epsilon=4/255,num_steps=50, pgd100")
        ['standard', 'pgd20@epsilon=4/255,num_steps=50', 'pgd100']
    """
    names: list[str] = []
    for piece in (piece.strip() for piece in text.split(",")):
        continues = names and VARIANT in names[-1] and "=" in piece and VARIANT not in piece
        if continues:
            names[-1] += f",{piece}"
        elif piece:
            names.append(piece)
    return list(dict.fromkeys(names))
