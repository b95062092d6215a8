"""Weight loss landscape: the adversarial loss along one direction in the space of weights."""

import contextlib

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.analysis.landscape_inputs import as_landscape_inputs, centered_offsets, check_counts
from ascl_tf.attacks import linf_pgd
from ascl_tf.attacks.arguments import check_positive
from ascl_tf.errors import RunError
from ascl_tf.losses import cross_entropy_loss

# Keep these draws apart from others with the same seed.
_START_STREAM, _DIRECTION_STREAM = 0x3E16, 0xD1EC
# Shares of the largest offset at which each image's rise is kept.
_PROFILE = {"rise_half": 0.5, "rise": 1.0}


def weight_landscape(
    logits_fn,
    weights,
    images,
    labels,
    *,
    epsilon,
    step_size,
    num_steps,
    random_start=True,
    seed=0,
    max_offset=1.0,
    num_points=21,
    num_directions=5,
    batch_size=250,
    progress=None,
):
    """Returns the adversarial loss with the weights moved along a random direction.

    With d the first direction of `filter_normalized_direction`, the value at offset a is the mean
    over images of

        max_{|delta| <= epsilon} CE(f_{w + a d}(x + delta), y),    a from -max_offset to max_offset

    ASCL, figure 5; Wu et al. 2020, arXiv:2004.05884, section 3. The maximum is that of PGD,
    recomputed for the moved weights at every offset. It starts from the same point of each
    image at every offset, so that the curve shows the weights and not the start.

    Args:
        logits_fn: what `ascl_tf.attacks.logits.as_logits_function` takes, in inference mode.
        weights: the variables that `logits_fn` uses. They are moved, and hold what they held,
            bit for bit, when the function returns or raises.
        images: [N, H, W, C], float in [0, 1].
        labels: int [N].
        epsilon, step_size, num_steps, random_start: as in `ascl_tf.attacks.linf_pgd`.
        seed: Python int; direction and starts belong to it.
        max_offset: the largest offset; at 1 the direction is as long as the weights.
        num_points: offsets on the curve; odd, so that 0 is one of them.
        num_directions: directions that the measures are means of; the curve is the first one's.
        batch_size: images at once; changes time and memory, and losses by rounding at most.
        progress: callable (points done, points to do), or None.

    Returns:
        Dictionary that JSON can hold: `offsets` [P]; `losses` [P], in nats; `centre_loss`,
        that at 0; `measures`, N floats each: `rise_half` and `rise`, how much more an image's
        loss is at half of `max_offset` and at `max_offset`, mean over the directions;
        `num_images`; and `parameters`.

    Raises:
        ValueError: if an argument is not as above.
        RunError: if a loss is not finite.
    """
    check_positive(max_offset=max_offset)
    check_counts(batch_size=batch_size, num_points=num_points)
    if num_directions < 1:
        raise ValueError(f"`num_directions` must be >= 1; received {num_directions}.")
    logits_fn, images, labels = as_landscape_inputs(logits_fn, images, labels)
    directions = [
        filter_normalized_direction(weights, seed=seed, number=n) for n in range(num_directions)
    ]
    if not any(step.any() for step in directions[0]):
        raise ValueError(
            "`weights` must hold at least one kernel that is not zero; received "
            f"{len(directions[0])} variables without one."
        )
    offsets = centered_offsets(max_offset, num_points)
    # (offset, number of the direction) of the curve, then of the profile, which share some.
    places = [(float(offset), 0) for offset in offsets]
    places += [(s * max_offset, n) for s in _PROFILE.values() for n in range(num_directions)]
    attack = {"epsilon": float(epsilon), "step_size": float(step_size), "num_steps": num_steps}
    adversarial_loss = _make_adversarial_loss(
        logits_fn, images, labels, seed, batch_size, attack | {"random_start": random_start}
    )
    losses = dict.fromkeys(places)
    with _weights_kept(weights) as originals:
        for num_done, (offset, number) in enumerate(losses, start=1):
            for weight, original, step in zip(weights, originals, directions[number], strict=True):
                weight.assign(original + np.float32(offset) * step)
            losses[offset, number] = adversarial_loss()
            if progress is not None:
                progress(num_done, len(losses))
    return {
        **_describe(offsets, np.array([losses[place] for place in places], np.float64)),
        "num_images": len(images),
        "parameters": {
            "max_offset": float(max_offset),
            "num_points": num_points,
            "num_directions": num_directions,
            "seed": seed,
            **attack,
            "random_start": random_start,
        },
    }


