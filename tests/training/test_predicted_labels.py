"""Labels that a trained classifier gives to images without one, in a run of any method."""

import json

import numpy as np
import pytest

from ascl_tf.errors import ConfigError, RunError
from ascl_tf.methods.factory import make_finetune_method
from ascl_tf.training import checkpoints, fitting, predicted_labels, run
from tests.methods import helpers
from tests.program_lines import line_matches
from tests.training.worlds import eager_world, export_tiny_classifier, pretrain_with


@pytest.fixture(scope="module")
def config():
    """AT with half of the labels, one epoch."""
    with eager_world() as config:
        yield config.replace(method="at", labeled_fraction=0.5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """An exported classifier of three classes: its folder, and itself."""
    path = tmp_path_factory.mktemp("teacher") / "model"
    return path, export_tiny_classifier(path)


@pytest.fixture
def trained_on(monkeypatch):
    """Data sets that methods were trained on."""
    found, make = [], fitting.training_batches

    def recorded(dataset, *args, **settings):
        found.append(dataset)
        return make(dataset, *args, **settings)

    monkeypatch.setattr(fitting, "training_batches", recorded)
    return found


def _kept(path):
    with np.load(path / predicted_labels.FILE, allow_pickle=False) as file:
        return file["pseudo_labels"]


def test_images_without_a_label_have_the_predicted_one_and_the_others_their_own(
    config, teacher, trained_on, tmp_path
):
    path, classifier = teacher
    run = pretrain_with(config.replace(pseudo_label_classifier=str(path)), tmp_path / "run")
    (dataset,) = trained_on
    predicted = np.argmax(classifier(dataset.images / np.float32(255), training=False), axis=1)
    own = helpers.make_dataset(30)
    by_image = {image.tobytes(): label for image, label in zip(own.images, own.labels, strict=True)}
    true = np.array([by_image[image.tobytes()] for image in dataset.images])
    is_kept = dataset.labels != predicted
    assert len(dataset) == 24 and (dataset.labels >= 0).all() and is_kept.any()
    np.testing.assert_array_equal(dataset.labels[is_kept], true[is_kept])
    # 12 labels are known; the others may agree with the prediction by chance.
    assert np.sum(dataset.labels == true) >= 12 and np.sum(is_kept) <= 12
    np.testing.assert_array_equal(_kept(run), dataset.labels)
    record = json.loads((run / "results" / "pretrain.json").read_text())
    assert record["num_images"] == 24 and "pseudo_label_classifier_sha256" in record


def test_run_that_goes_on_takes_the_labels_that_it_has_kept(config, teacher, trained_on, tmp_path):
    # WSCAT, whose projections have no projection head.
    config = config.replace(pseudo_label_classifier=str(teacher[0]), method="wscat")
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(fitting, "training_batches", _stop)  # Before the first step.
        with pytest.raises(KeyboardInterrupt):
            pretrain_with(config, folder)
    labels = _kept(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(predicted_labels, "predict", _never)
        run = pretrain_with(config, folder)
    np.testing.assert_array_equal(_kept(run), labels)
    np.testing.assert_array_equal(trained_on[0].labels, _kept(run))
    (run / predicted_labels.FILE).unlink()
    with pytest.raises(RunError, match="predicted_labels.npz: expected pseudo-labels; found"):
        pretrain_with(config, run)


def _stop(*args, **settings):
    raise KeyboardInterrupt


def _never(*args):
    raise AssertionError("labeled again")


@pytest.mark.slow  # An exported one is above.
def test_classifier_may_be_that_of_a_run(config, trained_on, tmp_path):
    standard = config.replace(method="standard")
    run = pretrain_with(standard, tmp_path / "teacher")
    trained_on.clear()
    pretrain_with(config.replace(pseudo_label_classifier=str(run)), tmp_path / "run")
    (dataset,) = trained_on
    classifier = make_finetune_method(
        standard, num_classes=3, image_shape=helpers.IMAGE_SHAPE
    ).classifier
    parts = {"encoder": classifier.encoder, "linear_head": classifier.linear_head}
    checkpoints.restore_parts(run / "checkpoints" / "pretrain", "best", **parts)
    predicted = np.argmax(classifier(dataset.images / np.float32(255), training=False), axis=1)
    # Half of the images have their own label.
    assert np.sum(dataset.labels == predicted) >= 12


def test_run_without_a_classifier_is_refused(config, tmp_path):
    run = pretrain_with(config.replace(method="simclr"), tmp_path / "simclr")
    with line_matches(ConfigError, "--pseudo_label_classifier=.*expected a checkpoint; found none"):
        pretrain_with(config.replace(pseudo_label_classifier=str(run)), tmp_path / "run")


def test_other_classifier_is_refused_where_a_run_goes_on(config, teacher, tmp_path):
    run = pretrain_with(config.replace(pseudo_label_classifier=str(teacher[0])), tmp_path / "run")
    other = tmp_path / "other"
    export_tiny_classifier(other)
    with pytest.raises(RunError, match="pseudo label classifier of SHA-256"):
        pretrain_with(config.replace(pseudo_label_classifier=str(other)), run)


def _damaged_run(path):
    path.mkdir()
    (path / "config.json").write_text("{")
    return path


def test_classes_of_the_classifier_are_those_of_the_images(config, teacher, monkeypatch, tmp_path):
    config = config.replace(pseudo_label_classifier=str(teacher[0]))
    for names, found in (
        (["x", "y", "z"], "expected a classifier of the 3 classes .*; found 3 of 3 classes"),
        (["b", "a", "c"], "expected the classifier's classes, in their order"),
    ):
        monkeypatch.setattr(predicted_labels, "_classes_on_card", lambda place, names=names: names)
        with line_matches((ConfigError, RunError), f"--pseudo_label_classifier=.*{found}"):
            pretrain_with(config, tmp_path / "run")


def test_classifier_without_anything_to_label_is_refused(config, teacher, tmp_path):
    changes = {"labeled_fraction": 1.0, "pseudo_label_classifier": str(teacher[0])}
    with line_matches(ConfigError, "--pseudo_label_classifier=.*without a label, .*; found none"):
        pretrain_with(config.replace(**changes), tmp_path / "run")


@pytest.mark.slow  # A mix of two settings.
def test_class_weights_are_of_the_labels_that_are_trained_on(config, teacher, tmp_path):
    found = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        make = run.class_weights
        monkeypatch.setattr(
            run, "class_weights", lambda name, data: found.append(data.labels) or make(name, data)
        )
        changes = {"class_weights": "balanced", "pseudo_label_classifier": str(teacher[0])}
        path = pretrain_with(config.replace(**changes), tmp_path / "run")
    assert len(found) == 1
    np.testing.assert_array_equal(found[0], _kept(path))


def test_what_cannot_label_the_images_is_one_line_before_anything_is_written(config, tmp_path):
    export_tiny_classifier(tmp_path / "of_four", num_classes=4)
    for path, found in (
        (tmp_path / "of_four", "expected a classifier of the 3 classes of noise; found 4 outputs"),
        (tmp_path / "absent", "found nothing there"),
        ("pretrained:none", "found .*none"),
        (_damaged_run(tmp_path / "damaged"), "damaged.config.json: expected"),
    ):
        with line_matches((ConfigError, RunError), f"--pseudo_label_classifier.*{found}"):
            changed = config.replace(pseudo_label_classifier=str(path))
            pretrain_with(changed, tmp_path / "run")
    assert not (tmp_path / "run").exists()
