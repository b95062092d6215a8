"""Training from Python equals the program, with networks and images of the caller's own."""

import functools
import importlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

import ascl_tf
from ascl_tf import config as cfg
from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation.records import read_records
from ascl_tf.methods import factory
from ascl_tf.models.copies import copy_model
from ascl_tf.serving.loading import load_model
from ascl_tf.training import run
from ascl_tf.training.workdir import WorkDirectory, recorded_config
from tests.methods import helpers
from tests.models.own_networks import make_functional
from tests.training.resuming import read_checkpoint, read_record
from tests.training.worlds import eager_world

MAKE_ENCODER = factory.make_encoder
SETTINGS = {
    "epochs": 1,
    "global_batch_size": 6,
    "num_replicas": 1,
    "validation_fraction": 0.2,
    "validation_protocol": "fgsm",
    "evaluation_batch_size": 6,
    "num_steps_at": 1,
    "num_steps_cl": 1,
    "num_steps_ascl": 1,
    "finetune_num_steps": 1,
    "finetune_epochs": 1,
}


def test_importing_the_package_leaves_tensorflow_alone():
    program = "import ascl_tf, sys; print('tensorflow' in sys.modules, dir(ascl_tf)[-1])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "pretrain"], done.stderr


def test_no_public_function_is_replaced_by_a_program():
    for name in ("train", "evaluate", "analyze", "export", "predict"):
        module = importlib.import_module(f"ascl_tf.{name}")
        assert getattr(ascl_tf, name) is module
    for name in ascl_tf.__all__:
        assert callable(getattr(ascl_tf, name)), name


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        _ = ascl_tf.pretrian


def test_functions_train_as_the_program_does(tmp_path):
    with eager_world() as config:
        config = config.replace(method="simclr", finetune_epochs=1, protocol="standard,fgsm")
        by_program = tmp_path / "program"
        run.run_stages(config, cfg.ALL, WorkDirectory(by_program))
        changed = {k: v for k, v in config.to_json().items() if v != cfg.Config().to_json()[k]}
        changed = {name: getattr(config, name) for name in changed}
        for name in ("dataset", "method", "protocol", "workdir"):
            changed.pop(name, None)
        train, test = helpers.make_dataset(30), helpers.make_dataset(12, seed=1)
        path = tmp_path / "python"
        encoder = ascl_tf.pretrain(train, method="simclr", workdir=path, **changed)
        classifier = ascl_tf.finetune(encoder, train, workdir=path, **changed)
        records = ascl_tf.evaluate_robustness(
            classifier, test, ["standard", "fgsm"], batch_size=6, seed=config.seed
        )
        ascl_tf.export_classifier(classifier, tmp_path / "exported")
    for stage in ("pretrain", "finetune_laf"):
        (_, ours, _), (_, theirs, _) = (
            read_checkpoint(place, stage) for place in (path, by_program)
        )
        assert ours == theirs, stage
    best = _records_of(by_program)["best"]
    assert [r["verdicts"] for r in records] == [r["verdicts"] for r in best]
    images = test.images[:3] / np.float32(255)
    exported = load_model(tmp_path / "exported").logits_fn(images)["logits"]
    np.testing.assert_allclose(exported, classifier(images), rtol=0, atol=1e-5)


def _records_of(path):
    """Returns checkpoint -> records of a run's evaluation."""
    found = {}
    for record in read_records(path / "results" / "evaluate_finetune_laf.json"):
        found.setdefault(record["checkpoint"], []).append(record)
    return found


@pytest.fixture
def tiny():
    """Settings of the program that are keywords here, and the tiny encoder, step by step."""
    with eager_world():
        yield SETTINGS


