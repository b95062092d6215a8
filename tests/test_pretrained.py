"""The models that come with the package: their verdicts, their files, and their names."""

import json
import shutil

import keras
import numpy as np
import pytest

import ascl_tf
from ascl_tf import config as cfg
from ascl_tf.config import paths, pretrained
from ascl_tf.data import load_dataset
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.verdicts import verdicts_of
from ascl_tf.methods.factory import settings_of_encoder
from ascl_tf.training.encoder_sources import open_encoder

NAMES = ascl_tf.list_pretrained()
# Processors round differently.
NUM_OTHERS = 1


def _card(name):
    return json.loads((pretrained.FOLDER / name / pretrained.CARD).read_text())


@pytest.mark.parametrize(
    ("name", "number"),
    [("cifar10-w16-ascl", 50), *(pytest.param(n, 200, marks=pytest.mark.slow) for n in NAMES)],
)
def test_a_model_has_the_verdicts_that_its_card_tells(name, number):
    bundled = _card(name)["bundled"]
    test = load_dataset("bundled", "test[:200]")
    found = evaluate_robustness(ascl_tf.load(name), test, list(bundled), num_images=number)
    for record in found:
        expected = bundled[record["protocol"]]
        assert expected["num_images"] == 200
        assert record["data_sha256"] == expected["data_sha256"]
        for kind in expected["verdicts"]:
            differing = verdicts_of(record, kind) != verdicts_of(expected, kind)[:number]
            assert differing.sum() <= NUM_OTHERS


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if "ascl" in n else pytest.mark.slow) for n in NAMES],
)
def test_a_model_gives_logits_and_its_encoder_features(name):
    images = load_dataset("bundled", "test[:4]").images / np.float32(255)
    classifier = ascl_tf.load(f"{pretrained.PREFIX}{name}")
    features = classifier.encoder(images)
    assert isinstance(classifier, keras.Model)
    np.testing.assert_allclose(classifier.linear_head(features), classifier(images), rtol=1e-6)
    assert features.shape == (4, classifier.encoder.feature_dim)


def test_all_of_them_are_small_enough_to_come_with_the_package():
    files = [path for path in pretrained.FOLDER.rglob("*") if path.is_file()]
    assert len(NAMES) >= 2 and sum(path.stat().st_size for path in files) < 10e6


def test_unknown_names_are_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=f"expected .*pretrained:{NAMES[0]}.*; found 'nothing'"):
        ascl_tf.load("nothing")
    with pytest.raises(ValueError, match="`name` must be text; received NoneType"):
        ascl_tf.load(None)
    with pytest.raises(RunError, match="expected pretrained:.*; found 'nothing'"):
        ascl_tf.classify("pretrained:nothing", ["picture.png"])


def test_a_file_that_its_card_does_not_tell_of_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "pretrained"
    shutil.copytree(pretrained.FOLDER / NAMES[0], folder / "model")
    monkeypatch.setattr(pretrained, "FOLDER", folder)
    assert pretrained.file_of("model") == str(folder / "model" / pretrained.FILE)
    shutil.copytree(folder / "model", folder / "no_card")
    (folder / "no_card" / pretrained.CARD).unlink()
    assert pretrained.list_pretrained() == ["model"]
    damaged = folder / "damaged"
    shutil.copytree(folder / "model", damaged)
    with (damaged / pretrained.FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="as its card has it; found another file"):
        ascl_tf.load("damaged")
    (damaged / pretrained.CARD).write_text("[]")
    with pytest.raises(ValueError, match="expected the card of a model in .*; found another file"):
        ascl_tf.load("damaged")


def test_training_finds_the_encoder_of_a_name():
    source = open_encoder("pretrained", f"pretrained:{NAMES[0]}")
    assert source.settings == settings_of_encoder(ascl_tf.load(NAMES[0]).encoder)
    # The record of a run does not say where the package lies.
    named = {"initial_encoder": f"pretrained:{NAMES[0]}"}
    assert cfg.with_absolute_places(named) == named


@pytest.mark.parametrize(
    ("kind", "text", "expanded"),
    [
        (paths.MODEL, "pretrained:{}", "{}"),
        (paths.PATHS, "a=pretrained:{0}, b = runs/x,pretrained:{0}", "a={0}, b = runs/x,{0}"),
        (paths.SOURCE, "pretrained:{}", None),
        (paths.PATH, "pretrained:{}", None),
        (paths.MODEL, "runs/pretrained:{}", None),
    ],
)
def test_a_name_stands_for_its_file_where_a_flag_takes_models(kind, text, expanded):
    text, file = text.format(NAMES[0]), pretrained.file_of(NAMES[0])
    assert paths.expand(text, kind) == (expanded.format(file) if expanded else text)


def test_a_trained_model_is_no_network_to_train():
    with pytest.raises(ConfigError, match="found pretrained:x .`initial_encoder=pretrained:x`"):
        cfg.Config(encoder="pretrained:x")
