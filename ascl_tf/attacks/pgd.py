"""Projected gradient ascent in the l-infinity and the l2 ball: the loop, nothing else.

The objective is a callable, so the same loop works for cross-entropy, KL and the contrastive
losses:

    objective = lambda x: cross_entropy_loss(classifier(x, training=False), labels)
    adversarial_images = linf_pgd(
        objective, images, epsilon=8 / 255, step_size=2 / 255, num_steps=10,
        random_start=True, seed=seed)
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ascl_tf.attacks import norms
from ascl_tf.attacks.arguments import (
    as_tensor,
    check_integer,
    check_not_negative,
    check_numbers,
    check_seed,
    known_value,
)
from ascl_tf.loops import while_loop


def linf_pgd(
    objective: Callable[..., Any],
    images: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    random_start: bool = False,
    seed: tf.Tensor | None = None,
    clip_min: float | tf.Tensor = 0.0,
    clip_max: float | tf.Tensor = 1.0,
    constants: Sequence[tf.Tensor] = (),
    gathers_across_replicas: bool = False,
    observation_dtype: tf.DType | None = None,
) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Returns images in the l-infinity ball that increase `objective`.

    Repeats x <- clip(x + step_size * sign(grad_x sum_i objective(x)_i)), where clip projects
    onto the ball around `images` and onto the box at once.
    Madry et al. 2018, arXiv:1706.06083, Eq. 3; ASCL's Eq. 2.

    Only the gradient with respect to the images is computed. The caller must run the model in
    inference mode inside `objective`, so that no batch-norm statistics change.

    Args:
        objective: callable (images, *constants) -> float tensor whose sum is
            maximized; usually [B], one value per image.
        images: [B, H, W, C] floating point in [clip_min, clip_max]. float64 stays
            float64, every other type becomes float32.
        epsilon: radius of the ball in pixel units, such as 8 / 255; a number, or a tensor or array
            that broadcasts to the images.
        step_size: length of one step, in the same form as `epsilon`.
        num_steps: Python int >= 0.
        random_start: whether to start from a uniformly random point in the ball.
        seed: int32 [2], or [B, 2] with one pair per image; required for `random_start`.
        clip_min, clip_max: the box, as numbers, tensors or arrays that broadcast to the images.
        constants: additional tensors that are passed to `objective`.
        gathers_across_replicas: whether `objective` contains a collective, which raises inside a
            replica's `tf.while_loop`. The loop then runs in cross-replica context, and each step
            is a `strategy.run`. Pass every replica tensor that `objective` uses through
            `constants`: tensors in its closure belong to another graph there.
        observation_dtype: None, or the dtype of a second tensor that `objective` then
            returns in addition to its values, such as which images are still classified
            correctly. Requires at least one step, and no `gathers_across_replicas`.

    Returns:
        Tensor like `images`, under `tf.stop_gradient`. With `observation_dtype`, a pair: that
        tensor, and the observations [num_steps, ...] where the gradients were taken: at the start
        and after each step but the last. They cost no additional forward pass.

    Raises:
        ValueError: for a rank, dtype, radius, step or number of steps that does not fit the
            above, for images outside the box if their values are known (outside a graph), for
            `random_start` without `seed`, and for an `objective` that has no gradient with
            respect to its images.

    Example:
        >>> images = tf.fill([1, 2, 2, 3], 0.5)
        >>> def brightness(images):
        ...     return tf.reduce_sum(images, axis=[1, 2, 3])
        >>> brighter = linf_pgd(
        ...     brightness, images, epsilon=8 / 255, step_size=2 / 255, num_steps=3
        ... )
        >>> print((255 * (brighter - images)).numpy().max().round(2))
        6.0
    """
    return _pgd(
        "linf",
        objective,
        images,
        epsilon=epsilon,
        step_size=step_size,
        num_steps=num_steps,
        random_start=random_start,
        seed=seed,
        clip_min=clip_min,
        clip_max=clip_max,
        constants=constants,
        gathers_across_replicas=gathers_across_replicas,
        observation_dtype=observation_dtype,
    )