@pytest.mark.slow  # test_own_network.py trains one by the program.
@pytest.mark.parametrize("mode", ["laf", "faf"])
def test_keras_model_of_ones_own_is_trained_and_stays_as_it_is(tiny, tmp_path, mode):
    model = make_functional()
    before = [np.copy(w) for w in model.get_weights()]
    train = helpers.make_dataset(30)
    encoder = ascl_tf.pretrain(
        train, method="simclr", encoder=model, workdir=tmp_path / "a", **tiny
    )
    frozen = encoder.get_weights()
    classifier = ascl_tf.finetune(encoder, train, mode=mode, workdir=tmp_path / "b", **tiny)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(frozen, encoder.get_weights(), strict=True))
    images = train.images[:2] / np.float32(255)
    assert encoder(images).shape == (2, 4) and classifier(images).shape == (2, train.num_classes)
    tuned = classifier.encoder.get_weights()
    is_same = all(np.array_equal(a, b) for a, b in zip(frozen, tuned, strict=True))
    assert is_same == (mode == "laf")


@pytest.mark.slow  # test_weight_averaging.py has the package's networks.
def test_average_of_a_keras_model_of_ones_own_is_validated(tiny, tmp_path):
    train = helpers.make_dataset(30)
    settings = {**tiny, "weight_averaging": 0.5}
    classifier = ascl_tf.pretrain(
        train, method="at", encoder=make_functional(), workdir=tmp_path, **settings
    )
    assert classifier.encoder.feature_dim == 4
    (last,) = read_record(tmp_path, "pretrain")["epochs"]
    assert 0 <= last["val/robust_accuracy"] <= 100


def test_model_that_is_there_already_is_not_trained_in_another_precision(tmp_path):
    train = helpers.make_dataset(30)
    with pytest.raises(ConfigError, match="precision"):
        ascl_tf.pretrain(train, encoder=make_functional(), precision="bfloat16", workdir=tmp_path)


def test_one_shot_method_gives_its_classifier(tiny, tmp_path):
    train = helpers.make_dataset(30)
    classifier = ascl_tf.pretrain(train, method="at", workdir=tmp_path, **tiny)
    assert classifier(train.images[:2] / np.float32(255)).shape == (2, train.num_classes)
    assert isinstance(classifier.encoder, keras.Model)


def test_given_validation_and_unlabeled_images_are_used(tiny, tmp_path, monkeypatch):
    seen = {}

    def fit(**settings):
        seen.update(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "make_stage_fit", fit)
    train, validation = helpers.make_dataset(18), helpers.make_dataset(9, seed=3)
    with pytest.raises(KeyboardInterrupt):
        ascl_tf.pretrain(
            train,
            method="ascl",
            validation=validation,
            unlabeled=helpers.make_dataset(6, seed=4),
            workdir=tmp_path,
            **tiny,
        )
    assert len(seen["dataset"]) == 24 and seen["dataset"].num_labeled == 18
    np.testing.assert_array_equal(seen["validation_labels"], validation.labels)


def test_bad_arguments_are_named(tmp_path):
    train = helpers.make_dataset(30)
    with pytest.raises(ConfigError, match="epoch"):
        ascl_tf.pretrain(train, method="ascl", epochs=0, workdir=tmp_path)
    with pytest.raises(ConfigError, match="method"):
        ascl_tf.pretrain(train, method="no_such", workdir=tmp_path)
    unlabeled = ImageDataset("bare", train.images, np.full(30, -1, np.int32), 0, ())
    with pytest.raises(RunError, match="label"):
        ascl_tf.pretrain(unlabeled, method="at", workdir=tmp_path, **SETTINGS)
    with pytest.raises((ConfigError, TypeError), match="no_such_setting"):
        ascl_tf.pretrain(train, no_such_setting=1, workdir=tmp_path)


class Begun(Exception):
    """A stage has begun: nothing was refused."""


@pytest.fixture
def begins(tiny, tmp_path, monkeypatch):
    """A function that pre-trains up to the first step, in its own work directory."""

    def begun(**settings):
        raise Begun

    monkeypatch.setattr(run, "make_stage_fit", begun)
    monkeypatch.setattr(factory, "make_encoder", MAKE_ENCODER)

    def pretrain(train=None, **changes):
        settings = {"method": "standard", "workdir": tmp_path / "run", **tiny, **changes}
        ascl_tf.pretrain(helpers.make_dataset(30) if train is None else train, **settings)

    return pretrain


