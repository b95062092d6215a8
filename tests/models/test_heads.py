"""Heads: unit projections, zero-initialized logits, float32 whatever the policy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models import BRANCHES, LinearHead, ProjectionHead
from ascl_tf.models.heads import l2_normalize
from tests.models.oracles import normalize, policy, randomize

FEATURES = np.random.default_rng(0).normal(size=(5, 6))
POLICIES = {"mixed_float16": "float32", "mixed_bfloat16": "float32", "float64": "float64"}


def _projection_head(dtype="float64", **settings):
    head = ProjectionHead(hidden_dim=7, projection_dim=4, dtype=dtype, **settings)
    head.build((None, 6))
    return head


def _expected_projections(head, branch, hidden_norms, output_norm):
    """Float64 matrix products over the head's own variables, read by path."""
    values = {v.path.partition("/")[2]: v.numpy() for v in head.variables}
    x = FEATURES
    for name in ["hidden", "hidden2", "output_dense"]:
        if f"{name}/kernel" not in values:
            continue
        x = x @ values.pop(f"{name}/kernel")
        norm = "output_bn" if name == "output_dense" else f"{name}_bn"
        if output_norm if name == "output_dense" else hidden_norms:
            keys = ["moving_mean", "moving_variance", "gamma", "beta"]
            x = normalize(x, *[values[f"{norm}/{branch}/{key}"] for key in keys])
        else:
            x = x + values.pop(f"{name}/bias")
        x = x if name == "output_dense" else np.maximum(x, 0)
    # Every kernel and bias has been used, and the batch norms that were not are of other branches.
    assert not [name for name in values if "_bn/" not in name]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize(
    "normalized_layers, hidden_norms, output_norm",
    [("hidden", True, False), ("all", True, True), ("none", False, False)],
)
def test_projections_equal_their_formula(num_layers, normalized_layers, hidden_norms, output_norm):
    head = _projection_head(num_layers=num_layers, normalized_layers=normalized_layers)
    randomize(head)
    for branch in BRANCHES:
        want = _expected_projections(head, branch, hidden_norms, output_norm)
        np.testing.assert_allclose(head(FEATURES, branch=branch), want, rtol=1e-10)
    num_norms = (num_layers - 1) * hidden_norms + output_norm
    assert len([v for v in head.variables if "_bn/" in v.path]) == 8 * num_norms


def test_default_has_the_variables_of_the_first_release_in_their_order():
    names = [v.path.partition("/")[2] for v in _projection_head().weights]
    norms = [
        f"hidden_bn/{branch}/{name}"
        for branch in BRANCHES
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    assert names == ["hidden/kernel", *norms, "output_dense/kernel", "output_dense/bias"]


@pytest.mark.parametrize("normalized_layers", ["all", "none"])
def test_rebuilt_head_equals_the_saved_one(tmp_path, normalized_layers):
    head = _projection_head(num_layers=3, normalized_layers=normalized_layers)
    randomize(head)
    want = head(FEATURES, branch="clean")
    head.save(tmp_path / "head.keras")
    again = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_array_equal(again(FEATURES, branch="clean"), want)
    assert again.get_config() == head.get_config()


@pytest.mark.parametrize("num_layers", [0, 4])
def test_number_of_layers_outside_its_range_is_named(num_layers):
    with pytest.raises(ValueError, match=rf"`num_layers` must be 1, 2 or 3; received {num_layers}"):
        ProjectionHead(num_layers=num_layers)


def test_unknown_choice_of_normalized_layers_is_named():
    with pytest.raises(ValueError, match=r"`normalized_layers` must be one of hidden.*'last'"):
        ProjectionHead(normalized_layers="last")


def test_branches_have_their_own_batch_norm_and_share_the_rest():
    head = _projection_head()
    separate, shared = head, _projection_head(batch_norm="shared")
    assert len(separate.variables) - len(shared.variables) == 4
    randomize(head)
    clean, adversarial = [head(FEATURES, branch=branch) for branch in BRANCHES]
    assert np.abs(clean - adversarial).max() > 1e-3


def test_training_moves_only_the_statistics_of_its_branch():
    head = _projection_head()
    before = {v.path: v.numpy() for v in head.variables}
    head(FEATURES, training=True, branch="adversarial")
    moved = {v.path for v in head.variables if np.any(v.numpy() != before[v.path])}
    assert moved == {p for p in before if "/adversarial/moving_" in p} and len(moved) == 2


@pytest.mark.parametrize("name, dtype", POLICIES.items())
def test_projections_are_unit_and_at_least_float32_under_any_policy(name, dtype):
    # Of seven hidden units all may be 0 for an image, and a projection of 0 has no direction.
    keras.utils.set_random_seed(0)
    with policy(name):
        head = ProjectionHead(hidden_dim=7, projection_dim=4)
    projections = head(FEATURES, training=True, branch="clean")
    assert projections.dtype == dtype
    np.testing.assert_allclose(np.linalg.norm(projections, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name, dtype", POLICIES.items())
def test_logits_are_at_least_float32_under_any_policy(name, dtype):
    with policy(name):
        head = LinearHead(3)
    assert head(FEATURES).dtype == dtype


def test_large_half_precision_vectors_do_not_overflow():
    # Their squares exceed float16's 65,504.
    unit = l2_normalize(tf.constant([[3e4, 4e4]], tf.float16))
    np.testing.assert_allclose(unit, [[0.6, 0.8]], rtol=1e-3)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_zero_vector_stays_zero_with_a_finite_gradient(dtype):
    vectors = tf.zeros([2, 4], dtype)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        unit = l2_normalize(vectors)
    np.testing.assert_array_equal(unit, np.zeros([2, 4]))
    assert unit.dtype == (tf.float64 if dtype == tf.float64 else tf.float32)
    gradient = tape.gradient(unit, vectors)
    assert np.all(np.isfinite(tf.cast(gradient, tf.float64)))
    assert np.all(tf.cast(gradient, tf.float64) > 0)


def test_gradient_of_a_unit_vector_is_tangential():
    vectors = tf.constant(FEATURES)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        total = tf.reduce_sum(l2_normalize(vectors) * np.arange(6.0))
    gradient = tape.gradient(total, vectors)
    np.testing.assert_allclose(np.sum(gradient * FEATURES, axis=1), 0, atol=1e-12)
    assert np.all(np.linalg.norm(gradient, axis=1) > 0)


def test_linear_head_starts_at_zero_and_is_affine():
    head = LinearHead(3, dtype="float64")
    np.testing.assert_array_equal(head(FEATURES), np.zeros([5, 3]))
    randomize(head)
    want = FEATURES @ head.dense.kernel.numpy() + head.dense.bias.numpy()
    np.testing.assert_allclose(head(FEATURES), want, rtol=1e-12)
    assert head.compute_output_shape((None, 6)) == (None, 3)


def test_kernels_start_as_documented():
    head = ProjectionHead(hidden_dim=300, projection_dim=200)
    head.build((None, 400))
    np.testing.assert_allclose(head.hidden[0].kernel.numpy().std(), np.sqrt(2 / 400), rtol=0.02)
    limit = np.sqrt(6 / (300 + 200))
    largest = np.abs(head.output_dense.kernel.numpy()).max()
    assert 0.99 * limit < largest <= limit
    assert head.hidden[0].bias is None
