"""How well features separate the classes: t-SNE, and beside it numbers that need no eye.

t-SNE pulls groups apart as it likes; silhouette and nearest neighbors in the space of
the features themselves say what of the picture is there.
"""

import numpy as np
import threadpoolctl
from scipy.spatial.distance import cdist
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples, silhouette_score

from ascl_tf.analysis.features import choose_rows, features_of
from ascl_tf.attacks.arguments import check_one_label_each
from ascl_tf.data.mapped_images import pick

# sklearn's own defaults, written out so that they are ours when sklearn changes its mind.
_EARLY_EXAGGERATION = 12.0
_ANGLE = 0.5


def compare_tsne(
    features_fns,
    images,
    labels,
    *,
    num_images=2000,
    seed=0,
    perplexity=30.0,
    max_iterations=1000,
    num_neighbors=20,
    batch_size=250,
):
    """Returns the data of the t-SNE figure: the same images through several models.

    The paper's figure 3, of the penultimate features, neither scaled nor reduced first.

    Args:
        features_fns: dictionary label -> function images -> features, as for
            `ascl_tf.analysis.features.as_features_function`.
        images: the test images [N, H, W, C], uint8, or float in [0, 1].
        labels: int [N].
        num_images: how many of them, chosen by `seed`.
        seed: Python int, of the choice and of t-SNE.
        perplexity, max_iterations, num_neighbors: as for `tsne_of_features`.
        batch_size: images per call of a model.

    Returns:
        {"figure": "tsne",
         "parameters": those of `tsne_of_features` and "num_images": int,
         "labels": num_images ints, "image_indices": their places in `images`,
         "models": one per entry, in order: {"label": str} and what `tsne_of_features`
          returns, without "parameters"}.

    Raises:
        ValueError: as `tsne_of_features` and `features_of`; if there are fewer images.
    """
    if not features_fns:
        raise ValueError("`features_fns` must hold at least one model; received none.")
    rows = choose_rows(len(images), num_images, seed=seed)
    chosen_images, chosen_labels = np.asarray(pick(images, rows)), np.asarray(labels)[rows]
    models = []
    for label, features_fn in features_fns.items():
        result = tsne_of_features(
            features_of(features_fn, chosen_images, batch_size=batch_size),
            chosen_labels,
            seed=seed,
            perplexity=perplexity,
            max_iterations=max_iterations,
            num_neighbors=num_neighbors,
        )
        parameters = result.pop("parameters")
        models.append({"label": label, **result})
    return {
        "figure": "tsne",
        "parameters": {**parameters, "num_images": num_images},
        "labels": chosen_labels.tolist(),
        "image_indices": rows.tolist(),
        "models": models,
    }