def l2_pgd(
    objective: Callable[..., Any],
    images: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    **settings: Any,
) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Returns images in the l2 ball that increase `objective`.

    Repeats x <- clip(P(x + step_size * g / |g|)), where g = grad_x sum_i objective(x)_i and |g|
    is its l2 norm, image by image. P moves a perturbation longer than `epsilon` back onto the
    sphere around its image, and clip projects onto the box. An image whose g is zero stays.
    Madry et al. 2018, arXiv:1706.06083, section 2.1 and appendix C.

    `random_start` is uniform in the ball: a direction drawn from the normal distribution, with
    length epsilon * u^(1/d), where u is uniform in [0, 1) and d = H * W * C; then the clip.

    Args:
        objective, images, num_steps: as in `linf_pgd`, as are the result, dtypes and errors.
        epsilon: radius of the ball, the l2 norm of a whole image in pixel units, such as
            128 / 255; a number, or [B, 1, 1, 1].
        step_size: length of one step, in the same form as `epsilon`.
        **settings: the other settings of `linf_pgd`, with the same defaults.

    Example:
        >>> images = tf.fill([1, 2, 2, 3], 0.5)
        >>> def brightness(images):
        ...     return tf.reduce_sum(images, axis=[1, 2, 3])
        >>> brighter = l2_pgd(
        ...     brightness, images, epsilon=128 / 255, step_size=15 / 255, num_steps=3
        ... )
        >>> print((255 * tf.norm(brighter - images)).numpy().round(2))
        45.0
    """
    return _pgd(
        "l2",
        objective,
        images,
        epsilon=epsilon,
        step_size=step_size,
        num_steps=num_steps,
        **settings,
    )


def _pgd(
    norm: str,
    objective: Callable[..., Any],
    images: tf.Tensor,
    *,
    epsilon: float,
    step_size: float,
    num_steps: int,
    random_start: bool = False,
    seed: tf.Tensor | None = None,
    clip_min: float | tf.Tensor = 0.0,
    clip_max: float | tf.Tensor = 1.0,
    constants: Sequence[tf.Tensor] = (),
    gathers_across_replicas: bool = False,
    observation_dtype: tf.DType | None = None,
) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Runs `linf_pgd` or `l2_pgd`."""
    images = _as_images(images)
    _validate(images, norm, epsilon, step_size, num_steps, random_start, seed)
    _validate_box(images, clip_min, clip_max)
    if observation_dtype is not None:
        _validate_observation(num_steps, gathers_across_replicas)
    limits = norms.make_limits(
        images, epsilon=epsilon, norm=norm, clip_min=clip_min, clip_max=clip_max
    )
    start = images
    if random_start:
        start = norms.uniform_start(images, epsilon=epsilon, norm=norm, seed=seed)
        # Not into the ball, where it is: only rounding could move it.
        start = tf.clip_by_value(start, *limits[-2:])

    def ascend(x: tf.Tensor, *tensors: tf.Tensor) -> Any:
        limits_here, constants = tensors[: len(limits)], tensors[len(limits) :]
        # The tape is opened inside the loop body: one step's graph, not num_steps of them.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values, observation = objective(x, *constants), None
            if observation_dtype is not None:
                values, observation = values
            total = tf.reduce_sum(values)
        gradient = tape.gradient(total, x)
        if gradient is None:
            raise ValueError("`objective` must depend on its images; received one that does not.")
        moved = x + step_size * norms.direction(gradient, norm)
        x = norms.project(moved, *limits_here, norm=norm)
        return x if observation_dtype is None else (x, observation)

    if observation_dtype is not None:
        found = _observing_loop(ascend, num_steps, observation_dtype, start, *limits, *constants)
        return tuple(tf.stop_gradient(part) for part in found)
    loop = _loop_across_replicas if _needs_merge(gathers_across_replicas) else _loop
    return tf.stop_gradient(loop(ascend, num_steps, start, *limits, *constants))


def _loop(
    step: Callable[..., Any], num_steps: int, x: tf.Tensor, *constants: tf.Tensor
) -> tf.Tensor:
    """Applies `step` num_steps times, as one `tf.while_loop`."""
    return while_loop(
        lambda i, _: i < num_steps,
        lambda i, x: (i + 1, step(x, *constants)),
        (tf.constant(0), x),
    )[1]


