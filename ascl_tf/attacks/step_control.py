"""Step-size control of APGD: when it halves the step, and what it keeps for each image.

Croce and Hein 2020, arXiv:2003.01690, section 3.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import norms

# The paper's constants: the step is halved where at most this share of the steps raised
# the loss; the first step in radii.
_RISING_SHARE = 0.75
_FIRST_STEP = 2.0


class Checkpoint(NamedTuple):
    """Point after `step` steps at which the last `window` of them are judged."""

    step: int
    window: int


def checkpoints(num_steps: int) -> list[Checkpoint]:
    """Returns the steps after which the step size may be halved.

    Windows of 22 %, then 3 % less each time, at least 6 % of the steps: the paper's
    p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06), in whole steps.

    Args:
        num_steps: Python int >= 1.
    """
    window = max(int(0.22 * num_steps), 1)
    shrink, smallest = max(int(0.03 * num_steps), 1), max(int(0.06 * num_steps), 1)
    found: list[Checkpoint] = []
    step = window
    while step <= num_steps:
        found.append(Checkpoint(step, window))
        window = max(window - shrink, smallest)
        step += window
    return found


def windows(num_steps: int) -> tf.Tensor:
    """Returns int32 [num_steps]: the window judged after each step, 0 if there is none."""
    windows = np.zeros(num_steps, np.int32)
    for checkpoint in checkpoints(num_steps):
        windows[checkpoint.step - 1] = checkpoint.window
    return tf.constant(windows)


class ControlState(NamedTuple):
    """Variables of APGD's loop. Images [B, H, W, C], numbers [B] and [B, 1, 1, 1] (step).

    An image is robust until an iterate, or the start, is misclassified.
    """

    images: tf.Tensor
    previous_images: tf.Tensor
    gradient: tf.Tensor
    step_size: tf.Tensor
    is_robust: tf.Tensor
    adversarial_images: tf.Tensor
    best_images: tf.Tensor
    best_gradient: tf.Tensor
    best_loss: tf.Tensor
    best_loss_at_checkpoint: tf.Tensor
    last_loss: tf.Tensor
    num_rises: tf.Tensor
    was_reduced: tf.Tensor


def first_state(
    start: tf.Tensor, correct: tf.Tensor, loss: tf.Tensor, gradient: tf.Tensor, epsilon: float
) -> ControlState:
    """Returns the state at the start: [B, H, W, C], [B], [B], [B, H, W, C], radius."""
    zeros = tf.zeros_like(loss)
    return ControlState(
        images=start,
        previous_images=start,
        gradient=gradient,
        step_size=_per_image(zeros + _FIRST_STEP * epsilon),
        is_robust=correct,
        adversarial_images=start,
        best_images=start,
        best_gradient=gradient,
        best_loss=loss,
        best_loss_at_checkpoint=loss,
        # The first step is compared with 0 and not with the loss of the start: so does
        # the official code, and it decides the first checkpoint of an image now and then.
        last_loss=zeros,
        num_rises=zeros,
        # No reduction for want of progress at the first checkpoint.
        was_reduced=tf.ones_like(loss, tf.bool),
    )


def advance(
    state: ControlState,
    points: tf.Tensor,
    correct: tf.Tensor,
    loss: tf.Tensor,
    gradient: tf.Tensor,
) -> ControlState:
    """Returns the state after one step to `points`, before any checkpoint."""
    improved = loss > state.best_loss
    return state._replace(
        images=points,
        previous_images=state.images,
        gradient=gradient,
        is_robust=state.is_robust & correct,
        adversarial_images=norms.choose(correct, state.adversarial_images, points),
        best_images=norms.choose(improved, points, state.best_images),
        best_gradient=norms.choose(improved, gradient, state.best_gradient),
        best_loss=tf.where(improved, loss, state.best_loss),
        last_loss=loss,
        num_rises=state.num_rises + tf.cast(loss > state.last_loss, tf.float32),
    )


def halve(state: ControlState, window: tf.Tensor) -> ControlState:
    """Returns the state after a checkpoint that judges `window` steps; 0: no checkpoint."""
    is_checkpoint = window > 0
    few_rises = state.num_rises <= _RISING_SHARE * tf.cast(window, tf.float32)
    stuck = ~state.was_reduced & (state.best_loss_at_checkpoint >= state.best_loss)
    reduced = is_checkpoint & (few_rises | stuck)
    # The previous images stay: the next momentum leads from there to the best images.
    return state._replace(
        images=norms.choose(reduced, state.best_images, state.images),
        gradient=norms.choose(reduced, state.best_gradient, state.gradient),
        step_size=norms.choose(reduced, 0.5 * state.step_size, state.step_size),
        was_reduced=tf.where(is_checkpoint, reduced, state.was_reduced),
        best_loss_at_checkpoint=tf.where(
            is_checkpoint, state.best_loss, state.best_loss_at_checkpoint
        ),
        num_rises=tf.where(is_checkpoint, 0.0, state.num_rises),
    )


def _per_image(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, 1, 1, 1])
