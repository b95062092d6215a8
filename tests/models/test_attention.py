"""Attention pooling and its queries: against loops in float64, invariances, derivatives."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.models.attention import PatchQueries


def _network(feature_dim=6, num_layers=2, seed=0, dtype=None):
    network = PatchQueries(num_layers, name="patch_queries", dtype=dtype)
    network.build((None, None, feature_dim))
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        variable.assign(rng.normal(0.0, 0.5, variable.shape))
    return network


def _inputs(num_images=2, num_visible=5, feature_dim=6, seed=1):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num_images, num_visible, feature_dim)).astype(np.float32)
    positions = np.stack([rng.permutation(16)[:3] for _ in range(num_images)]).astype(np.int32)
    return features, positions


def _dense(layer, row):
    kernel, bias = (np.float64(w.numpy()) for w in layer.weights)
    return row @ kernel + bias


def _normalized(layer, row):
    gamma, beta = (np.float64(w.numpy()) for w in layer.weights)
    return gamma * (row - row.mean()) / math.sqrt(row.var() + 1e-5) + beta


def _gelu(row):
    return np.array([0.5 * v * (1 + math.tanh(0.7978845608 * (v + 0.044715 * v**3))) for v in row])


def _layer_oracle(layer, rows):
    heads, dim = layer.num_heads, layer.head_dim
    names = ("query", "key", "value")
    query, key, value = ([_dense(layer.projections[n], r) for r in rows] for n in names)
    outputs = []
    for i, row in enumerate(rows):
        attended = np.zeros(heads * dim)
        for head in range(heads):
            part = slice(head * dim, (head + 1) * dim)
            scores = [query[i][part] @ key[j][part] / math.sqrt(dim) for j in range(len(rows))]
            shares = np.exp(scores) / np.sum(np.exp(scores))
            attended[part] = sum(s * value[j][part] for j, s in enumerate(shares))
        x = _normalized(layer.norms[0], row + _dense(layer.output_dense, attended))
        inside = _dense(layer.narrow, _gelu(_dense(layer.wide, x)))
        outputs.append(_normalized(layer.norms[1], x + inside))
    return outputs


def _oracle(network, features, positions):
    rows_of, columns_of = network.row_embeddings.numpy(), network.column_embeddings.numpy()
    results = []
    for patches, places in zip(features, positions, strict=True):
        rows = [np.float64(network.token.numpy()[0, 0]), *np.float64(patches)]
        for layer in network.attention_layers:
            rows = _layer_oracle(layer, rows)
        results.append([rows[0] + rows_of[p // 4] + columns_of[p % 4] for p in places])
    return np.array(results)


@pytest.mark.parametrize("feature_dim", [6, 128])  # One head; two heads of 64.
def test_matches_loops(feature_dim):
    network = _network(feature_dim)
    assert network.attention_layers[0].num_heads == max(1, feature_dim // 64)
    features, positions = _inputs(feature_dim=feature_dim)
    np.testing.assert_allclose(
        network(features, positions), _oracle(network, features, positions), rtol=1e-4, atol=1e-4
    )


def test_order_of_visible_patches_does_not_count():
    network = _network()
    features, positions = _inputs()
    shuffled = features[:, [3, 0, 4, 1, 2]]
    np.testing.assert_allclose(
        network(shuffled, positions), network(features, positions), atol=1e-5
    )


def test_only_the_place_tells_queries_of_one_image_apart():
    network = _network()
    features, _ = _inputs(num_images=1)
    queries = network(features, np.array([[0, 5, 5]], np.int32))[0].numpy()
    assert np.abs(queries[0] - queries[1]).max() > 0.1
    np.testing.assert_array_equal(queries[1], queries[2])


def test_images_do_not_see_each_other():
    network = _network()
    features, positions = _inputs(num_images=3)
    alone = network(features[1:2], positions[1:2])
    np.testing.assert_allclose(network(features, positions)[1:2], alone, atol=1e-6)


def test_new_network_has_drawn_rows_and_zero_columns_and_token():
    network = PatchQueries(1)
    network.build((None, None, 64))
    assert 0.7 < network.row_embeddings.numpy().std() < 1.3
    assert not network.column_embeddings.numpy().any() and not network.token.numpy().any()


def test_can_be_differentiated_twice():
    network = _network(dtype="float64")
    features, positions = _inputs()
    features = tf.constant(features, tf.float64)

    def penalty(features):
        with tf.GradientTape() as inner:
            inner.watch(features)
            total = tf.reduce_sum(tf.square(network(features, positions)))
        return tf.reduce_sum(tf.square(inner.gradient(total, features)))

    with tf.GradientTape() as tape:
        tape.watch(features)
        value = penalty(features)
    direction = np.random.default_rng(2).normal(size=features.shape)
    slope = np.sum(tape.gradient(value, features).numpy() * direction)
    sides = [penalty(features + step * direction) for step in (1e-5, -1e-5)]
    assert slope == pytest.approx(float(sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_policy_of_the_parts_follows_the_whole():
    features, positions = _inputs()
    half = _network(dtype="mixed_bfloat16")(features, positions)
    assert half.dtype == tf.bfloat16
    assert _network(dtype="float64")(features.astype(np.float64), positions).dtype == tf.float64


def test_is_made_again_from_its_config():
    network = _network(num_layers=3)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    again.set_weights(network.get_weights())
    features, positions = _inputs()
    np.testing.assert_array_equal(again(features, positions), network(features, positions))