def _observing_loop(
    step: Callable[..., Any], num_steps: int, dtype: tf.DType, x: tf.Tensor, *constants: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `_loop`, for a `step` that returns (x, observation); also returns the observations."""

    def body(i: tf.Tensor, x: tf.Tensor, observations: tf.TensorArray) -> tuple[tf.Tensor, ...]:
        x, observation = step(x, *constants)
        return i + 1, x, observations.write(i, observation)

    _, x, observations = while_loop(
        lambda i, *_: i < num_steps,
        body,
        (tf.constant(0), x, tf.TensorArray(dtype, num_steps)),
    )
    return x, observations.stack()


def _loop_across_replicas(
    step: Callable[..., Any], num_steps: int, x: tf.Tensor, *constants: tf.Tensor
) -> tf.Tensor:
    """As `_loop`, for steps that contain a collective: one `strategy.run` per step."""

    def merged(strategy: tf.distribute.Strategy, x: tf.Tensor, *constants: tf.Tensor) -> tf.Tensor:
        return _loop(lambda x, *rest: strategy.run(step, args=(x, *rest)), num_steps, x, *constants)

    return tf.distribute.get_replica_context().merge_call(merged, args=(x, *constants))


def _needs_merge(gathers_across_replicas: bool) -> bool:
    context = tf.distribute.get_replica_context()
    return gathers_across_replicas and context is not None and context.num_replicas_in_sync > 1


def _as_images(images: tf.Tensor) -> tf.Tensor:
    images = as_tensor("images", images)
    if not images.dtype.is_floating:
        raise ValueError(
            "`images` must be floating point, such as uint8 images divided by 255; "
            f"received dtype {images.dtype.name}."
        )
    return images if images.dtype == tf.float64 else tf.cast(images, tf.float32)


def _validate(
    images: tf.Tensor,
    norm: str,
    epsilon: float,
    step_size: float,
    num_steps: int,
    random_start: bool,
    seed: tf.Tensor | None,
) -> None:
    if images.shape.rank != 4:
        raise ValueError(
            f"`images` must have shape [batch, height, width, channels]; received {images.shape}."
        )
    # In the l2 norm a length is that of a whole image.
    shape = images.shape if norm == "linf" else tf.TensorShape([images.shape[0], 1, 1, 1])
    check_numbers(shape, images.dtype, epsilon=epsilon, step_size=step_size)
    check_not_negative(epsilon=epsilon, step_size=step_size)
    _validate_num_steps(num_steps)
    if random_start and seed is None:
        raise ValueError("`random_start=True` needs a `seed` (int32 [2] or [B, 2]); received None.")
    if random_start:
        check_seed(seed, images)


def _validate_num_steps(num_steps: Any) -> None:
    known = num_steps
    if tf.is_tensor(num_steps):
        if num_steps.dtype != tf.int32 or num_steps.shape.rank != 0:
            raise ValueError(f"`num_steps` must be an int32 scalar; received {num_steps}.")
        known = known_value(num_steps)
        known = 0 if known is None else int(known)
    check_integer("num_steps", known, 0, 2**31 - 1)


def _validate_box(
    images: tf.Tensor, clip_min: float | tf.Tensor, clip_max: float | tf.Tensor
) -> None:
    check_numbers(images.shape, images.dtype, clip_min=clip_min, clip_max=clip_max)
    # In the images' own type: float32 rounds 0.1 upwards.
    bounds = [tf.cast(bound, images.dtype) for bound in (clip_min, clip_max)]
    lowest, highest = (known_value(bound) for bound in bounds)
    if lowest is None or highest is None:
        return
    # Each comparison is written so that NaN fails too.
    if not np.all(lowest <= highest):
        raise ValueError(
            f"`clip_min` must be at most `clip_max`; received {clip_min} and {clip_max}."
        )
    values = known_value(images)
    if values is not None and not np.all((values >= lowest) & (values <= highest)):
        raise ValueError(
            f"`images` must be in the box [`clip_min`, `clip_max`] = [{clip_min}, {clip_max}]; "
            f"received values from {values.min():g} to {values.max():g}."
        )


def _validate_observation(num_steps: int, gathers_across_replicas: bool) -> None:
    if num_steps < 1:
        raise ValueError(f"`num_steps` must be >= 1 to observe something; received {num_steps}.")
    if gathers_across_replicas:
        raise ValueError(
            "`observation_dtype` must be None with `gathers_across_replicas`; received both."
        )