def _describe(offsets, losses):
    """Returns what losses [points, N] say: those of the curve first, then those of the profile."""
    if not np.all(np.isfinite(losses)):
        raise RunError("weight landscape: expected finite losses; the model returned NaN or inf")
    curve, profile = losses[: len(offsets)], losses[len(offsets) :]
    rises = profile.reshape(len(_PROFILE), -1, losses.shape[1]) - curve[len(offsets) // 2]
    means = rises.mean(axis=1)
    return {
        "offsets": offsets.tolist(),
        "losses": curve.mean(axis=1).tolist(),
        "centre_loss": float(curve[len(offsets) // 2].mean()),
        "measures": {name: rise.tolist() for name, rise in zip(_PROFILE, means, strict=True)},
    }


def filter_normalized_direction(weights, *, seed=0, number=0):
    """Returns a Gaussian direction, each filter of which is as long as the filter in `weights`.

        d_f <- d_f / ||d_f|| * ||w_f||    (l2 norm, for each filter f)

    Li et al. 2018, arXiv:1712.09913, section 4. A filter is all that makes one output channel:
    a slice of the last axis, as Keras stores kernels of convolutions and dense layers. Biases
    and the parameters of batch normalization, of rank 1 or 0, do not move, as with
    `--xignore biasbn` of the authors' code. The same seed and shapes give the same numbers
    before normalization: models of one architecture are compared along one draw.

    Args:
        weights: variables or arrays.
        seed: Python int.
        number: Python int >= 0, one of several directions of a seed.

    Returns:
        List of NumPy float32 arrays, shaped as `weights`.
    """
    generator = np.random.Generator(np.random.Philox([seed, _DIRECTION_STREAM + number]))
    return [_normalized(_array(weight), generator) for weight in weights]


def _normalized(weight, generator):
    if weight.ndim < 2:
        return np.zeros_like(weight)
    noise = generator.standard_normal(weight.shape)
    axes = tuple(range(weight.ndim - 1))
    lengths = np.sqrt(np.sum(np.square(weight, dtype=np.float64), axis=axes))
    noise_lengths = np.sqrt(np.sum(np.square(noise), axis=axes))
    return (noise * (lengths / noise_lengths)).astype(weight.dtype)


def _make_adversarial_loss(logits_fn, images, labels, seed, batch_size, attack):
    """Returns a function () -> adversarial cross-entropies at the present weights, [N]."""
    seeds = randomness.position_seeds(
        tf.constant([seed, _START_STREAM], tf.int32), tf.range(len(images))
    )

    def batch_losses(images, labels, seeds):
        def objective(images):
            return cross_entropy_loss(logits_fn(images), labels)

        return objective(linf_pgd(objective, images, seed=seeds, **attack))

    # The number of images is left open, so that one trace serves the last batch too.
    traced = tf.function(
        batch_losses,
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, *images.shape[1:]], tf.float32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, 2], tf.int32),
        ],
    )

    def adversarial_loss():
        starts = range(0, len(images), batch_size)
        batches = (slice(begin, begin + batch_size) for begin in starts)
        return np.concatenate(
            [traced(images[rows], labels[rows], seeds[rows]).numpy() for rows in batches]
        )

    return adversarial_loss


@contextlib.contextmanager
def _weights_kept(weights):
    """Yields what the weights hold, and lets them hold it again at the end."""
    originals = [_array(weight) for weight in weights]
    try:
        yield originals
    finally:
        for weight, original in zip(weights, originals, strict=True):
            weight.assign(original)


def _array(weight):
    # A copy: on the CPU `numpy()` may show the memory of the variable itself.
    return np.array(weight.numpy() if hasattr(weight, "numpy") else weight)
