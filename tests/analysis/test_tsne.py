"""t-SNE's companions against loops and hand computation, and on groups that are apart."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.analysis.tsne import compare_tsne, nearest_neighbor_hits, tsne_of_features
from tests.common import random_images


def _groups(distance, num_images=90, num_features=5, seed=0):
    """Returns (features, labels) of three Gaussians whose centers lie `distance` apart or more."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num_images) % 3
    centers = distance * np.eye(3, num_features)
    return rng.normal(size=(num_images, num_features)) + centers[labels], labels


def _neighbor_accuracy(features, labels, num_neighbors):
    return 100 * np.mean(nearest_neighbor_hits(features, labels, num_neighbors=num_neighbors))


def _neighbor_accuracy_by_loops(features, labels, num_neighbors):
    features = features.astype(np.float64)
    num_right = 0
    for i in range(len(features)):
        others = [j for j in range(len(features)) if j != i]
        distances = {j: sum(value**2 for value in features[i] - features[j]) for j in others}
        nearest = sorted(others, key=lambda j: (distances[j], j))[:num_neighbors]
        votes = {}
        for j in nearest:
            votes[labels[j]] = votes.get(labels[j], 0) + 1
        # A dictionary keeps the order of insertion: of equals the nearest comes first.
        num_right += max(votes, key=votes.get) == labels[i]
    return 100 * num_right / len(features)


@pytest.mark.parametrize("num_neighbors", [1, 2, 3, 7, 20, 59])
def test_neighbor_accuracy_equals_loops(num_neighbors):
    features, labels = _groups(1.0, num_images=60)
    # Ids with gaps, and many draws of votes.
    labels = np.array([7, 2, 40])[labels]
    got = _neighbor_accuracy(features, labels, num_neighbors)
    want = _neighbor_accuracy_by_loops(features, labels, num_neighbors)
    assert got == pytest.approx(want)
    assert num_neighbors == 59 or 0 < got < 100


def test_image_itself_has_no_vote():
    features = np.array([[0.0, 0], [0.1, 0], [5, 0], [5.1, 0]])
    assert _neighbor_accuracy(features, np.array([0, 1, 0, 1]), 1) == 0
    assert _neighbor_accuracy(features, np.array([0, 0, 1, 1]), 1) == 100


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [1, 0, 1, 0]])
def test_draw_goes_to_the_nearer_class(labels):
    # On a line, two neighbors each: draws for the images at 0 (lost, the nearer one is of the
    # other class), at -2 and at 50 (won); that at 1 has two of the other class.
    features = np.array([[0.0, 0], [1, 0], [-2, 0], [50, 0]])
    assert _neighbor_accuracy(features, np.array(labels), 2) == 50


def test_silhouette_of_features_equals_hand_computation_by_the_cosine():
    # Angles of 0 and 60 degrees in class 0, of 90 and 180 in class 1; lengths do not count.
    angles = np.radians([0, 60, 90, 180])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [5], [2], [7]]
    result = tsne_of_features(features, np.array([0, 0, 1, 1]), max_iterations=250)
    c30, c60, c90, c120, c180 = 1 - np.cos(np.radians([30, 60, 90, 120, 180]))
    within = np.array([c60, c60, c90, c90])
    between = np.array([c90 + c180, c30 + c120, c90 + c30, c180 + c120]) / 2
    want = (between - within) / np.maximum(between, within)
    np.testing.assert_allclose(result["measures"]["silhouette"], want)
    assert result["silhouette_features"] == pytest.approx(want.mean())


def test_silhouette_of_points_is_that_of_the_picture():
    features, labels = _groups(3.0, num_images=30)
    result = tsne_of_features(features, labels, max_iterations=250)
    points, values = np.array(result["points"]), []
    for i in range(30):
        distances = np.linalg.norm(points - points[i], axis=1)
        same = (labels == labels[i]) & (np.arange(30) != i)
        within = distances[same].mean()
        between = min(distances[labels == c].mean() for c in range(3) if c != labels[i])
        values.append((between - within) / max(between, within))
    assert result["silhouette_points"] == pytest.approx(np.mean(values), rel=1e-4)


