"""DualBatchNormalization: what a call reads, what it moves, and over which images."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models import BRANCHES, DualBatchNormalization
from tests.common import two_replicas
from tests.losses.helpers import run_on_two_replicas
from tests.models.oracles import normalize, randomize

INPUTS = np.random.default_rng(0).normal(2.0, 3.0, size=(6, 4, 4, 3))
AXES = (0, 1, 2)


def _layer(batch_norm="separate", dtype="float64"):
    layer = DualBatchNormalization(batch_norm, dtype=dtype)
    layer.build((None, 4, 4, 3))
    return layer


def _values(layer):
    return [variable.numpy() for variable in layer.variables]


def _other(branch):
    return BRANCHES[1 - BRANCHES.index(branch)]


@pytest.mark.parametrize("branch", BRANCHES)
def test_inference_uses_statistics_and_parameters_of_its_branch(branch):
    layer = _layer()
    randomize(layer)
    part = layer.branch_layer(branch)
    want = normalize(
        INPUTS,
        *[v.numpy() for v in (part.moving_mean, part.moving_variance, part.gamma, part.beta)],
    )
    np.testing.assert_allclose(layer(INPUTS, training=False, branch=branch), want, rtol=1e-12)
    assert np.any(layer(INPUTS, training=False, branch=_other(branch)) != want)


@pytest.mark.parametrize("branch", BRANCHES)
def test_inference_moves_nothing(branch):
    layer = _layer()
    randomize(layer)
    before = _values(layer)
    layer(INPUTS, training=False, branch=branch)
    layer(INPUTS, branch=branch)
    for value, want in zip(_values(layer), before, strict=True):
        np.testing.assert_array_equal(value, want)


@pytest.mark.parametrize("branch", BRANCHES)
def test_training_moves_the_statistics_of_its_branch_by_a_tenth(branch):
    layer = _layer()
    used, other = layer.branch_layer(branch), layer.branch_layer(_other(branch))
    before = _values(other)
    outputs = layer(INPUTS, training=True, branch=branch)
    mean, variance = INPUTS.mean(AXES), INPUTS.var(AXES)
    np.testing.assert_allclose(outputs, normalize(INPUTS, mean, variance, 1, 0), atol=1e-12)
    np.testing.assert_allclose(used.moving_mean, 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(used.moving_variance, 0.9 + 0.1 * variance, rtol=1e-12)
    for value, want in zip(_values(other), before, strict=True):
        np.testing.assert_array_equal(value, want)


@pytest.mark.parametrize("branch", BRANCHES)
def test_gradient_reaches_only_the_parameters_of_its_branch(branch):
    layer = _layer()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(INPUTS, training=True, branch=branch) ** 3)
    used, other = layer.branch_layer(branch), layer.branch_layer(_other(branch))
    sources = [v.value for v in (used.gamma, used.beta, other.gamma, other.beta)]
    gradients = tape.gradient(total, sources)
    assert all(np.all(gradient != 0) for gradient in gradients[:2])
    assert gradients[2:] == [None, None]


def test_separate_has_two_sets_and_shared_one():
    assert len(_layer("separate").variables) == 8
    assert len(_layer("separate").trainable_variables) == 4
    assert len(_layer("shared").variables) == 4


def test_triple_adds_a_third_set_behind_the_two():
    layer = _layer("triple")
    assert list(layer.branches) == ["clean", "adversarial", "adversarial_ce"]
    assert [v.path.split("/")[-2] for v in layer.trainable_variables[:4:2]] == list(BRANCHES)
    before = [_values(layer.branch_layer(branch)) for branch in BRANCHES]
    layer(INPUTS, training=True, branch="adversarial_ce")
    np.testing.assert_allclose(
        layer.branch_layer("adversarial_ce").moving_mean, 0.1 * INPUTS.mean(AXES), rtol=1e-12
    )
    for branch, old in zip(BRANCHES, before, strict=True):
        for value, want in zip(_values(layer.branch_layer(branch)), old, strict=True):
            np.testing.assert_array_equal(value, want)


@pytest.mark.parametrize(
    ("batch_norm", "name"), [("separate", "adversarial"), ("shared", "shared")]
)
def test_without_a_third_set_its_images_are_adversarial(batch_norm, name):
    layer = _layer(batch_norm)
    assert layer.branch_layer("adversarial_ce") is layer.branch_layer("adversarial")
    assert layer.branch_layer("adversarial_ce") is layer.branches[name]


def test_shared_serves_both_branches_with_one_set():
    layer = _layer("shared")
    layer(INPUTS, training=True, branch="clean")
    np.testing.assert_allclose(
        layer.branch_layer("adversarial").moving_mean, 0.1 * INPUTS.mean(AXES), rtol=1e-12
    )
    clean, adversarial = [layer(INPUTS, branch=branch) for branch in BRANCHES]
    np.testing.assert_array_equal(clean, adversarial)


def test_statistics_of_two_replicas_are_those_of_the_global_batch():
    want_layer = _layer()
    want = want_layer(INPUTS, training=True, branch="clean")
    with two_replicas().scope():
        layer = _layer()
    parts = run_on_two_replicas(lambda x: layer(x, training=True, branch="clean"), (INPUTS, 1))
    np.testing.assert_allclose(np.concatenate(parts), want, atol=1e-12)
    for got, variable in zip(layer.variables, want_layer.variables, strict=True):
        np.testing.assert_allclose(got.numpy(), variable.numpy(), rtol=1e-12)
    assert np.any(layer.branch_layer("clean").moving_mean.numpy() != 0)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_policies_keep_float32_statistics(dtype):
    layer = _layer(dtype=dtype)
    outputs = layer(INPUTS.astype(np.float32), training=True, branch="clean")
    assert outputs.dtype == dtype.removeprefix("mixed_")
    moving_mean = layer.branch_layer("clean").moving_mean
    assert moving_mean.dtype == "float32"
    # bfloat16 has 8 bits.
    np.testing.assert_allclose(moving_mean, 0.1 * INPUTS.mean(AXES), rtol=1e-2)


def _training_pass(layer, inputs, weights):
    """Outputs, gradients by inputs, scale and offset, and the moving statistics afterwards."""
    part = layer.branch_layer("clean")
    inputs = tf.cast(inputs, layer.compute_dtype)
    watched = [inputs, part.gamma.value, part.beta.value]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(watched)
        outputs = layer(inputs, training=True, branch="clean")
        total = tf.reduce_sum(tf.cast(outputs, tf.float64) * weights)
    found = [outputs, *tape.gradient(total, watched), part.moving_mean, part.moving_variance]
    return [np.float64(value) for value in found]


def test_bfloat16_activations_have_float32_statistics_and_the_gradients_of_float64():
    # What bfloat16 holds exactly, so that all that differs is rounded inside.
    inputs = np.float64(tf.cast(INPUTS, tf.bfloat16))
    weights = np.float64(tf.cast(np.random.default_rng(1).normal(size=INPUTS.shape), tf.bfloat16))
    layers = [_layer(dtype="mixed_bfloat16"), _layer()]
    for layer in layers:
        randomize(layer)
    found, expected = [_training_pass(layer, inputs, weights) for layer in layers]
    for got, want in zip(found[-2:], expected[-2:], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    for got, want in zip(found[:-2], expected[:-2], strict=True):
        np.testing.assert_allclose(got, want, rtol=0.02, atol=0.02 * np.abs(want).max())


def test_float32_activations_have_the_statistics_and_gradients_of_float64():
    weights = np.random.default_rng(1).normal(size=INPUTS.shape)
    layers = [_layer(dtype="float32"), _layer()]
    for layer in layers:
        randomize(layer)
    found, expected = [_training_pass(layer, INPUTS, weights) for layer in layers]
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_unknown_branch_is_named():
    with pytest.raises(
        ValueError,
        match=r"`branch` must be one of \('clean', 'adversarial', 'adversarial_ce'\); "
        r"received 'natural'\.",
    ):
        _layer().branch_layer("natural")


def test_unknown_mode_is_named():
    with pytest.raises(
        ValueError,
        match=r"`batch_norm` must be 'separate', 'shared' or 'triple'; received 'both'\.",
    ):
        DualBatchNormalization("both")