def tsne_of_features(
    features, labels, *, seed=0, perplexity=30.0, max_iterations=1000, num_neighbors=20
):
    """Returns points in the plane, and how well features and points separate the classes.

    t-SNE: van der Maaten and Hinton 2008, in scikit-learn's Barnes-Hut form, from the
    first two principal components, on one thread.

    Args:
        features: [N, F], F >= 2, N >= 4.
        labels: int [N], at least two different ones, and fewer than N.
        seed: Python int, sklearn's `random_state`.
        perplexity: effective number of neighbors; lowered to (N - 1) / 3 where that is
            less, since 3 * perplexity neighbors enter.
        max_iterations: steps of t-SNE, Python int >= 250.
        num_neighbors: as for `nearest_neighbor_hits`; lowered to N - 1 where that is less.

    Returns:
        {"parameters": {"seed", "perplexity" (as used), "max_iterations", "num_neighbors" (as
          used), "early_exaggeration", "angle", "learning_rate": "auto",
          "initialization": "pca", "metric": "euclidean"},
         "points": [[horizontal, vertical], ...] N pairs of floats, in no unit,
         "kl_divergence": float, what t-SNE ends with,
         "silhouette_features", "silhouette_points": float in [-1, 1], mean over images; of the
          features by the cosine, since their lengths differ between models,
         "neighbor_accuracy": float, percent, in the space of the features,
         "measures": {"silhouette", "neighbors"}: of each image, N floats each, whose means are
          "silhouette_features" and "neighbor_accuracy"; of neighbors 0 or 100}.

    Raises:
        ValueError: if shapes and numbers are not as above, or all features are equal.
    """
    features, labels = _checked(features, labels)
    if max_iterations < 250:
        raise ValueError(f"`max_iterations` must be >= 250; received {max_iterations}.")
    if not perplexity > 0:
        raise ValueError(f"`perplexity` must be > 0; received {perplexity}.")
    perplexity = min(float(perplexity), (len(labels) - 1) / 3)
    num_neighbors = min(num_neighbors, len(labels) - 1)
    tsne = TSNE(
        perplexity=perplexity,
        early_exaggeration=_EARLY_EXAGGERATION,
        learning_rate="auto",
        max_iter=max_iterations,
        init="pca",
        metric="euclidean",
        angle=_ANGLE,
        random_state=seed,
    )
    # Sums over threads may depend on how many there are, and thus on the machine.
    with threadpoolctl.threadpool_limits(1):
        points = tsne.fit_transform(features)
    silhouettes = silhouette_samples(features, labels, metric="cosine")
    is_right = nearest_neighbor_hits(features, labels, num_neighbors=num_neighbors)
    return {
        "parameters": {
            "seed": seed,
            "perplexity": perplexity,
            "max_iterations": max_iterations,
            "num_neighbors": num_neighbors,
            "early_exaggeration": _EARLY_EXAGGERATION,
            "angle": _ANGLE,
            "learning_rate": "auto",
            "initialization": "pca",
            "metric": "euclidean",
        },
        "points": points.astype(float).tolist(),
        "kl_divergence": float(tsne.kl_divergence_),
        "silhouette_features": float(np.mean(silhouettes)),
        "silhouette_points": float(silhouette_score(points, labels)),
        "neighbor_accuracy": 100 * float(np.mean(is_right)),
        "measures": {"silhouette": silhouettes.tolist(), "neighbors": (100.0 * is_right).tolist()},
    }


def nearest_neighbor_hits(features, labels, *, num_neighbors=20):
    """Returns whether the nearest other images give each image its class, bool [N].

    Each image gets the class that most of its `num_neighbors` nearest other images have,
    in Euclidean distance, each with one vote. Of classes with equally many votes the one
    of the nearer image wins; of equally near images the earlier is nearer.

    Args:
        features: [N, F].
        labels: int [N].
        num_neighbors: Python int from 1 to N - 1.

    Raises:
        ValueError: if shapes and numbers are not as above.
    """
    features, labels = _checked(features, labels)
    if not 1 <= num_neighbors < len(labels):
        raise ValueError(
            f"`num_neighbors` must be from 1 to {len(labels) - 1}, the other images; "
            f"received {num_neighbors}."
        )
    distances = cdist(features, features, "sqeuclidean")
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :num_neighbors]
    _, classes = np.unique(labels, return_inverse=True)
    return _majority(classes[nearest]) == classes


def _majority(votes):
    """Returns the most frequent entry of each row; of equals, what comes first in the row."""
    # How often the entry of each place occurs in its row: [N, K, K] -> [N, K].
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    return votes[np.arange(len(votes)), counts.argmax(axis=1)]


def _checked(features, labels):
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or features.shape[0] < 4 or features.shape[1] < 2:
        raise ValueError(
            "`features` must have shape [num_images, num_features], at least [4, 2]; "
            f"received shape {features.shape}."
        )
    check_one_label_each(labels, len(features))
    if not np.all(np.isfinite(features)) or np.all(features == features[0]):
        raise ValueError(
            "`features` must be finite and not all equal; received NaN, infinity or one point."
        )
    num_classes = len(np.unique(labels))
    if not 2 <= num_classes < len(labels):
        raise ValueError(
            f"`labels` must hold from 2 to {len(labels) - 1} classes; received {num_classes}."
        )
    return features, labels
