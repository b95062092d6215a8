"""Feature inversion: what image a component of the representation answers to most.

    x' = argmax over x in the box of g(x)_i, from a seed x0

with g the pooled features; eq. 11 of the paper, whose seeds are images and noise.
"""

import numbers

import numpy as np
import tensorflow as tf

from ascl_tf.analysis.features import (
    as_features_function,
    as_unit_images,
    compile_once,
    features_of,
)
from ascl_tf.analysis.inversion_agreement import agreement_of_components
from ascl_tf.analysis.inversion_choices import (
    ALIVE_THRESHOLD,
    MIN_ALIVE_SHARE,
    choose_probe_images,
    choose_seed_images,
    first_components,
    l2_norms,
    noise_of_same_norm,
    rank_components,
)
from ascl_tf.analysis.inversion_search import climb

# Draws of noise that the rise of a component is compared with.
NUM_NOISE_DRAWS = 5
# The agreement is measured of so many components, or of all that are alive.
MOST_MEASURED = 64


def compare_inversions(
    features_fns,
    images,
    *,
    num_natural=4,
    num_noise=2,
    num_components=5,
    num_probe_images=500,
    seed=0,
    num_steps=200,
    step_size=0.5,
    batch_size=250,
):
    """Returns the data of the inversion figure: the same seeds and components, several models.

    Natural seeds are images of the data set, noise seeds uniform in the box; components
    as `rank_components` says. The paper's figure 2.

    Args:
        features_fns: dictionary label -> function images -> features, as for
            `ascl_tf.analysis.features.as_features_function`.
        images: the test images [N, H, W, C], uint8, or float in [0, 1].
        num_natural, num_noise: how many seeds of each kind, together at least one.
        num_components: how many components.
        num_probe_images: images, chosen by `seed`, at which components must be alive;
            fewer where there are fewer.
        seed: Python int, of every choice.
        num_steps, step_size: as for `invert_features`.
        batch_size: images per call of a model, for the probe.

    Returns:
        With S = num_natural + num_noise and K = num_components:
        {"figure": "inversion",
         "parameters": those of `invert_features`, "num_natural", "num_noise",
          "num_components", "num_probe_images", "alive_threshold", "min_alive_share",
         "components": K ints,
         "seed_kinds": S times "natural" or "noise",
         "seed_indices": places in `images` of the natural seeds, None for noise,
         "seed_images": [S][H][W][C] floats in [0, 1],
         "models": one per entry, in order: {"label": str}, what `invert_features` returns,
          without "parameters", and "measures": {"agreement": what `agreement_of_components`
          says of the first 64 components in the order of `rank_components`}}.
        Images are rounded to four digits, finer than the gray levels of a picture.

    Raises:
        ValueError: if numbers or functions are not as above, or too few components are alive.
    """
    if not features_fns:
        raise ValueError("`features_fns` must hold at least one model; received none.")
    seeds = choose_seed_images(images, num_natural=num_natural, num_noise=num_noise, seed=seed)
    probe = choose_probe_images(images, num_images=num_probe_images, seed=seed)
    functions = features_fns.values()
    ranked = rank_components(
        [features_of(features_fn, probe, batch_size=batch_size) for features_fn in functions],
        [features_of(features_fn, seeds.images) for features_fn in functions],
        seed=seed,
    )
    components = first_components(ranked, num_components)
    search = {"num_steps": num_steps, "step_size": step_size, "seed": seed}
    results = {
        label: invert_features(features_fn, seeds.images, components, **search)
        for label, features_fn in features_fns.items()
    }
    agreements = {
        label: agreement_of_components(
            features_fn, ranked[:MOST_MEASURED], seeds.images.shape[1:], **search
        )
        for label, features_fn in features_fns.items()
    }
    parameters = [result.pop("parameters") for result in results.values()][0]
    return {
        "figure": "inversion",
        "parameters": {
            **parameters,
            "num_natural": num_natural,
            "num_noise": num_noise,
            "num_components": num_components,
            "num_probe_images": len(probe),
            "alive_threshold": ALIVE_THRESHOLD,
            "min_alive_share": MIN_ALIVE_SHARE,
        },
        "components": components.tolist(),
        "seed_kinds": seeds.kinds,
        "seed_indices": seeds.indices,
        "seed_images": _rounded(seeds.images),
        "models": [
            {
                "label": label,
                **result,
                "images": _rounded(result["images"]),
                "measures": {"agreement": agreements[label].tolist()},
            }
            for label, result in results.items()
        ],
    }