def _dataset(size=8, num_classes=3, labels=None):
    images = np.zeros([12, size, size, 3], np.uint8)
    labels = np.arange(12) % num_classes if labels is None else np.full(12, labels)
    return ImageDataset.from_arrays(images, labels)


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"train": (1, 2)}, "`train`: expected an ImageDataset, such as .*; found tuple"),
        ({"unlabeled": [3]}, "`unlabeled`: expected an ImageDataset, .*; found list"),
        ({"unlabeled": _dataset()}, "`unlabeled`: expected a method with a term .*`method=standar"),
        ({"unlabeled": _dataset(9), "method": "acl"}, "`unlabeled=arrays`: expected images of sha"),
        ({"validation": _dataset(9)}, "`validation`: expected images of shape .* found .9, 9, 3."),
        ({"validation": _dataset(8, 5)}, "`validation`: expected labels of the 3 classes .* to 4"),
        ({"train": _dataset(labels=-1)}, "`train=arrays`: expected labels, .*; found none"),
        ({"train": _dataset(4)}, "`train=arrays`: expected images of at least 8 x 8 pixels; found"),
        ({"dataset": "cifar10"}, "`dataset`: expected the argument `train` in its place; found 'c"),
        ({"image_size": 8}, "`image_size`: expected images of that size; found 8, of a command li"),
        ({"pretrained": "x"}, "`pretrained`: expected the argument `encoder` in its place; found"),
        ({"epochs": "5"}, "`epochs`: expected an integer; found '5'"),
        ({"encoder": 3}, "`encoder`: expected a keras.Model or a function that returns one; found"),
        ({"encoder": "absent.keras"}, "`encoder=.*absent.keras`: expected a file with a Keras mo"),
        ({"encoder": lambda: _pooled(), "batch_norm": "shared"}, "`encoder`: expected weights tha"),
        (
            {"encoder": make_functional(), "precision": "bfloat16"},
            "`precision=bfloat16`: expected ",
        ),
    ],
)
def test_what_would_go_wrong_is_one_line_before_the_first_step(begins, tmp_path, changes, line):
    with pytest.raises((ConfigError, RunError), match=line) as caught:
        begins(**changes)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def _pooled(*layers):
    pool = keras.layers.GlobalAveragePooling2D()
    return keras.Sequential([keras.Input((8, 8, 3)), *layers, pool])


def test_unknown_setting_names_the_nearest(begins):
    with pytest.raises(TypeError, match=r"expected known settings; found epoch \(near it: epochs"):
        begins(epoch=3)


def test_what_may_be_a_mistake_is_said(begins, capsys):
    model = _pooled(keras.layers.Conv2D(2, 3, kernel_regularizer="l2"))
    train = ImageDataset.from_arrays(np.zeros([12, 8, 8, 3], np.uint8), np.arange(12) % 2 + 1)
    with pytest.raises(Begun):
        begins(train, encoder=model, batch_norm="shared", epsilon=0.5)
    printed = capsys.readouterr().out
    assert "warning: `epsilon=0.5`: expected less than 0.5 for `norm=linf`" in printed
    assert "notice: `train`: 1 of 3 classes have no images, such as 0" in printed
    assert "notice: layer regularizers of `encoder` are not part of the loss" in printed


def test_smoke_makes_a_call_small_but_for_what_it_names(begins, monkeypatch):
    seen = {}
    monkeypatch.setattr(run, "pretrain", lambda config, *_, **__: seen.update(config=config))
    with pytest.raises(RunError, match="expected a checkpoint"):
        begins(encoder="wide_resnet_10_1", smoke=True, width=8)
    config = seen["config"]
    assert (config.width, config.num_train_images, config.epochs) == (8, 48, 1)
    assert config.dataset == "noise" and config.encoder == "wide_resnet_10_1"


