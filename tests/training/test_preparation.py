"""Pseudo-labels of a run: whose features, which clusters, and the same ones after a stop."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError, RunError
from ascl_tf.methods import advcl, factory
from ascl_tf.models import ADVERSARIAL, CLEAN, Classifier, LinearHead
from ascl_tf.serving.exporting import export_classifier
from ascl_tf.training import callbacks, checkpoints, feature_sources, preparation
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import helpers
from tests.training.worlds import eager_world, pretrain_with


@pytest.fixture(scope="module")
def world():
    """As `tiny_world`, for the whole module; one epoch of four steps."""
    with eager_world() as config:
        yield config


@pytest.fixture(scope="module")
def simclr(tmp_path_factory, world):
    """Work directory of a short pre-training."""
    return pretrain_with(
        world.replace(method="simclr"), tmp_path_factory.mktemp("source") / "simclr"
    )


@pytest.fixture(scope="module")
def config(world, simclr):
    return world.replace(
        method="advcl",
        num_clusters="2,3",
        high_frequency_radius=2,
        pseudo_label_encoder=str(simclr),
    )


def _labels(path):
    with np.load(path / preparation.FILE, allow_pickle=False) as file:
        return file["pseudo_labels"]


# Clusters.

BLOBS = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [40.0, 40.0]], [5, 7, 4, 6], axis=0)
BLOBS = (BLOBS + np.random.default_rng(0).normal(size=BLOBS.shape)).astype(np.float32)


def test_clusters_are_the_blobs_at_each_number_of_clusters():
    labels = preparation.cluster(BLOBS, (4, 2), seed=0)
    assert labels.dtype == np.int32 and labels.shape == (22, 2)
    blobs = np.repeat(range(4), [5, 7, 4, 6])
    assert len(set(zip(blobs, labels[:, 0], strict=True))) == 4
    far = labels[-1, 1]
    np.testing.assert_array_equal(labels[:, 1] == far, blobs == 3)


def test_clusters_depend_on_the_seed_alone():
    features = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    first, again, other = [preparation.cluster(features, (5,), seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_features_with_fewer_different_rows_than_clusters_are_refused():
    with pytest.raises(RunError, match="into 3 clusters; found 2 different ones among 6 images"):
        preparation.cluster(np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0, 0]], (2, 3), seed=0)


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(RunError, match="expected finite features; found NaN or infinity"):
        preparation.cluster(np.full([4, 2], np.nan, np.float32), (2,), seed=0)


# Whose features.


def _encoder_of(path, config):
    encoder = factory.make_encoder(config.network, None)
    encoder.build((None, *helpers.IMAGE_SHAPE))
    checkpoints.restore_parts(path / "checkpoints" / "pretrain", "last", encoder=encoder)
    return encoder


@pytest.mark.parametrize("branch", [ADVERSARIAL, CLEAN])
def test_features_of_a_work_directory_are_those_of_its_last_encoder(config, simclr, branch):
    source = feature_sources.open_feature_source(
        "pseudo_label_encoder", simclr, helpers.IMAGE_SHAPE, branch
    )
    dataset = helpers.make_dataset(10)
    encoder = _encoder_of(simclr, config)
    want = encoder(dataset.images / np.float32(255), training=False, branch=branch)
    for batch_size in (4, 10):
        features = source.features(dataset, batch_size)
        assert features.shape == (10, 4) and features.dtype == np.float32
        np.testing.assert_allclose(features, want, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported classifier, and its encoder."""
    encoder = helpers.TinyEncoder("separate", name="encoder")
    classifier = Classifier(encoder, LinearHead(3), name="classifier")
    classifier.build((None, *helpers.IMAGE_SHAPE))
    path = tmp_path_factory.mktemp("exported") / "model"
    export_classifier(classifier, path, image_shape=helpers.IMAGE_SHAPE)
    return path, encoder


def _open(path, image_shape=helpers.IMAGE_SHAPE):
    return feature_sources.open_feature_source(
        "pseudo_label_encoder", path, image_shape, ADVERSARIAL
    )


def test_features_of_our_saved_model_are_its_features_signature(config, exported):
    path, encoder = exported
    dataset = helpers.make_dataset(7)
    features = _open(path).features(dataset, 4)
    want = encoder(dataset.images / np.float32(255), training=False)
    np.testing.assert_allclose(features, want, rtol=1e-5, atol=1e-6)


