"""What all methods share in a step: decay, norms, random numbers, one trace."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.config import method_names
from ascl_tf.methods.step_data import Outputs, Purpose, Term
from tests.common import strong_views_traced_once, two_replicas
from tests.methods import helpers
from tests.methods.contract import SMALL, data_of

STANDARD = helpers.TINY.replace(method="standard", momentum=0.0, learning_rate=0.25)


def _known_gradient(method):
    """Gives `method` a loss with gradient `c` in every variable; returns (variables, c)."""
    variables = method.step_variables()
    rng = np.random.default_rng(5)
    slopes = [rng.normal(size=v.shape).astype(np.float32) for v in variables]

    def forward(views, adversarial):
        # The statistics move all the same: the pass is made, its result unused.
        pairs = zip(slopes, variables, strict=True)
        total = tf.add_n([tf.reduce_sum(slope * v.value) for slope, v in pairs])
        return Outputs({"standard_loss": Term(tf.fill(views["labels"].shape, total))})

    method.forward = forward
    return variables, slopes


def _one_step(config, strategy=None):
    """Returns (old, new, slopes, names, logs) of one step with a known gradient."""
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        method = helpers.make_method(config, weights=_start(config))
        helpers.compile_tiny(method)
    variables, slopes = _known_gradient(method)
    old = [v.numpy() for v in variables]
    logs = helpers.fit(method, helpers.make_dataset(), eagerly=True)
    return old, [v.numpy() for v in variables], slopes, [v.name for v in variables], logs


def _start(config):
    return [variable.numpy() for variable in helpers.state(helpers.make_method(config))]


@pytest.mark.parametrize("get_strategy", [lambda: None, two_replicas], ids=["one", "two"])
def test_weight_decay_is_coupled_and_the_same_on_any_number_of_replicas(get_strategy):
    config = STANDARD.replace(weight_decay=0.125)
    old, new, slopes, _, logs = _one_step(config, get_strategy())
    expected = [w - 0.25 * (c + 0.125 * w) for w, c in zip(old, slopes, strict=True)]
    for have, want in zip(new, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-6)
    moved = [n - o for n, o in zip(expected, old, strict=True)]
    assert logs["gradient_norm"] == pytest.approx(_norm(slopes), rel=1e-5)
    assert logs["update_norm"] == pytest.approx(_norm(moved), rel=1e-5)


def _norm(arrays):
    return np.sqrt(sum(np.sum(np.float64(a) ** 2) for a in arrays))


def test_decay_of_kernels_only_leaves_offsets_and_scales_out():
    config = STANDARD.replace(weight_decay=0.125, weight_decay_on="kernels")
    old, new, slopes, names, _ = _one_step(config)
    assert sorted(set(names)) == ["beta", "bias", "gamma", "kernel"]
    for w, have, c, name in zip(old, new, slopes, names, strict=True):
        decay = 0.125 if name == "kernel" else 0.0
        np.testing.assert_allclose(have, w - 0.25 * (c + decay * w), rtol=0, atol=1e-6)


def _drawn(method, step):
    """Returns views and perturbed images of the step number `step`."""
    method.optimizer.iterations.assign(step)
    views = helpers.views_of(method, helpers.make_data())
    adversarial = method.make_adversarial(views)
    images = {k: v for k, v in views.items() if k in ("images", "stacked_views")}
    return {k: v.numpy() for k, v in {**images, **adversarial}.items()}


def test_views_and_attacks_repeat_by_seed_and_step():
    config = helpers.TINY.replace(
        **dict.fromkeys(("num_steps_at", "num_steps_cl", "num_steps_ascl"), 1)
    )
    method = helpers.compile_tiny(helpers.make_method(config))
    first, other_step, again = [_drawn(method, step) for step in (4, 5, 4)]
    method.config = config.replace(seed=config.seed + 1)
    other_seed = _drawn(method, 4)
    assert set(first) == {"images", "stacked_views", "images_at", "views_cl", "images_ascl"}
    for name, images in first.items():
        np.testing.assert_array_equal(images, again[name])
        assert np.any(images != other_step[name]) and np.any(images != other_seed[name])


def _seed_pairs(method, step):
    method.optimizer.iterations.assign(step)
    seeds = method.make_batch(helpers.make_data()).seeds
    return [tuple(pair) for purpose in Purpose for pair in seeds(purpose).numpy().tolist()]


def test_seeds_of_two_purposes_never_coincide():
    pairs = _seed_pairs(helpers.compile_tiny(helpers.make_method()), step=7)
    assert len(pairs) == len(set(pairs)) == len(Purpose) * 6


def test_seeds_of_two_steps_never_coincide():
    method = helpers.compile_tiny(helpers.make_method())
    assert not set(_seed_pairs(method, step=7)) & set(_seed_pairs(method, step=8))


def test_pixels_are_scaled_to_the_unit_interval_and_labels_kept():
    method = helpers.compile_tiny(helpers.make_method())
    data = helpers.make_data()
    batch = method.make_batch(data)
    np.testing.assert_allclose(batch.images, data["images"].numpy() / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(batch.labels, data["labels"])


def test_augmentation_none_gives_the_images_themselves():
    method = helpers.compile_tiny(helpers.make_method(STANDARD.replace(weak_augmentation="none")))
    data = helpers.make_data()
    np.testing.assert_array_equal(
        helpers.views_of(method, data)["images"], method.make_batch(data).images
    )


def _step_of(name, around):
    method = helpers.compile_tiny(helpers.make_method(SMALL.replace(method=name)))
    logs = around(method.train_step)(data_of(name))
    return {k: float(v) for k, v in logs.items()}, helpers.values(method)


# What each kind of method has: all terms of ASCL, no labels and two branches, an average, one term.
_TRACED_IN_DEFAULT_RUN = ("at", "ascl", "dynacl_pp", "rocl")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n in _TRACED_IN_DEFAULT_RUN else pytest.mark.slow)
        for n in method_names()
    ],
)
def test_step_of_every_method_can_be_traced(name):
    method = helpers.compile_tiny(helpers.make_method(SMALL.replace(method=name)))
    with strong_views_traced_once():
        step = tf.function(method.train_step, autograph=False).get_concrete_function(data_of(name))
    logs = step.structured_outputs
    assert {"loss", "gradient_norm"} <= set(logs)
    assert {(log.shape.rank, log.dtype) for log in logs.values()} == {(0, tf.float32)}


@pytest.mark.slow  # The default run traces most steps, and runs some of the graphs.
@pytest.mark.parametrize("name", method_names())
def test_step_of_every_method_is_the_same_in_a_graph(name):
    eager_logs, eager = _step_of(name, lambda step: step)
    logs, values = _step_of(name, lambda step: tf.function(step, autograph=False))
    # Where a gradient is nearly 0, rounding turns the sign of an attack's step.
    assert logs == pytest.approx(eager_logs, rel=1e-2)
    for expected, value in zip(eager.values(), values.values(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-2)


def test_three_batches_trace_the_step_once_and_move_what_it_trains():
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="at")))
    before, trained = helpers.values(method), {v.path for v in method.step_variables()}
    traces, forward = [], method.forward

    def counting(views, adversarial):
        traces.append(1)
        return forward(views, adversarial)

    method.forward = counting
    helpers.fit(method, helpers.make_dataset(), num_steps=3)
    assert int(method.optimizer.iterations.numpy()) == 3
    assert len(traces) == 1
    assert helpers.changed(before, helpers.values(method)) >= trained


def test_accuracies_count_labeled_rows_in_percent():
    config = STANDARD.replace(weak_augmentation="none")
    method = helpers.compile_tiny(helpers.make_method(config))
    data = helpers.make_data()
    guesses = np.argmax(method(tf.cast(data["images"], tf.float32) / 255), axis=1)
    # Two right, one wrong, three unlabeled: 66.7 percent.
    labels = np.array([guesses[0], guesses[1], (guesses[2] + 1) % 3, -1, -1, -1], np.int32)
    logs = method.train_step({**data, "labels": tf.constant(labels)})
    assert float(logs["standard_accuracy"]) == pytest.approx(200 / 3, rel=1e-6)
