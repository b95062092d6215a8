"""Square: random search with square-shaped changes, which uses logits and no gradients.

Andriushchenko et al. 2020, arXiv:1912.00049, Algorithm 1, with the margin loss, as
AutoAttack uses it. Every image draws its own windows and signs, so the result depends neither
on the batch nor on which other images are left. The official code draws one window and one set
of signs for the whole batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks import logit_losses, norms
from ascl_tf.attacks.arguments import (
    as_batch,
    check_choice,
    check_counts,
    check_positive,
    check_seed,
)
from ascl_tf.attacks.logits import LogitsFunction
from ascl_tf.attacks.rounds import fooling_images, round_seeds
from ascl_tf.attacks.square_proposals import make_proposals
from ascl_tf.loops import while_loop


def square(
    logits_fn: LogitsFunction,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    num_queries: int = 5000,
    num_restarts: int = 1,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Returns images in the ball that the classifier misclassifies, if Square finds them.

    Args:
        logits_fn: callable images -> logits [B, K]; no gradient is needed.
        images: [B, H, W, C] float in [0, 1].
        labels: int [B].
        epsilon: radius of the ball in pixel units, such as 8 / 255.
        norm: `linf` or `l2`.
        num_queries: largest number of forward passes after the first.
        num_restarts: number of runs from new random starts.
        seed: int32 [2], or [B, 2] with one pair per image.

    Returns:
        [B, H, W, C] float32: the adversarial image of the first run that succeeds. The image
        itself if no run succeeds, or if it is misclassified without an attack.

    Raises:
        ValueError: if an argument does not fit the above.

    Example:
        >>> images = tf.tile(tf.constant([[[[0.50, 0.49, 0.20]]]]), [1, 4, 4, 1])
        >>> def logits_fn(images):
        ...     return tf.reduce_mean(images, axis=[1, 2])
        >>> found = square(logits_fn, images, [0], epsilon=8 / 255, num_queries=20, seed=[0, 0])
        >>> print([tf.argmax(logits_fn(shown), axis=1).numpy() for shown in (images, found)])
        [array([0]), array([1])]
    """
    images, labels, _ = as_batch(logits_fn, images, labels)
    check_choice("norm", norm, norms.NORMS)
    check_positive(epsilon=epsilon)
    check_counts(num_queries=num_queries, num_restarts=num_restarts)
    check_seed(seed, images)
    search = SquareSearch(
        logits_fn, images.shape, epsilon=epsilon, norm=norm, num_queries=num_queries
    )

    def one_round(number: tf.Tensor) -> tf.Tensor:
        state = search.start(images, labels, round_seeds(seed, number, images))
        return search.advance(state, 0, num_queries).best_images

    return fooling_images(logits_fn, one_round, num_restarts, images, labels)


class SquareState(NamedTuple):
    """State of a search. Every entry is per image, so that images can be dropped.

    Attributes:
        images, labels: [B, H, W, C] and [B], the images under attack.
        best_images: like `images`, the best points so far.
        best_margin: [B], their margins; an image at 0 or below is done.
        draws: [B, num_queries, D], the uniform numbers of every query.
    """

    images: tf.Tensor
    labels: tf.Tensor
    best_images: tf.Tensor
    best_margin: tf.Tensor
    draws: tf.Tensor


class SquareSearch:
    """One run of Square, in parts: a start, and then any number of queries at a time.

    Args:
        logits_fn, epsilon, norm, num_queries: as in `square`, not checked here.
        image_shape: shape of the images, [B or None, H, W, C].
    """

    def __init__(
        self,
        logits_fn: LogitsFunction,
        image_shape: Sequence[int | None],
        *,
        epsilon: float,
        norm: str,
        num_queries: int,
    ) -> None:
        self._logits_fn = logits_fn
        self._num_queries = num_queries
        self._proposals = make_proposals(
            image_shape, epsilon=epsilon, norm=norm, num_queries=num_queries
        )

    def start(self, images: tf.Tensor, labels: tf.Tensor, seeds: tf.Tensor) -> SquareState:
        """Returns the first state, after one query; seeds: int32 [B, 2]."""
        num_start, num_each = self._proposals.num_start_draws, self._proposals.num_draws
        shape = [tf.shape(images)[0], num_start + self._num_queries * num_each]
        draws = randomness.uniform(shape, seeds)
        points = self._proposals.start(images, draws[:, :num_start])
        points = tf.ensure_shape(points, images.shape)
        later = tf.reshape(draws[:, num_start:], [-1, self._num_queries, num_each])
        margin = logit_losses.margin(self._logits_fn(points), labels)
        return SquareState(images, labels, points, margin, later)

    def advance(
        self, state: SquareState, first_query: int | tf.Tensor, last_query: int | tf.Tensor
    ) -> SquareState:
        """Returns the state after the queries from `first_query` to before `last_query`.

        Both are ints or int32 scalars. It ends early once every image is done.
        """

        propose = self._proposals.make_propose(state.images)

        def body(
            query: tf.Tensor, best_images: tf.Tensor, best_margin: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            draws = tf.gather(state.draws, query, axis=1)
            points = propose(best_images, query, draws)
            margin = logit_losses.margin(self._logits_fn(points), state.labels)
            improved = (margin < best_margin) & (best_margin > 0)
            best_images = norms.choose(improved, points, best_images)
            return query + 1, best_images, tf.where(improved, margin, best_margin)

        _, best_images, best_margin = while_loop(
            lambda query, _, margin: (query < last_query) & tf.reduce_any(margin > 0),
            body,
            (tf.convert_to_tensor(first_query), state.best_images, state.best_margin),
        )
        return state._replace(best_images=best_images, best_margin=best_margin)
