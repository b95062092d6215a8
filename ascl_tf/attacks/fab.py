"""FAB: the fast adaptive boundary attack, which searches for the smallest perturbation.

Croce and Hein 2020, arXiv:1907.02044, as AutoAttack uses it: towards a target class
(`fab_t`), or towards the nearest decision boundary (`fab`), without a final search.
The radius determines only success at the end, and the length of random starts.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ascl_tf.attacks import logit_losses, norms
from ascl_tf.attacks.arguments import (
    as_batch,
    check_choice,
    check_counts,
    check_gradient,
    check_integer,
    check_positive,
    check_seed,
)
from ascl_tf.attacks.hyperplane import step_onto_hyperplane
from ascl_tf.attacks.logits import LogitsFunction
from ascl_tf.attacks.rounds import fooling_images, round_seeds
from ascl_tf.loops import while_loop

# The paper's constants: overshoot eta, largest pull to the image alpha_max, and how
# much of a successful perturbation is kept (beta).
_OVERSHOOT = 1.05
_MOST_PULL = 0.1
_KEPT = 0.9
# Difference of two logits [B], its gradient [B, H, W, C].
Hyperplane = tuple[tf.Tensor, tf.Tensor]
# Norm of the best perturbation before there is one.
_NOTHING = 1e10
_TINY = 1e-12


def fab_t(
    logits_fn: LogitsFunction,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    epsilon: float,
    norm: str = "linf",
    num_steps: int = 100,
    num_restarts: int = 1,
    num_targets: int = 9,
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns images in the ball that the classifier misclassifies, if targeted FAB finds them.

    It targets in turn the `num_targets` most likely classes of the clean image, except the
    first. Any misclassification within the radius counts as success. With one restart nothing
    is random.

    Args:
        logits_fn: callable images -> logits [B, K], in inference mode, K >= 2.
        images: [B, H, W, C] float in [0, 1].
        labels: int [B].
        epsilon: radius of the ball in pixel units, such as 8 / 255.
        norm: `linf` or `l2`.
        num_steps: number of steps in one run.
        num_restarts: number of runs for each target; all but the first start at random.
        num_targets: number of target classes, at most K - 1.
        seed: int32 [2], or [B, 2] with one pair per image; required for more than one restart.

    Returns:
        [B, H, W, C] float32: the adversarial image of the first run that succeeds. The image
        itself if no run succeeds, or if it is misclassified without an attack.

    Raises:
        ValueError: if an argument does not fit the above.

    Example:
        >>> images = tf.tile(tf.constant([[[[0.50, 0.49, 0.20]]]]), [1, 4, 4, 1])
        >>> def logits_fn(images):
        ...     return tf.reduce_mean(images, axis=[1, 2])
        >>> found = fab_t(logits_fn, images, [0], epsilon=8 / 255, num_steps=5, num_targets=1)
        >>> print([tf.argmax(logits_fn(shown), axis=1).numpy() for shown in (images, found)])
        [array([0]), array([1])]
    """
    images, labels, num_classes = as_batch(logits_fn, images, labels)
    check_settings(num_classes=num_classes, num_targets=num_targets, norm=norm)
    check_positive(epsilon=epsilon)
    check_counts(num_steps=num_steps, num_restarts=num_restarts)
    if num_restarts > 1 and seed is None:
        raise ValueError("`num_restarts` > 1 needs a `seed` (int32 [2] or [B, 2]); received None.")
    if seed is not None:
        check_seed(seed, images)
    clean_logits = logits_fn(images)

    def one_round(number: tf.Tensor) -> tf.Tensor:
        seeds = None if seed is None else round_seeds(seed, number, images)
        closest, distances = closest_misclassified(
            logits_fn,
            images,
            labels,
            targets=logit_losses.likely_classes(clean_logits, number // num_restarts + 2),
            num_classes=num_classes,
            norm=norm,
            num_steps=num_steps,
            start=fab_start(images, number % num_restarts, epsilon, norm, seeds),
        )
        return norms.choose(distances <= epsilon, closest, images)

    return fooling_images(logits_fn, one_round, num_targets * num_restarts, images, labels)


def check_settings(*, num_classes: int, num_targets: int, norm: str) -> None:
    """Raises ValueError unless there are that many other classes and `norm` is known."""
    check_choice("norm", norm, norms.NORMS)
    check_integer("num_targets", num_targets, 1, num_classes - 1)


def fab_start(
    images: tf.Tensor, restart: tf.Tensor, epsilon: float, norm: str, seeds: tf.Tensor | None
) -> tf.Tensor:
    """Returns the starting points of a run: the images in the first, half the radius away later.

    Args:
        images: [B, H, W, C].
        restart: int32 scalar.
        epsilon, norm: the ball.
        seeds: int32 [B, 2], or None if there is only one run.
    """
    if seeds is None:
        return images
    random = norms.random_start(images, epsilon=0.5 * epsilon, norm=norm, seeds=seeds)
    return tf.where(tf.equal(restart, 0), images, random)


def closest_misclassified(
    logits_fn: LogitsFunction,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    targets: tf.Tensor | None,
    num_classes: int,
    norm: str,
    num_steps: int,
    start: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (closest misclassified iterate, its distance [B]) of one FAB run; 1e10: none.

    Args:
        logits_fn, images, labels, norm, num_steps: as in `fab_t`, not checked here.
        targets: int32 [B], or None for the nearest boundary to any other class.
        num_classes: Python int.
        start: [B, H, W, C] in [0, 1].
    """
    search = FabSearch(
        logits_fn, num_classes=num_classes, norm=norm, is_targeted=targets is not None
    )
    state = search.start(images, labels, labels if targets is None else targets, start)
    state = search.advance(state, 0, num_steps)
    return tf.stop_gradient(state.best_images), state.best_distance


class FabState(NamedTuple):
    """State of a run. Every entry is per image, so that images can be dropped.

    Attributes:
        images, labels, targets: [B, H, W, C], [B] and [B], the images under attack.
        points: like `images`, the iterates.
        best_images: the closest misclassified iterates, or the images.
        best_distance: [B], their distances; 1e10: there is none.
    """

    images: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor
    points: tf.Tensor
    best_images: tf.Tensor
    best_distance: tf.Tensor


class FabSearch:
    """One run of FAB, in parts: a start, and then any number of steps at a time.

    Args:
        logits_fn, num_classes, norm: as in `closest_misclassified`.
        is_targeted: whether to head for the boundary to the target class, not the nearest one.
    """

    def __init__(
        self, logits_fn: LogitsFunction, *, num_classes: int, norm: str, is_targeted: bool
    ) -> None:
        self._logits_fn, self._norm = logits_fn, norm
        self._num_classes, self._is_targeted = num_classes, is_targeted

    def start(
        self, images: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, points: tf.Tensor
    ) -> FabState:
        """Returns the first state; `targets` are ignored unless `is_targeted`."""
        points = tf.ensure_shape(points, images.shape)
        no_distance = tf.zeros_like(labels, tf.float32) + _NOTHING
        return FabState(images, labels, targets, points, images, no_distance)

    def advance(
        self, state: FabState, first_step: int | tf.Tensor, last_step: int | tf.Tensor
    ) -> FabState:
        """Returns the state after the steps from `first_step` to before `last_step`."""
        images, labels = state.images, state.labels
        targets = state.targets if self._is_targeted else None
        hyperplane = _make_hyperplane(
            self._logits_fn, labels, targets, self._num_classes, self._norm
        )

        def body(
            i: tf.Tensor, points: tf.Tensor, best: tf.Tensor, best_distance: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            points = _towards_boundary(points, images, *hyperplane(points), self._norm)
            fooled = ~logit_losses.is_correct(self._logits_fn(points), labels)
            distance = tf.reshape(norms.lengths(points - images, self._norm), [-1])
            improved = fooled & (distance < best_distance)
            best = norms.choose(improved, points, best)
            best_distance = tf.where(improved, distance, best_distance)
            points = norms.choose(fooled, images + _KEPT * (points - images), points)
            return i + 1, points, best, best_distance

        _, points, best, best_distance = while_loop(
            lambda i, *_: i < last_step,
            body,
            (tf.convert_to_tensor(first_step), *state[3:]),
        )
        return state._replace(points=points, best_images=best, best_distance=best_distance)


def _towards_boundary(
    points: tf.Tensor, images: tf.Tensor, difference: tf.Tensor, normals: tf.Tensor, norm: str
) -> tf.Tensor:
    """Returns one step of FAB, before the model has seen it."""
    # The two projections are one batch of twice the size. Both excesses come from the
    # linear model at `points`: there it is the difference of logits itself.
    excess = tf.reduce_sum(normals * (images - points), axis=[1, 2, 3]) + difference
    steps = step_onto_hyperplane(
        tf.concat([points, images], axis=0),
        tf.concat([normals, normals], axis=0),
        tf.concat([difference, excess], axis=0),
        norm=norm,
    )
    from_points, from_images = tf.split(steps, 2)
    near = tf.maximum(norms.lengths(from_points, norm), 1e-8)
    far = tf.maximum(norms.lengths(from_images, norm), 1e-8)
    pull = tf.minimum(near / (near + far), _MOST_PULL)
    moved = points + _OVERSHOOT * from_points
    anchored = images + _OVERSHOOT * from_images
    return tf.clip_by_value((1.0 - pull) * moved + pull * anchored, 0.0, 1.0)


def _make_hyperplane(
    logits_fn: LogitsFunction,
    labels: tf.Tensor,
    targets: tf.Tensor | None,
    num_classes: int,
    norm: str,
) -> Callable[[tf.Tensor], Hyperplane]:
    """Returns points -> (difference of logits [B], its gradient) of the boundary to cross."""

    def towards(points: tf.Tensor, classes: tf.Tensor) -> Hyperplane:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            logits = logits_fn(points)
            wanted = tf.gather(logits, classes, axis=1, batch_dims=1)
            difference = wanted - tf.gather(logits, labels, axis=1, batch_dims=1)
            total = tf.reduce_sum(difference)
        gradient = tape.gradient(total, points)
        check_gradient(gradient)
        return difference, gradient

    def nearest(points: tf.Tensor) -> Hyperplane:
        def compare(
            offset: tf.Tensor, distance: tf.Tensor, difference: tf.Tensor, normals: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            other, gradient = towards(points, (labels + offset) % num_classes)
            # The length of the step to a hyperplane is measured in the dual norm.
            dual = tf.norm(
                tf.reshape(gradient, [tf.shape(points)[0], -1]), 2 if norm == "l2" else 1, axis=1
            )
            away = tf.abs(other) / (dual + _TINY)
            closer = away < distance
            normals = norms.choose(closer, gradient, normals)
            return (
                offset + 1,
                tf.where(closer, away, distance),
                tf.where(closer, other, difference),
                normals,
            )

        zeros = tf.zeros_like(labels, tf.float32)
        first = (tf.constant(1), zeros + float("inf"), zeros, tf.zeros_like(points))
        loop = tf.while_loop(
            lambda offset, *_: offset < num_classes, compare, first, parallel_iterations=1
        )
        return loop[2], loop[3]

    return nearest if targets is None else lambda points: towards(points, targets)
