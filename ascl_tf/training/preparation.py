"""What a method needs before its first step beside images: another model, and what it gives.

A method names its preparations (`Method.preparations`). Each is opened before anything is written,
so that what is missing is refused at once; what it was made from goes into the stage's record; and
it is applied once the work directory is there.

Pseudo-labels are clusters of another model's features of the training images, or the classes that
another classifier predicts for images without a label, for any method. They are computed once and
kept (kept_labels.py): k-means on another machine could number the clusters otherwise.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from ascl_tf import config as cfg
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.training.checkpoints import LAST
from ascl_tf.training.feature_sources import EXPECTED_MODEL, open_feature_source
from ascl_tf.training.kept_labels import read_labels, write_labels
from ascl_tf.training.predicted_labels import SETTING, open_classifier, with_predicted_labels

FILE = "pseudo_labels.npz"


class Preparation(NamedTuple):
    """An opened preparation.

    Attributes:
        inputs: what it is made from, as keywords of `provenance.describe_inputs`.
        apply: callable (workers, workdir, dataset) -> the data set to train on.
    """

    inputs: dict[str, str]
    apply: Callable[[Any, Any, Any], Any] = lambda workers, workdir, dataset: dataset


def open_preparations(method, dataset):
    """Returns the `Preparation`s of a method and of its settings, in order.

    Args:
        method: built `Method`.
        dataset: `ImageDataset`, all training images.

    Raises:
        ConfigError: if a setting names no usable model, or the images do not suffice.
    """
    made = [_OPEN[name](method, dataset) for name in method.preparations]
    return [*_open_predicted_labels(method.config, dataset), *made]


def _open_pseudo_labels(method, dataset):
    counts, config = method.pseudo_label_counts, method.config
    if not counts:
        return Preparation({})
    if max(counts) > len(dataset):
        raise ConfigError(
            field="num_clusters",
            expected=f"at most as many clusters as there are training images, {len(dataset)}",
            found=max(counts),
        )
    name = method.pseudo_label_setting
    path = getattr(config, name)
    if not path:
        expected = f"{EXPECTED_MODEL}, for `method={config.method}`"
        raise ConfigError(field=name, expected=expected, found="none")
    source = open_feature_source(name, path, dataset.image_shape, method.pseudo_label_branch)

    settings = {"seed": config.seed, "batch_size": config.evaluation_batch_size}

    def apply(workers, workdir, images):
        def make():
            return with_pseudo_labels(workdir, method, images, source, **settings)

        # The other workers' methods stay as they are: `fit` begins with the chief's state.
        return _made_by_chief(workers, images, make, "pseudo_labels")

    return Preparation({"pseudo_label_encoder_sha256": source.sha256}, apply)


def _open_predicted_labels(config, dataset):
    path = getattr(config, SETTING)
    if not path:
        return []
    source, batch_size = open_classifier(path, dataset), config.evaluation_batch_size

    def apply(workers, workdir, images):
        def make():
            begun = _has_checkpoint(workdir)
            return with_predicted_labels(
                workdir, images, source, batch_size=batch_size, has_begun=begun
            )

        return _made_by_chief(workers, images, make, "labels")

    return [Preparation({f"{SETTING}_sha256": source.sha256}, apply)]


def _made_by_chief(workers, images, make, column):
    """Returns the data set of `make`, which the chief alone calls; others get its `column`."""
    if workers.num_workers == 1:
        return make()
    rows = workers.from_chief(lambda: getattr(make(), column).tolist())
    return dataclasses.replace(images, **{column: np.array(rows, np.int32)})


_OPEN = {"pseudo_labels": _open_pseudo_labels}


def with_pseudo_labels(workdir, method, dataset, source, *, seed, batch_size):
    """Returns the data set with the pseudo-labels that the method asks for.

    Before the first step the method is initialized from them. A run that goes on reads the
    file that its beginning has left, and checks that data and model are the same.

    Args:
        workdir: `WorkDirectory`, which exists.
        method: built `Method`.
        dataset: `ImageDataset`, all training images.
        source: `FeatureSource`.
        seed: of the clusters, Python int.
        batch_size: images at a time, Python int.

    Raises:
        RunError: if the features do not fall into that many clusters, or the file holds
            other pseudo-labels.
    """
    identity = {
        "num_clusters": list(method.pseudo_label_counts),
        "seed": seed,
        "data_sha256": dataset.sha256,
        "model_sha256": source.sha256,
    }
    path, has_begun = workdir.path / FILE, _has_checkpoint(workdir)
    pseudo_labels = read_labels(path, identity) if path.exists() or has_begun else None
    if not has_begun:
        features = source.features(dataset, batch_size)
        if pseudo_labels is None:
            pseudo_labels = cluster(features, method.pseudo_label_counts, seed=seed)
            write_labels(path, pseudo_labels, identity)
        method.initialize(features, pseudo_labels, dataset.images)
    return dataclasses.replace(dataset, pseudo_labels=pseudo_labels)


def cluster(features, counts, *, seed):
    """Returns the clusters of each row by k-means (Lloyd, one k-means++ start), int32 [N, M].

    Args:
        features: [N, F], finite.
        counts: M numbers of clusters, each at most N.
        seed: Python int.

    Raises:
        RunError: if features are not finite, or fall into fewer clusters than asked for.
    """
    if not np.isfinite(features).all():
        raise RunError("pseudo-labels: expected finite features; found NaN or infinity")
    print(f"pseudo-labels: {', '.join(map(str, counts))} clusters of {len(features)} images")
    columns = [_cluster_once(features, count, seed) for count in counts]
    return np.stack(columns, axis=1).astype(np.int32)


def _cluster_once(features, count, seed):
    with warnings.catch_warnings():
        # Said below, as an error: a head would have classes without an image.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(count, n_init=1, random_state=seed).fit(features).labels_
    num_found = len(np.unique(labels))
    if num_found < count:
        raise RunError(
            f"pseudo-labels: expected features that fall into {count} clusters; found "
            f"{num_found} different ones among {len(features)} images"
        )
    return labels


def _has_checkpoint(workdir):
    return tf.train.latest_checkpoint(str(workdir.checkpoints(cfg.PRETRAIN) / LAST)) is not None