class _Foreign(tf.Module):
    """Mean color of images of 4 x 4 pixels, and twice that, as logits."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4, 4, 3], tf.float32, name="pixels")])
    def __call__(self, pixels):
        mean = tf.reduce_mean(pixels, axis=[1, 2])
        return {"another": mean, "logits": 2 * mean}


def test_another_saved_model_gives_logits_of_images_of_the_size_that_it_takes(config, tmp_path):
    module = _Foreign()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.__call__})
    dataset = helpers.make_dataset(5)
    # Of one color each: resizing leaves that as it is.
    images = np.broadcast_to(dataset.images[:, :1, :1], dataset.images.shape)
    features = _open(tmp_path).features(dataclasses.replace(dataset, images=images), 5)
    np.testing.assert_allclose(features, 2.0 * images[:, 0, 0] / 255, atol=1e-6)


def test_saved_model_without_a_known_signature_is_refused(config, tmp_path):
    module = _Foreign()
    tf.saved_model.save(module, str(tmp_path), signatures={"mean": module.__call__})
    message = r"`pseudo_label_encoder=.*expected a signature features or serving_default; found m"
    with pytest.raises(ConfigError, match=message):
        _open(tmp_path)


@pytest.mark.parametrize(
    "make, found",
    [
        (lambda path: path / "absent", "found nothing there"),
        (lambda path: path, "found no config.json there"),
        (lambda path: _empty_run(path), r"last: expected a checkpoint; found none"),
        (lambda path: _damaged_model(path), "expected a SavedModel; found"),
    ],
)
def test_path_of_no_model_is_one_line_that_names_the_flag(config, tmp_path, make, found):
    with pytest.raises(ConfigError, match=rf"^`pseudo_label_encoder=.*{found}") as raised:
        _open(make(tmp_path))
    assert "\n" not in str(raised.value)


def _empty_run(path):
    workdir = WorkDirectory(path)
    workdir.begin_stage("pretrain", {}, helpers.TINY)
    return path


def _damaged_model(path):
    (path / "saved_model.pb").write_bytes(b"nothing")
    return path


def test_missing_flag_is_named_before_anything_is_written(config, tmp_path):
    with pytest.raises(ConfigError, match="^`pseudo_label_encoder`: .*`method=advcl`; found none"):
        pretrain_with(config.replace(pseudo_label_encoder=""), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_clusters_than_images_are_refused_before_anything_is_written(config, tmp_path):
    with pytest.raises(ConfigError, match="`num_clusters`: expected at most .* 24; found 25"):
        pretrain_with(config.replace(num_clusters="2,25"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# In a run.


@pytest.fixture(scope="module")
def calls():
    """What AdvCL was initialized with, call by call."""
    found = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(advcl.AdvCl, "initialize", lambda self, *args: found.append(args))
        yield found


@pytest.fixture(scope="module")
def finished(tmp_path_factory, config, calls):
    """Work directory of an undisturbed run."""
    return pretrain_with(config, tmp_path_factory.mktemp("finished") / "run")


def test_run_clusters_all_training_images_and_initializes_the_method(finished, calls):
    features, labels, images = calls[0]
    assert features.shape == (24, 4) and labels.shape == (24, 2)
    assert images.shape == (24, *helpers.IMAGE_SHAPE) and images.dtype == np.uint8
    np.testing.assert_array_equal(labels, preparation.cluster(features, (2, 3), seed=3))
    np.testing.assert_array_equal(labels, _labels(finished))
    record = json.loads((finished / "results" / "pretrain.json").read_text())
    assert np.isfinite(record["epochs"][0]["train/ce_loss"])
    assert not list(finished.glob(".*tmp"))


class _Stopped(Exception):
    """In place of a kill."""


def _state(path):
    reader = tf.train.load_checkpoint(str(path / "checkpoints" / "pretrain" / "last"))
    return {
        name: reader.get_tensor(name).tobytes()
        for name in reader.get_variable_to_shape_map()
        if not name.startswith(("save_counter", "_CHECKPOINTABLE", "history"))
    }


def _stop_after(monkeypatch, step):
    def stop(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == step:
            raise _Stopped

    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", stop)


@pytest.mark.slow
def test_stopped_run_reads_its_pseudo_labels_again_and_ends_bit_for_bit(
    finished, config, calls, tmp_path
):
    config = config.replace(checkpoint_every=1)
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(_Stopped):
        _stop_after(monkeypatch, 3)
        pretrain_with(config, tmp_path)
    num_calls = len(calls)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(preparation, "cluster", _never)
        pretrain_with(config, tmp_path)
    assert len(calls) == num_calls  # What goes on is not initialized again.
    np.testing.assert_array_equal(_labels(tmp_path), _labels(finished))
    assert _state(tmp_path) == _state(finished)


def _never(*args, **kwargs):
    raise AssertionError("clustered again")


def _write_as_if_made_from(path, **changes):
    with np.load(path / preparation.FILE) as file:
        contents = dict(file)
    made_from = {**json.loads(str(contents["made_from"])), **changes}
    np.savez(path / preparation.FILE, **{**contents, "made_from": json.dumps(made_from)})


@pytest.mark.parametrize(
    "changes",
    [{"data_sha256": "other"}, {"model_sha256": "other"}, {"seed": 9}, {"num_clusters": [2, 4]}],
)
def test_file_of_other_data_or_another_model_is_refused(finished, config, changes):
    kept = (finished / preparation.FILE).read_bytes()
    _write_as_if_made_from(finished, **changes)
    (name,) = changes
    with pytest.raises(RunError, match=rf"pseudo_labels.npz: expected .*found {name}=.* where"):
        pretrain_with(config, finished)
    (finished / preparation.FILE).write_bytes(kept)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"text"])
def test_missing_or_damaged_file_of_a_run_that_goes_on_is_refused(finished, config, content):
    file = finished / preparation.FILE
    kept = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RunError, match="pseudo_labels.npz: expected pseudo-labels; found"):
        pretrain_with(config, finished)
    file.write_bytes(kept)
