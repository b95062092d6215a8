"""Several runs of an attack on one batch, by restarts or by target classes."""

import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks import logit_losses, norms


def fooling_images(logits_fn, one_round, num_rounds, images, labels):
    """Returns the image of the first round that is misclassified, else the image itself.

    Args:
        logits_fn: callable images -> logits.
        one_round: callable round number (int32 scalar) -> candidates like `images`.
        num_rounds: Python int.
        images, labels: [B, H, W, C] and [B].
    """

    def body(number, found, is_robust):
        candidates = one_round(number)
        fooled = is_robust & ~logit_losses.is_correct(logits_fn(candidates), labels)
        found = norms.choose(fooled, candidates, found)
        return number + 1, found, is_robust & ~fooled

    is_robust = logit_losses.is_correct(logits_fn(images), labels)
    _, found, _ = tf.while_loop(
        lambda number, _, is_robust: (number < num_rounds) & tf.reduce_any(is_robust),
        body,
        (tf.constant(0), images, is_robust),
        parallel_iterations=1,
    )
    return tf.stop_gradient(found)


def round_seeds(seed, number, images):
    """Returns int32 [B, 2], one pair per image, different in each round.

    Args:
        seed: int32 [2], or [B, 2] with one pair per image.
        number: int32 scalar, which round.
        images: [B, ...].
    """
    seed = tf.convert_to_tensor(seed, tf.int32)
    if seed.shape.rank == 1:
        positions = tf.range(tf.shape(images)[0])
        return randomness.position_seeds(randomness.fold_in(seed, number), positions)
    return tf.map_fn(lambda pair: randomness.fold_in(pair, number), seed)