def test_first_signal_waits_for_the_step_and_handlers_come_back(begins, monkeypatch):
    handlers, before = [], signal.getsignal(signal.SIGINT)

    def begun(**settings):
        handlers.append(signal.getsignal(signal.SIGINT))
        raise Begun

    monkeypatch.setattr(run, "make_stage_fit", begun)
    with pytest.raises(Begun):
        begins(encoder=make_functional())
    assert handlers != [before] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow  # test_own_network.py has the model of a run.
def test_work_directory_knows_the_model_that_was_given(begins, tmp_path):
    model = make_functional(dropout=0.1)
    for _ in range(2):
        with pytest.raises(Begun):
            begins(encoder=model)
    assert recorded_config(tmp_path / "run").encoder == str(tmp_path / "run" / "encoder.keras")
    with pytest.raises(Begun):  # The file's.
        begins()
    for other in (_like(activation="gelu"), _pooled(keras.layers.BatchNormalization())):
        with pytest.raises(ConfigError, match="`encoder`: expected the model with which .* begun"):
            begins(encoder=other)


def _like(activation):
    """Returns a model of the same weights that computes something else."""
    others = {keras.layers.ReLU: keras.layers.Activation(activation)}
    return copy_model(make_functional(), None, lambda layer: others.get(type(layer)))


def test_model_that_cannot_be_saved_is_named_to_a_command_line(begins, tmp_path, capsys):
    with pytest.raises(Begun):
        begins(encoder=_pooled(keras.layers.Lambda(lambda x: x), keras.layers.BatchNormalization()))
    assert "notice: Keras cannot save `encoder` to a file (ValueError: " in capsys.readouterr().out
    config = recorded_config(tmp_path / "run")
    with pytest.raises(ConfigError, match="`encoder=given:Sequential`: expected a function or a"):
        run.run_stages(config, cfg.PRETRAIN, WorkDirectory(tmp_path / "run"))


@pytest.mark.slow  # Either way alone is above.
def test_command_line_goes_on_from_python(tiny, tmp_path, monkeypatch):
    train = helpers.make_dataset(30)
    model = make_functional()
    settings = {**tiny, "batch_norm": "shared", "workdir": tmp_path}
    encoder = ascl_tf.pretrain(train, method="simclr", encoder=model, **settings)
    before = encoder.get_weights()
    again = ascl_tf.pretrain(
        train, method="simclr", encoder=encoder, **tiny, workdir=tmp_path / "b"
    )
    # Neither is the one that was given.
    assert all(np.array_equal(a, b) for a, b in zip(before, encoder.get_weights(), strict=True))
    assert not np.array_equal(again.get_weights()[0], before[0])
    classifier = ascl_tf.finetune(encoder, train, mode="lsf", workdir=tmp_path)
    config = recorded_config(tmp_path)
    # What the second call did not name is the first one's.
    assert (config.method, config.batch_norm, config.finetune_epochs) == ("simclr", "shared", 1)
    monkeypatch.setattr(factory, "make_encoder", MAKE_ENCODER)
    run.run_stages(config, cfg.EXPORT, WorkDirectory(tmp_path))
    images = train.images[:3] / np.float32(255)
    exported = load_model(tmp_path / "export" / "finetune_lsf").logits_fn(images)["logits"]
    np.testing.assert_allclose(exported, classifier(images), rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="`batch_norm`: expected shared, as the encoder was made"):
        ascl_tf.finetune(encoder, train, batch_norm="separate", workdir=tmp_path / "c")
    with pytest.raises(ConfigError, match="`encoder`: expected an encoder, .*; found a classifier"):
        ascl_tf.finetune(classifier, train, workdir=tmp_path / "c")
    with pytest.raises(ValueError, match="must return logits.*; received an encoder"):
        ascl_tf.evaluate_robustness(encoder, train, "standard")


def test_other_images_are_refused_in_a_work_directory_that_holds_a_run(tiny, tmp_path):
    run_of = functools.partial(ascl_tf.pretrain, method="standard", workdir=tmp_path, **tiny)
    run_of(helpers.make_dataset(30))
    with pytest.raises(RunError, match="SHA-256"):
        run_of(helpers.make_dataset(30, seed=9))
