"""Input loss landscape: the loss around images, along an adversarial and a random direction."""

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.analysis.landscape_inputs import as_landscape_inputs, centered_offsets, check_counts
from ascl_tf.attacks.arguments import check_gradient, check_positive
from ascl_tf.errors import RunError
from ascl_tf.losses import cross_entropy_loss

# Keeps these draws apart from others with the same seed.
_RANDOM_STREAM = 0x1A2D
# Shares of the radius along the adversarial direction at which each image's loss is kept.
_PROFILE = (0.0, 0.5, 1.0)


def input_landscape(
    logits_fn,
    images,
    labels,
    *,
    radius=16 / 255,
    grid_size=33,
    seed=0,
    batch_size=250,
    clip_to_box=False,
    progress=None,
):
    """Returns the mean cross-entropy over a grid of two directions around each image.

    With g = sign(grad_x CE(f(x), y)), taken once at the image, and r of random signs, the
    value at (a, b) is the mean over images of

        CE(f(x + a g + b r), y),    a, b from -radius to radius

    ASCL, figure 4. Both directions have l-infinity norm 1, so that a and b are in pixel units.
    The paper does not say whether images leave the box: here they do by default, since what
    clipping takes away from a direction differs from pixel to pixel, and the surface would
    no longer be that along the stated directions.

    Args:
        logits_fn: what `ascl_tf.attacks.logits.as_logits_function` takes.
        images: [N, H, W, C], float in [0, 1].
        labels: int [N].
        radius: half the side of the grid, in pixel units.
        grid_size: points per direction; odd, so that the center is a point.
        seed: Python int; the random signs of an image belong to (seed, place in `images`).
        batch_size: images at once; changes time and memory alone.
        clip_to_box: whether each point is clipped to [0, 1].
        progress: callable (images done, images to do), or None.

    Returns:
        Dictionary that JSON can hold: `adversarial_offsets` and `random_offsets`, [G] in pixel
        units; `mean_loss`, [G][G] in nats, rows along the adversarial direction; `centre_loss`;
        `num_zero_gradients`, the images without a gradient, whose adversarial direction is 0;
        `measures`, N floats each: `loss` at the image, `rise_half` and `rise`, how much more it
        is at half the radius and at the radius along the adversarial direction; `num_images`;
        and `parameters`.

    Raises:
        ValueError: if an argument is not as above.
        RunError: if a loss is not finite.
    """
    check_positive(radius=radius)
    check_counts(batch_size=batch_size, grid_size=grid_size)
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    offsets = centered_offsets(radius, grid_size)
    grid = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
    grid = np.concatenate([grid, [[share * radius, 0.0] for share in _PROFILE]])
    batch_landscape = _make_batch_landscape(logits_fn, grid, clip_to_box, images.shape[1:])
    losses, num_zero_gradients = [], 0
    for begin in range(0, len(images), batch_size):
        rows = slice(begin, begin + batch_size)
        random_signs = _random_signs(images[rows].shape, begin, seed)
        values, num_zero = batch_landscape(images[rows], labels[rows], random_signs)
        losses.append(values.numpy())
        num_zero_gradients += int(num_zero)
        if progress is not None:
            progress(min(begin + batch_size, len(images)), len(images))
    return {
        **_describe(offsets, np.concatenate(losses, axis=1)),
        "num_zero_gradients": num_zero_gradients,
        "num_images": len(images),
        "parameters": {
            "radius": float(radius),
            "grid_size": grid_size,
            "clip_to_box": clip_to_box,
            "seed": seed,
        },
    }


def landscape_directions(logits_fn, images, labels, *, seed=0):
    """Returns the adversarial and the random direction of each image, [N, H, W, C] float32.

    Args:
        logits_fn, images, labels, seed: as in `input_landscape`.

    Raises:
        ValueError: if an argument is not as above.
    """
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    return _adversarial_signs(logits_fn, images, labels), _random_signs(images.shape, 0, seed)


def _make_batch_landscape(logits_fn, grid, clip_to_box, image_shape):
    """Returns the traced function (images, labels, random signs) -> losses [points, B]."""
    points = tf.constant(grid, tf.float32)

    def batch_landscape(images, labels, random_signs):
        adversarial_signs = _adversarial_signs(logits_fn, images, labels)

        def loss_at(point):
            moved = images + point[0] * adversarial_signs + point[1] * random_signs
            if clip_to_box:
                moved = tf.clip_by_value(moved, 0.0, 1.0)
            return cross_entropy_loss(logits_fn(moved), labels)

        losses = tf.map_fn(
            loss_at,
            points,
            fn_output_signature=tf.TensorSpec([None], tf.float32),
            parallel_iterations=1,
        )
        is_zero = tf.reduce_all(adversarial_signs == 0, axis=[1, 2, 3])
        return losses, tf.math.count_nonzero(is_zero)

    # The number of images is left open, so that one trace serves the last batch too.
    batch = tf.TensorSpec([None, *image_shape], tf.float32)
    signature = [batch, tf.TensorSpec([None], tf.int32), batch]
    return tf.function(batch_landscape, autograph=False, input_signature=signature)


def _adversarial_signs(logits_fn, images, labels):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        total = tf.reduce_sum(cross_entropy_loss(logits_fn(images), labels))
    gradient = tape.gradient(total, images)
    check_gradient(gradient)
    return tf.sign(gradient)


def _random_signs(shape, first_position, seed):
    """Returns -1 or 1 for each value of images at `first_position` and after it."""
    positions = tf.range(first_position, first_position + shape[0])
    seeds = randomness.position_seeds(tf.constant([seed, _RANDOM_STREAM], tf.int32), positions)
    uniform = randomness.uniform(list(shape), seeds)
    return tf.where(uniform < 0.5, -1.0, 1.0)


def _describe(offsets, losses):
    """Returns what losses [points, N] say: those of the grid first, then those of the profile."""
    if not np.all(np.isfinite(losses)):
        raise RunError("input landscape: expected finite losses; the model returned NaN or inf")
    center, (at_image, half, whole) = len(offsets) // 2, losses[-len(_PROFILE) :]
    mean_loss = losses[: -len(_PROFILE)].mean(axis=1, dtype=np.float64)
    mean_loss = mean_loss.reshape(len(offsets), len(offsets))
    measures = {"loss": at_image, "rise_half": half - at_image, "rise": whole - at_image}
    return {
        "adversarial_offsets": offsets.tolist(),
        "random_offsets": offsets.tolist(),
        "mean_loss": mean_loss.tolist(),
        "centre_loss": float(mean_loss[center, center]),
        "measures": {name: values.tolist() for name, values in measures.items()},
    }
