"""APGD: projected gradient ascent with an adaptive step size.

Croce and Hein 2020, arXiv:2003.01690, Algorithm 1. It has three losses: cross-entropy, the
difference of logits ratio (DLR), and the targeted DLR, with one run per target class.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from ascl_tf.attacks import logit_losses, norms, step_control
from ascl_tf.attacks.arguments import (
    as_batch,
    check_choice,
    check_counts,
    check_gradient,
    check_integer,
    check_positive,
    check_seed,
)
from ascl_tf.attacks.logits import LogitsFunction
from ascl_tf.attacks.rounds import fooling_images, round_seeds
from ascl_tf.loops import while_loop

# The losses, and how many classes each needs to be defined.
CLASSES_NEEDED = {"ce": 2, "dlr": 3, "targeted_dlr": 4}

# Which images are classified correctly, losses, gradient.
Evaluation = tuple[tf.Tensor, tf.Tensor, tf.Tensor]

# The paper's weight of the new step against the momentum.
_STEP_WEIGHT = 0.75


def apgd(
    logits_fn: LogitsFunction,
    images: tf.Tensor,
    labels: tf.Tensor,
    *,
    epsilon: float,
    loss: str = "ce",
    norm: str = "linf",
    num_steps: int = 100,
    num_restarts: int = 1,
    num_targets: int = 9,
    eot_iter: int = 1,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Returns images in the ball that the classifier misclassifies, if APGD finds them.

    Args:
        logits_fn: callable images -> logits [B, K], in inference mode.
        images: [B, H, W, C] float in [0, 1].
        labels: int [B].
        epsilon: radius of the ball in pixel units, such as 8 / 255.
        loss: `ce`, `dlr` (K >= 3) or `targeted_dlr` (K >= 4). The last one targets each of the
            `num_targets` most likely other classes in turn; any misclassification counts as
            success, whatever the target.
        norm: `linf` or `l2`.
        num_steps: number of gradient steps in one run.
        num_restarts: number of runs (for each target) from new random starts.
        num_targets: number of target classes, at most K - 1.
        eot_iter: number of gradients averaged in each step, for models with random output.
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
        >>> found = apgd(logits_fn, images, [0], epsilon=8 / 255, num_steps=5, seed=[0, 0])
        >>> print([tf.argmax(logits_fn(shown), axis=1).numpy() for shown in (images, found)])
        [array([0]), array([1])]
    """
    images, labels, num_classes = as_batch(logits_fn, images, labels)
    check_settings(loss=loss, norm=norm, num_classes=num_classes, num_targets=num_targets)
    check_positive(epsilon=epsilon)
    check_counts(num_steps=num_steps, num_restarts=num_restarts, eot_iter=eot_iter)
    check_seed(seed, images)
    clean_logits = logits_fn(images)
    search = ApgdSearch(
        logits_fn, epsilon=epsilon, loss=loss, norm=norm, num_steps=num_steps, eot_iter=eot_iter
    )

    def one_round(number: tf.Tensor) -> tf.Tensor:
        targets = labels
        if loss == "targeted_dlr":
            targets = logit_losses.likely_classes(clean_logits, number // num_restarts + 2)
        seeds = round_seeds(seed, number, images)
        start = norms.random_start(images, epsilon=epsilon, norm=norm, seeds=seeds)
        state = search.start(images, labels, targets, start)
        return search.advance(state, 0, num_steps).control.adversarial_images

    num_rounds = num_restarts * (num_targets if loss == "targeted_dlr" else 1)
    return fooling_images(logits_fn, one_round, num_rounds, images, labels)


def check_settings(*, loss: str, norm: str, num_classes: int, num_targets: int) -> None:
    """Raises ValueError unless the loss is defined for that many classes and targets."""
    check_choice("loss", loss, CLASSES_NEEDED)
    check_choice("norm", norm, norms.NORMS)
    needed = CLASSES_NEEDED[loss]
    if num_classes < needed:
        raise ValueError(
            f"`loss={loss}` needs logits of at least {needed} classes; received {num_classes}."
        )
    if loss == "targeted_dlr":
        check_integer("num_targets", num_targets, 1, num_classes - 1)


class ApgdState(NamedTuple):
    """State of a run. Every entry is per image, so that images can be dropped.

    Attributes:
        images, labels, targets: [B, H, W, C], [B] and [B], the images under attack.
        control: the variables that change from step to step.
    """

    images: tf.Tensor
    labels: tf.Tensor
    targets: tf.Tensor
    control: step_control.ControlState


class ApgdSearch:
    """One run of APGD, in parts: a start, and then any number of steps at a time.

    Args:
        logits_fn, epsilon, loss, norm, num_steps, eot_iter: as in `apgd`, not checked here.
    """

    def __init__(
        self,
        logits_fn: LogitsFunction,
        *,
        epsilon: float,
        loss: str,
        norm: str,
        num_steps: int,
        eot_iter: int,
    ) -> None:
        self._logits_fn, self._loss, self._eot_iter = logits_fn, loss, eot_iter
        self._epsilon, self._norm = epsilon, norm
        self._judged = step_control.windows(num_steps)

    def start(
        self, images: tf.Tensor, labels: tf.Tensor, targets: tf.Tensor, points: tf.Tensor
    ) -> ApgdState:
        """Returns the first state; `targets` are ignored without a targeted loss."""
        points = tf.ensure_shape(points, images.shape)
        correct, loss, gradient = self._make_evaluate(labels, targets)(points)
        control = step_control.first_state(points, correct, loss, gradient, self._epsilon)
        return ApgdState(images, labels, targets, control)

    def advance(
        self, state: ApgdState, first_step: int | tf.Tensor, last_step: int | tf.Tensor
    ) -> ApgdState:
        """Returns the state after the steps from `first_step` to before `last_step`.

        Both are ints or int32 scalars.
        """
        step = self._make_step(state)
        _, control = while_loop(
            lambda i, _: i < last_step,
            lambda i, control: (i + 1, step(i, control)),
            (tf.convert_to_tensor(first_step), state.control),
        )
        return state._replace(control=control)

    def _make_step(self, state: ApgdState) -> Callable[..., step_control.ControlState]:
        """Returns the function (i, control) -> control after step i."""
        evaluate = self._make_evaluate(state.labels, state.targets)
        move = _make_move(state.images, self._epsilon, self._norm)

        def step(i: tf.Tensor, control: step_control.ControlState) -> step_control.ControlState:
            points = move(i, control)
            correct, loss, gradient = evaluate(points)
            control = step_control.advance(control, points, correct, loss, gradient)
            return step_control.halve(control, tf.gather(self._judged, i))

        return step

    def _make_evaluate(
        self, labels: tf.Tensor, targets: tf.Tensor
    ) -> Callable[[tf.Tensor], Evaluation]:
        return _make_evaluate(self._logits_fn, labels, targets, self._loss, self._eot_iter)


def _make_evaluate(
    logits_fn: LogitsFunction, labels: tf.Tensor, targets: tf.Tensor, loss: str, eot_iter: int
) -> Callable[[tf.Tensor], Evaluation]:
    """Returns images -> (is correct, loss, gradient), with gradients averaged over `eot_iter`."""

    def losses_of(logits: tf.Tensor) -> tf.Tensor:
        if loss == "targeted_dlr":
            return logit_losses.targeted_dlr_loss(logits, labels, targets)
        return {"ce": logit_losses.cross_entropy, "dlr": logit_losses.dlr_loss}[loss](
            logits, labels
        )

    def once(images: tf.Tensor) -> Evaluation:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = logits_fn(images)
            values = losses_of(logits)
            total = tf.reduce_sum(values)
        gradient = tape.gradient(total, images)
        check_gradient(gradient)
        return logit_losses.is_correct(logits, labels), values, gradient

    def averaged(images: tf.Tensor) -> Evaluation:
        def add(
            i: tf.Tensor, correct: tf.Tensor, values: tf.Tensor, total: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            correct, values, gradient = once(images)
            return i + 1, correct, values, total + gradient

        # Correctness and loss are those of the last draw, as in the official code.
        zeros = tf.zeros_like(labels, tf.float32)
        first = (tf.constant(0), tf.zeros_like(labels, tf.bool), zeros, tf.zeros_like(images))
        _, correct, values, total = tf.while_loop(
            lambda i, *_: i < eot_iter, add, first, parallel_iterations=1
        )
        return correct, values, total / eot_iter

    return once if eot_iter == 1 else averaged


def _make_move(images: tf.Tensor, epsilon: float, norm: str) -> Callable[..., tf.Tensor]:
    project = norms.make_projection(images, epsilon=epsilon, norm=norm)

    def move(i: tf.Tensor, state: step_control.ControlState) -> tf.Tensor:
        ahead = project(state.images + state.step_size * norms.steepest(state.gradient, norm))
        momentum = state.images - state.previous_images
        weight = tf.where(i == 0, 1.0, _STEP_WEIGHT)
        step = weight * (ahead - state.images) + (1.0 - weight) * momentum
        return project(state.images + step)

    return move
