"""A model from a file: its logits, its features, and weights that can be moved."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks.logits import as_logits_function
from ascl_tf.errors import RunError
from ascl_tf.methods import factory
from ascl_tf.models import ADVERSARIAL, Classifier
from ascl_tf.serving.exporting import export_classifier
from ascl_tf.serving.loading import load_logits_function, load_model
from tests.common import random_images
from tests.methods import helpers

SHAPE = (8, 8, 3)


@keras.saving.register_keras_serializable("test_export")
class TinyEncoder(keras.Layer):
    """A convolution, batch normalization and a mean, called as our encoders are."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolution = keras.layers.Conv2D(5, 3, use_bias=False)
        self.batch_norm = keras.layers.BatchNormalization()

    def build(self, input_shape):
        self.convolution.build(input_shape)
        self.batch_norm.build((None, None, None, 5))

    def call(self, images, training=False, branch=ADVERSARIAL):
        hidden = self.batch_norm(self.convolution(images), training=training)
        return keras.ops.mean(keras.ops.relu(hidden), axis=[1, 2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 5)


def _classifier(*, is_frozen=False):
    keras.utils.set_random_seed(0)
    classifier = Classifier(TinyEncoder(), keras.layers.Dense(3))
    classifier.build((None, *SHAPE))
    classifier.encoder.trainable = not is_frozen
    return classifier


@pytest.fixture(scope="module")
def classifier():
    return _classifier()


@pytest.fixture(scope="module")
def paths(classifier, tmp_path_factory):
    """The same classifier in both forms."""
    root = tmp_path_factory.mktemp("models")
    export_classifier(classifier, root / "saved", image_shape=SHAPE)
    classifier.save(root / "model.keras")
    return {"SavedModel": root / "saved", "keras": root / "model.keras"}


@pytest.fixture(params=["SavedModel", "keras"])
def path(request, paths):
    return paths[request.param]


def test_logits_and_features_are_the_classifiers(path, classifier):
    images, loaded = random_images(5), load_model(path)
    logits = as_logits_function(loaded.logits_fn)(images)
    np.testing.assert_allclose(logits, classifier(images), rtol=1e-5, atol=1e-6)
    features = loaded.features_fn(tf.constant(images))
    np.testing.assert_allclose(features, classifier.features(images), rtol=1e-5, atol=1e-6)
    assert features.shape == (5, 5)


def test_features_are_differentiable_with_respect_to_images(path):
    images = tf.constant(random_images(2))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(load_model(path).features_fn(images))
    assert np.abs(tape.gradient(total, images)).max() > 0


def test_weights_are_the_trainable_ones(path, classifier):
    found = sorted(tuple(weight.shape) for weight in load_model(path).weights)
    assert found == sorted(tuple(weight.shape) for weight in classifier.trainable_weights)
    assert len(found) == 5


def test_assigning_to_weights_changes_logits_and_features(path, classifier):
    images, loaded = tf.constant(random_images(3)), load_model(path)
    logits_fn = tf.function(as_logits_function(loaded.logits_fn))
    before = logits_fn(images), loaded.features_fn(images)
    kernel = next(weight for weight in loaded.weights if len(weight.shape) == 4)
    original = kernel.numpy().copy()
    kernel.assign(-original)
    moved = logits_fn(images), loaded.features_fn(images)
    for one, other in zip(before, moved, strict=True):
        assert np.abs(one - other).max() > 1e-3
    kernel.assign(original)
    np.testing.assert_array_equal(logits_fn(images), before[0])


def test_models_loaded_twice_share_no_weight(path):
    images = tf.constant(random_images(2))
    first, second = load_model(path), load_model(path)
    expected = as_logits_function(second.logits_fn)(images)
    for weight in first.weights:
        weight.assign(weight * 0)
    np.testing.assert_array_equal(as_logits_function(second.logits_fn)(images), expected)


def test_frozen_encoder_still_says_its_weights(tmp_path):
    """Linear fine-tuning trains the head alone; the landscape moves all that the model uses."""
    frozen = _classifier(is_frozen=True)
    export_classifier(frozen, tmp_path / "frozen", image_shape=SHAPE)
    assert len(load_model(tmp_path / "frozen").weights) == 5


def _variable_files(path):
    files = sorted((path / "variables").iterdir())
    return {file.name: file.read_bytes() for file in files}


def test_equal_models_give_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    written = []
    # Other objects lie at other addresses, by which sets and hashes go.
    for name in ("first", "second"):
        keras.utils.set_random_seed(3)
        method = factory.make_finetune_method(helpers.TINY, num_classes=3, image_shape=SHAPE)
        export_classifier(method.classifier, tmp_path / name, image_shape=SHAPE)
        written.append(_variable_files(tmp_path / name))
    assert written[0] == written[1] and len(written[0]) == 2
    variables = method.classifier.variables
    saved = tf.train.load_checkpoint(str(tmp_path / "second" / "variables" / "variables"))
    keys = [f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i in range(len(variables))]
    assert {*keys, "_CHECKPOINTABLE_OBJECT_GRAPH"} == set(saved.get_variable_to_shape_map())
    for key, variable in zip(keys, variables, strict=True):
        np.testing.assert_array_equal(saved.get_tensor(key), variable)


def test_function_alone_is_enough_to_keep_the_model_alive(paths):
    logits_fn = load_logits_function(paths["SavedModel"])
    features_fn = load_model(paths["SavedModel"]).features_fn
    images = tf.constant(random_images(2))
    assert logits_fn(images)["logits"].shape == (2, 3)
    assert features_fn(images).shape == (2, 5)


def _export(path, **endpoints):
    archive = keras.export.ExportArchive()
    for name, function in endpoints.items():
        archive.add_endpoint(name, function, [tf.TensorSpec([None, *SHAPE], tf.float32)])
    archive.write_out(str(path), verbose=False)
    return path


def _mean(images):
    return tf.reduce_mean(images, axis=[1, 2])


def test_saved_model_of_others_has_features_only_where_it_says_them(tmp_path):
    plain = load_model(_export(tmp_path / "plain", serving_default=_mean))
    assert plain.features_fn is None and plain.weights == []
    one = _export(tmp_path / "one", serving_default=_mean, features=_mean)
    images = tf.constant(random_images(2))
    np.testing.assert_allclose(load_model(one).features_fn(images), _mean(images), rtol=1e-6)


def test_several_outputs_none_of_which_is_called_features_are_named(tmp_path):
    def two(images):
        return {"a": _mean(images), "b": _mean(images)}

    path = _export(tmp_path / "two", serving_default=_mean, features=two)
    with pytest.raises(RunError, match=r"expected one output of signature features.*found a, b"):
        load_model(path).features_fn(tf.constant(random_images(2)))


def test_keras_model_with_a_frozen_part_gives_the_weights_of_all_parts(tmp_path):
    layers = [keras.layers.Dense(4), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input([2]), *layers])
    layers[0].trainable = False
    model.save(tmp_path / "frozen.keras")
    weights = load_model(tmp_path / "frozen.keras").weights
    assert [tuple(weight.shape) for weight in weights] == [(2, 4), (4,), (4, 3), (3,)]


