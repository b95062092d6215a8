"""Training from Python equals the program, with networks and images of the caller's own."""

import functools
import importlib
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
from ascl_tf.serving.loading import load_model
from ascl_tf.training import run
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import helpers
from tests.models.own_networks import make_functional
from tests.training.resuming import read_checkpoint, read_record
from tests.training.worlds import eager_world

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


def test_other_images_are_refused_in_a_work_directory_that_holds_a_run(tiny, tmp_path):
    run_of = functools.partial(ascl_tf.pretrain, method="standard", workdir=tmp_path, **tiny)
    run_of(helpers.make_dataset(30))
    with pytest.raises(RunError, match="SHA-256"):
        run_of(helpers.make_dataset(30, seed=9))
