"""cleverhans' attacks behind our signature: a second opinion on robust accuracy.

The only import of cleverhans. Always stated, because its defaults differ from
ours: the box [0, 1] (by default images leave it), the true labels (by default
the model's own predictions), `rand_init`, and `sanity_checks=False` (with a box,
the checks of its PGD loop put a bool beside tensors of image shape and raise
whatever the input).

Random starts are ours: cleverhans draws them from TensorFlow's stateful
generator, so a number would depend on the size of the batch and on what ran
before. Its own loop is run with `random_lp_vector` bound to our stateless
numbers, one seed per image; step, projection and clipping stay cleverhans'.
`madry_et_al` draws from a ball of 0.3 by default, whatever epsilon; here the
start is uniform in the ball of epsilon, as in Madry et al. 2018.

Left out, measured with cleverhans 4.0.0 beside Keras 3.15:

* `carlini_wagner_l2`: calls `optimizer.variables()`, which Keras 3 made a
  property (TypeError). With an optimizer that has the method it still fails for
  most batches: its constant has the shape of the images, its bounds the shape of
  the batch, and ten images of 3 channels do not broadcast (ValueError). Given
  labels, it takes them for targets. It bounds no l-infinity norm either.
* `spsa`: builds its own Keras 2 optimizer, whose `lr` Keras 3 refuses
  (ValueError), and takes none from outside. The loop below it does, but takes
  one image at a time and draws from the stateful generator.
"""

import types

import numpy as np
import tensorflow as tf

from ascl_tf import randomness
from ascl_tf.attacks.arguments import check_pixels, check_shapes, known_value

KINDS = ("fgm", "bim", "mim", "madry", "pgd")


def cleverhans_attack(
    kind,
    logits_fn,
    images,
    labels,
    *,
    epsilon,
    step_size,
    num_steps,
    random_start=False,
    seed=None,
    decay_factor=None,
):
    """Returns adversarial images made by cleverhans, in ball and box.

    Maximizes the cross-entropy of `logits_fn`. In a graph the loop is unrolled.

    Args:
        kind: `fgm` (fast gradient method), `bim` (basic iterative method), `mim`
            (momentum iterative method), `madry` (Madry et al.), or `pgd`
            (projected gradient descent).
        logits_fn: callable images -> logits [B, num_classes]. Pass the same object
            each time: cleverhans traces once per callable.
        images: [B, H, W, C] float in [0, 1].
        labels: int [B].
        epsilon: radius of the l-infinity ball in pixel units.
        step_size: length of one step, same unit; epsilon for `fgm`.
        num_steps: Python int; 1 for `fgm`.
        random_start: `madry` always has one, `pgd` may, the others have none.
        seed: int32 [2], or [B, 2] with one pair per image; needed by `random_start`.
        decay_factor: of `mim`'s momentum; None for the others.

    Returns:
        [B, H, W, C] float32.

    Raises:
        ValueError: on a setting that this kind of attack does not have, and on images or
            labels that are not as above, as far as their values are known.
    """
    _validate(kind, epsilon, step_size, num_steps, random_start, seed, decay_factor)
    images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    check_shapes(images, labels)
    images = tf.cast(images, tf.float32)
    if (pixels := known_value(images)) is not None:
        check_pixels(pixels)
    common = {"norm": np.inf, "clip_min": 0.0, "clip_max": 1.0, "y": labels}
    if kind == "fgm":
        attack, settings = _cleverhans("fast_gradient_method"), {"eps": epsilon}
    else:
        attack = _iterative_attack(kind, seed)
        settings = {"eps": epsilon, "eps_iter": step_size, "nb_iter": num_steps}
    if kind == "pgd":
        settings["rand_init"] = random_start
    if kind == "madry":
        settings["rand_minmax"] = epsilon
    if kind == "mim":
        settings["decay_factor"] = decay_factor
    adversarial = attack(logits_fn, images, **settings, **common, sanity_checks=False)
    return tf.stop_gradient(adversarial)


def _iterative_attack(kind, seed):
    if kind == "mim":
        return _cleverhans("momentum_iterative_method")
    if kind == "bim":
        return _cleverhans("basic_iterative_method")
    pgd = _rebound(
        _cleverhans("projected_gradient_descent"),
        random_lp_vector=lambda shape, order, radius, dtype: randomness.uniform(
            shape, seed, low=-radius, high=radius, dtype=dtype
        ),
    )
    if kind == "pgd":
        return pgd
    return _rebound(_cleverhans("madry_et_al"), projected_gradient_descent=pgd)


def _cleverhans(name):
    # Imported late: only those who ask for a reference attack pay for it.
    module = __import__(f"cleverhans.tf2.attacks.{name}", fromlist=[name])
    return getattr(module, name)


def _rebound(function, **names):
    """Returns a copy of `function` that sees other objects under some global names.

    The module of `function` stays as it is, so nobody else notices.
    """
    missing = set(names) - set(function.__globals__)
    if missing:
        raise ValueError(
            f"cleverhans' {function.__name__} must use {sorted(missing)}; "
            "received a version that does not (4.0 is supported)."
        )
    return types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def _validate(kind, epsilon, step_size, num_steps, random_start, seed, decay_factor):
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}; received {kind!r}.")
    if not 0 < step_size <= epsilon:
        raise ValueError(
            f"`step_size` must be above 0 and at most `epsilon` ({epsilon:g}) for cleverhans; "
            f"received {step_size:g}."
        )
    if kind == "fgm" and (step_size != epsilon or num_steps != 1):
        raise ValueError(
            "`step_size` must equal `epsilon` and `num_steps` must be 1 for 'fgm'; "
            f"received {step_size:g} and {num_steps}."
        )
    if random_start != (kind == "madry") and kind != "pgd":
        raise ValueError(
            f"`random_start` must be {kind == 'madry'} for {kind!r}; received {random_start}."
        )
    if random_start and seed is None:
        raise ValueError("`random_start=True` needs a `seed` (int32 [2] or [B, 2]); received None.")
    if (decay_factor is not None) != (kind == "mim"):
        raise ValueError(
            f"`decay_factor` must be given for 'mim' and for no other; "
            f"received {decay_factor} for {kind!r}."
        )