def invert_features(features_fn, seed_images, components, *, num_steps=200, step_size=0.5, seed=0):
    """Returns, for each seed image and component, the image that raises the component most.

    By normalized gradient ascent in the box [0, 1], without a ball: `inversion_search.climb`.

    Args:
        features_fn: images [B, H, W, C] -> pooled features [B, F]; as for
            `ascl_tf.analysis.features.as_features_function`.
        seed_images: [S, H, W, C], uint8, or float in [0, 1].
        components: K ints in 0..F - 1.
        num_steps: Python int >= 0.
        step_size: l2 length of a step, in pixels of range 1 (0.5 moves each of the 3,072
            pixels of a CIFAR image by about 0.009).
        seed: Python int, of the noise that the rise is compared with.

    Returns:
        {"parameters": {"num_steps", "step_size", "norm": "l2", "box": [0, 1], "seed",
          "num_noise_draws"},
         "images": [S][K][H][W][C] floats in [0, 1],
         "values_before", "values_after": [S][K] floats, the component at seed and image,
         "values_noise": [S][K], its mean at seed + noise of the same l2 norm as
          image - seed, over the draws of `noise_of_same_norm`,
         "perturbation_norms": [S][K], l2 norms of image - seed}.

    Raises:
        ValueError: if shapes and numbers are not as above, or `features_fn` does not
            depend on its images in a differentiable way.
    """
    seed_images, components = as_unit_images(seed_images), np.asarray(components)
    _validate(components, num_steps, step_size)
    features_fn = as_features_function(features_fn)
    shape = (len(seed_images), len(components))
    starts = np.repeat(seed_images, shape[1], axis=0)  # [S * K, H, W, C], seed-major
    which = tf.constant(np.tile(components, shape[0]), tf.int32)
    _check_components(features_fn, seed_images[:1], components)

    def values_of(images):
        return tf.gather(features_fn(images), which, batch_dims=1)

    def ascend(images):
        return climb(values_of, images, num_steps, step_size)

    measure = compile_once(values_of, starts.shape)
    before = measure(tf.constant(starts))
    images, after = compile_once(ascend, starts.shape)(tf.constant(starts))
    images = images.numpy()
    noise = [
        measure(tf.constant(noise_of_same_norm(starts, images, seed=[seed, draw])))
        for draw in range(NUM_NOISE_DRAWS)
    ]
    return {
        "parameters": {
            "num_steps": num_steps,
            "step_size": float(step_size),
            "norm": "l2",
            "box": [0, 1],
            "seed": seed,
            "num_noise_draws": NUM_NOISE_DRAWS,
        },
        "images": images.reshape(*shape, *images.shape[1:]).tolist(),
        "values_before": before.numpy().reshape(shape).tolist(),
        "values_after": after.numpy().reshape(shape).tolist(),
        "values_noise": np.mean(noise, axis=0).reshape(shape).tolist(),
        "perturbation_norms": l2_norms(images - starts).reshape(shape).tolist(),
    }


def _check_components(features_fn, image, components):
    """Tries one image: how many features there are, and whether they have a gradient."""
    image = tf.constant(image)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(image)
        features = features_fn(image)
    if tape.gradient(features, image) is None:
        raise ValueError(
            "`features_fn` must be differentiable with respect to its images; "
            "received a function whose gradient is None."
        )
    num_features = features.shape[1]
    if components.min() < 0 or components.max() >= num_features:
        raise ValueError(
            f"`components` must be in 0..{num_features - 1}, the features of the model; "
            f"received {components.tolist()}."
        )


def _validate(components, num_steps, step_size):
    if components.ndim != 1 or not components.size or components.dtype.kind not in "iu":
        raise ValueError(
            "`components` must be a list of integers, at least one; "
            f"received shape {components.shape}, dtype {components.dtype}."
        )
    if num_steps < 0:
        raise ValueError(f"`num_steps` must be >= 0; received {num_steps}.")
    if isinstance(step_size, numbers.Real) and not step_size >= 0:
        raise ValueError(f"`step_size` must be >= 0; received {step_size}.")


def _rounded(images):
    return np.round(np.asarray(images, np.float64), 4).tolist()
