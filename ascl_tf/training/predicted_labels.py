"""Labels for images that have none: the classes that a trained classifier predicts.

The first half of robust self-training (Carmon et al. 2019, arXiv:1905.13736, section 3), for any
method: what follows takes these labels for true ones.
"""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from ascl_tf.attacks.logits import as_logits_function
from ascl_tf.config.paths import MODEL, expand
from ascl_tf.data.class_order import compare_classes
from ascl_tf.data.image_dataset import UNLABELED
from ascl_tf.errors import ConfigError, RunError, renamed
from ascl_tf.evaluation.records import model_sha256, weights_sha256
from ascl_tf.serving.card import read_card
from ascl_tf.serving.loading import load_model
from ascl_tf.training.feature_sources import FeatureSource
from ascl_tf.training.kept_labels import read_labels, write_labels
from ascl_tf.training.stages import classifier_stage, with_encoder_settings
from ascl_tf.training.trained import chosen_checkpoint, load_classifier
from ascl_tf.training.workdir import WorkDirectory, recorded_config

FILE = "predicted_labels.npz"
SETTING = "pseudo_label_classifier"


def open_classifier(path, dataset):
    """Returns the classifier at `path`, a `FeatureSource` whose features are logits.

    Args:
        path: of a work directory, SavedModel folder or .keras file, or `pretrained:NAME`.
        dataset: `ImageDataset`, all training images, to try it on.

    Raises:
        ConfigError: if no classifier of these images is there, it has other classes, or all images
            have a label.
    """
    try:
        place = expand(os.fspath(path), MODEL)
        recorded = recorded_config(place)
    except (ValueError, RunError) as error:
        raise ConfigError(error, field=SETTING, value=path) from None
    if recorded is None:
        with renamed(path=SETTING):
            model = load_model(place).logits_fn
        sha256, classes = model_sha256(place), _classes_on_card(place)
    else:
        model, classes = _classifier_of_run(path, place, recorded, dataset)
        sha256 = weights_sha256(model)
    source = FeatureSource(as_logits_function(model), sha256)
    _check(source, path, dataset, classes)
    return source


def _check(source, path, dataset, classes):
    expected = f"a classifier of the {dataset.num_classes} classes of {dataset.name}"
    first = np.asarray(dataset.images[:1]).astype(np.float32) / 255
    try:
        found = f"{source.function(tf.constant(first)).shape[1]} outputs"
    except (ValueError, TypeError, tf.errors.OpError) as error:
        found = " ".join(str(error).splitlines()[:1])
    if found != f"{dataset.num_classes} outputs":
        raise ConfigError(field=SETTING, value=path, expected=expected, found=found)
    told = compare_classes(classes, dataset.class_names, field=SETTING, value=path)
    if told and not set(classes) & set(dataset.class_names):
        raise ConfigError(field=SETTING, value=path, expected=expected, found=told)
    if dataset.num_labeled == len(dataset):
        expected = "training images without a label, such as those of `labeled_fraction=0.1`"
        raise ConfigError(field=SETTING, value=path, expected=expected, found="none")


def _classifier_of_run(path, place, config, dataset):
    """Returns the classifier that a run has trained, as it is exported, and its classes' names."""
    try:
        workdir = WorkDirectory(place)
        config = with_encoder_settings(config, workdir)
        chosen = chosen_checkpoint(config, workdir)
        classes = workdir.class_names(classifier_stage(config)) or ()
        return load_classifier(config, workdir, dataset, chosen), classes
    except (RunError, ConfigError) as error:
        raise ConfigError(error, field=SETTING, value=path) from None


def _classes_on_card(place):
    """Returns the names of the classes on the card beside a model; () without one."""
    try:
        card = read_card(place)
    except RunError:
        return ()
    return card["class_names"] if card else ()


def with_predicted_labels(workdir, dataset, source, *, batch_size, has_begun):
    """Returns the data set, each of whose images has a label: its own, or a predicted one.

    A run that goes on reads the labels that its beginning has kept.

    Args:
        workdir: `WorkDirectory`, which exists.
        dataset: `ImageDataset`, all training images.
        source: `FeatureSource` of `open_classifier`.
        batch_size: images at a time, Python int.
        has_begun: whether the run has a checkpoint.

    Raises:
        RunError: if the labels kept are of other images or another model, or gone; if a logit is
            not finite.
    """
    path = workdir.path / FILE
    identity = {"data_sha256": dataset.sha256, "model_sha256": source.sha256}
    if path.exists() or has_begun:
        return dataclasses.replace(dataset, labels=read_labels(path, identity))
    labels = predict(dataset, source, batch_size)
    write_labels(path, labels, identity)
    return dataclasses.replace(dataset, labels=labels)


def predict(dataset, source, batch_size):
    """Returns the labels of a data set, those that are absent predicted, [N]."""
    labels, rows = dataset.labels.copy(), np.flatnonzero(dataset.labels == UNLABELED)
    logits = source.features(dataset.take(rows), batch_size)
    if not np.isfinite(logits).all():
        raise RunError(field=SETTING, expected="finite logits", found="NaN or infinity")
    labels[rows] = logits.argmax(axis=1)
    print(f"pseudo-labels: predicted for {len(rows)} images", flush=True)
    return labels