def test_keras_model_without_features_says_none(tmp_path):
    images = keras.Input(SHAPE)
    keras.Model(images, keras.layers.Flatten()(images)).save(tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").features_fn is None


def test_what_is_no_model_is_named_in_one_line(tmp_path):
    (tmp_path / "broken.keras").write_text("no archive")
    (tmp_path / "folder").mkdir()
    export = tmp_path / "run" / "export" / "pretrain"
    export.mkdir(parents=True)
    (export / "saved_model.pb").touch()
    module = tf.Module()
    module.mean = tf.function(_mean, [tf.TensorSpec([None, *SHAPE], tf.float32)])
    other = tmp_path / "other"
    tf.saved_model.save(module, str(other), signatures={"predict": module.mean})
    for path, message in (
        (tmp_path / "absent", r"expected a SavedModel folder or a \.keras file; found nothing"),
        (tmp_path / "folder", r"found neither"),
        (tmp_path / "run", rf"found a folder that holds {export}$"),
        (tmp_path / "broken.keras", r"expected a Keras model; found"),
        (other, r"expected a signature serving_default; found predict"),
    ):
        with pytest.raises(RunError, match=message) as caught:
            load_model(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_what_is_no_export_is_never_replaced(classifier, tmp_path):
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "mine" / "notes.txt", tmp_path / "file"):
        path.write_text("keep")
        place = path.parent if path.name == "notes.txt" else path
        with pytest.raises(RunError, match="expected no file or folder there, or an exported"):
            export_classifier(classifier, place, image_shape=SHAPE)
        assert path.read_text() == "keep"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine"]


def test_only_a_classifier_is_exported(tmp_path):
    for other in (keras.Sequential([keras.layers.Dense(2)]), lambda images: images):
        with pytest.raises(ValueError, match="`classifier` must be a built Keras model"):
            export_classifier(other, tmp_path / "out", image_shape=SHAPE)