def test_groups_that_are_apart_score_high_and_mixed_ones_low():
    apart = tsne_of_features(*_groups(30.0), max_iterations=500)
    assert apart["silhouette_features"] > 0.8 and apart["silhouette_points"] > 0.5
    assert apart["neighbor_accuracy"] == 100 and apart["measures"]["neighbors"] == [100.0] * 90
    mixed = tsne_of_features(*_groups(0.0), max_iterations=500)
    assert abs(mixed["silhouette_features"]) < 0.1 and abs(mixed["silhouette_points"]) < 0.2
    # Chance is a third.
    assert 10 < mixed["neighbor_accuracy"] < 60


def test_points_hold_neighbors_together():
    features, labels = _groups(30.0)
    points = np.array(tsne_of_features(features, labels, max_iterations=500)["points"])
    assert points.shape == (90, 2)
    assert _neighbor_accuracy(points, labels, 5) == 100


def test_equal_calls_give_equal_numbers():
    features, labels = _groups(2.0, num_images=300)
    first, second = (tsne_of_features(features, labels, max_iterations=300) for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second)


def test_parameters_say_what_was_used():
    features, labels = _groups(2.0, num_images=16)
    parameters = tsne_of_features(features, labels, seed=3, max_iterations=250)["parameters"]
    assert parameters["perplexity"] == 5.0 and parameters["num_neighbors"] == 15
    assert parameters["seed"] == 3 and parameters["max_iterations"] == 250
    features, labels = _groups(2.0, num_images=120)
    parameters = tsne_of_features(features, labels, perplexity=20, max_iterations=250)["parameters"]
    assert parameters["perplexity"] == 20.0 and parameters["num_neighbors"] == 20


def test_figure_shows_the_same_images_for_every_model():
    images = random_images(40)
    labels = np.arange(40) % 4
    functions = {
        "mean": lambda v: tf.reduce_mean(v, axis=[1, 2]),
        "pixels": lambda v: {"features": tf.reshape(v, [-1, 8 * 8 * 3])},
    }
    settings = {"num_images": 30, "max_iterations": 250, "seed": 2}
    result = compare_tsne(functions, images, labels, **settings)
    assert [model["label"] for model in result["models"]] == ["mean", "pixels"]
    rows = result["image_indices"]
    assert len(set(rows)) == 30 and result["labels"] == labels[rows].tolist()
    assert all(np.shape(model["points"]) == (30, 2) for model in result["models"])
    assert result["parameters"]["num_images"] == 30
    assert json.dumps(result, allow_nan=False) == json.dumps(
        compare_tsne(functions, images, labels, **settings)
    )
    pixels = images[rows].reshape(30, -1)
    accuracy = _neighbor_accuracy_by_loops(pixels, labels[rows], 20)
    assert result["models"][1]["neighbor_accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones((4, 2))}, r"`features` must be finite and not all equal"),
        ({"features": np.full((4, 2), np.nan)}, r"`features` must be finite and not all equal"),
        ({"features": np.eye(3)}, r"`features` must have shape.*\(3, 3\)"),
        ({"features": np.eye(4)[:, :1]}, r"`features` must have shape.*\(4, 1\)"),
        ({"labels": np.zeros(3, int)}, r"`labels` must be 4 integers.*\(3,\)"),
        ({"labels": np.zeros(4)}, r"`labels` must be 4 integers.*float64"),
        ({"labels": np.zeros(4, int)}, r"`labels` must hold from 2 to 3 classes; received 1"),
        ({"labels": np.arange(4)}, r"`labels` must hold from 2 to 3 classes; received 4"),
        ({"perplexity": 0}, r"`perplexity` must be > 0; received 0"),
        ({"max_iterations": 100}, r"`max_iterations` must be >= 250; received 100"),
        ({"num_neighbors": 0}, r"`num_neighbors` must be from 1 to 3.*received 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"features": np.eye(4), "labels": np.array([0, 0, 1, 1]), **change}
    with pytest.raises(ValueError, match=message):
        tsne_of_features(**arguments)


def test_too_many_neighbors_and_absent_models_are_named():
    with pytest.raises(ValueError, match=r"`num_neighbors` must be from 1 to 3.*received 4"):
        nearest_neighbor_hits(np.eye(4), np.array([0, 0, 1, 1]), num_neighbors=4)
    with pytest.raises(ValueError, match="`features_fns` must hold at least one model"):
        compare_tsne({}, random_images(), np.arange(4))
