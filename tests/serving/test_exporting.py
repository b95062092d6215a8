"""Exported folders: each format against the model, the card, and what is refused."""

import hashlib
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data import ImageDataset
from ascl_tf.data.resizing import resize
from ascl_tf.errors import RunError
from ascl_tf.serving import checking, onnx, tflite
from ascl_tf.serving.card import read_card
from ascl_tf.serving.exporting import export_classifier
from ascl_tf.serving.loading import load_model
from tests.common import random_images
from tests.serving.models import NAMES, SIZE, make_data, make_model, run_code


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The model in all formats but ONNX."""
    path = tmp_path_factory.mktemp("exported") / "model"
    export_classifier(
        model,
        path,
        formats=["tflite", "keras", "saved_model"],
        resize="crop",
        train=make_data(seed=1),
        test=make_data(),
        protocol="pgd20@num_steps=2",
        details={"method": "none", "data": {"license": "CC0"}},
    )
    return path


@pytest.fixture(scope="module")
def card(folder):
    return json.loads((folder / "card.json").read_text())


def test_signatures_name_the_class(folder, model):
    images, serve = random_images(5), load_model(folder).logits_fn
    outputs, expected = serve(images), model(images).numpy()
    np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-5, atol=1e-5)
    classes = expected.argmax(axis=1)
    np.testing.assert_array_equal(outputs["class"], classes)
    assert [name.decode() for name in outputs["class_name"].numpy()] == [NAMES[i] for i in classes]
    assert len(set(classes)) > 1


def test_pictures_of_other_sizes_are_brought_to_the_models_as_training_does(folder, model):
    pixels = np.random.default_rng(2).integers(0, 256, [2, 11, 17, 3]).astype(np.uint8)
    signature = load_model(folder).logits_fn.loaded.signatures["serve_uint8"]
    cropped = resize(pixels, SIZE, "crop").numpy() / np.float32(255)
    stretched = resize(pixels, SIZE, "stretch").numpy() / np.float32(255)
    found = signature(images=tf.constant(pixels))["logits"]
    np.testing.assert_allclose(found, model(cropped), rtol=1e-5, atol=1e-4)
    assert np.abs(model(cropped) - model(stretched)).max() > 1e-2


def test_signatures_can_still_be_attacked(folder):
    images = tf.constant(random_images(2))
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(load_model(folder).logits_fn(images)["logits"])
    assert np.abs(tape.gradient(total, images)).max() > 0


def test_keras_file_has_the_features(folder, model):
    loaded, images = load_model(folder / "model.keras"), random_images(3)
    np.testing.assert_allclose(loaded.logits_fn(images), model(images), rtol=1e-5, atol=1e-5)
    assert loaded.features_fn(images).shape == (3, 4)


@pytest.mark.parametrize("count", [1, 5])
def test_tflite_in_float_is_the_model_at_any_batch_size(count, folder, model):
    images = random_images(count)
    found = tflite.load(folder / "model.tflite")(images)
    np.testing.assert_allclose(found, model(images), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_tflite_in_integers_is_near_and_smaller_inside(folder, model):
    images = make_data(seed=3).images / np.float32(255)
    expected = model(images).numpy()
    found = tflite.load(folder / "model_int8.tflite")(images)
    assert 0 < np.abs(found - expected).max() < 0.1 * np.ptp(expected)
    interpreter = tf.lite.Interpreter(str(folder / "model_int8.tflite"))
    assert np.int8 in {tensor["dtype"] for tensor in interpreter.get_tensor_details()}


def test_card_says_what_the_files_are(folder, card):
    assert card["class_names"] == list(NAMES)
    assert (card["image_size"], card["resize"], card["method"]) == ([SIZE, SIZE], "crop", "none")
    assert (folder / "assets" / "labels.txt").read_text().splitlines() == list(NAMES)
    files = card["files"]
    assert list(files) == sorted(files) and len(files) == 4
    for name, found in files.items():
        assert found["num_images"] == 24 and found["protocol"] == "pgd20@num_steps=2"
        if name != "model_int8.tflite":
            assert found["logit_difference"] < 1e-3 and found["class_agreement"] == 100
    assert files["model.tflite"]["bytes"] == (folder / "model.tflite").stat().st_size


def test_accuracies_in_the_card_are_those_of_the_file(folder, card):
    data = make_data()
    answers = tflite.load(folder / "model_int8.tflite")(data.images / np.float32(255))
    found = card["files"]["model_int8.tflite"]
    right = answers.argmax(axis=1) == data.labels
    assert found["standard_accuracy"] == pytest.approx(100 * right.mean())
    assert found["robust_accuracy"] <= found["standard_accuracy"]
    assert found["robust_accuracy_of_model"] <= found["standard_accuracy_of_model"]


def test_readme_says_it_to_people(folder, card):
    text = (folder / "README.md").read_text()
    for expected in (*NAMES, "8 x 8 pixels", "CC0", "cut to its center", "pgd20@num_steps=2"):
        assert expected in text, expected
    for name in card["files"]:
        assert f"| `{name}` |" in text


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_code_in_the_readme_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    blocks = (folder / "README.md").read_text().split("```python\n")[1:]
    assert len(blocks) == 4
    for block in blocks:
        run_code(block.partition("```")[0])


def test_equal_models_give_equal_cards(model, tmp_path):
    texts = []
    for name in ("a", "b"):
        export_classifier(model, tmp_path / name, formats=["keras"], test=make_data())
        texts.append(hashlib.sha256((tmp_path / name / "card.json").read_bytes()).hexdigest())
    assert texts[0] == texts[1]
    assert not (tmp_path / "a" / "saved_model.pb").exists()


def test_classes_without_names_have_their_numbers(model, tmp_path):
    card = export_classifier(model, tmp_path / "m", formats=["keras"])
    assert card["class_names"] == ["0", "1", "2"] and "protocol" not in card["files"]["model.keras"]


def test_what_does_not_fit_is_refused_and_leaves_what_was_there(model, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "card.json").touch()
    small, wrong = (
        ImageDataset.from_arrays(np.zeros([2, side, SIZE, 3], np.uint8), [0, 3])
        for side in (4, SIZE)
    )
    for settings, message in (
        ({"class_names": ["a", "b"]}, "`class_names` must hold 3 names, one per logit; received 2"),
        ({"formats": ["torch"]}, "`formats` must be of saved_model, keras, tflite, onnx; receive"),
        ({"formats": "torch"}, "`formats` must be of saved_model, .*; received torch"),
        ({"formats": []}, "received none"),
        ({"class_names": "cat"}, "`class_names` must hold 3 names, .*; received 'cat'"),
        ({"train": small}, r"`train` must hold images of shape \(8, 8, 3\), .* received \(4, 8, 3"),
        ({"test": wrong}, "`labels` must be below the 3 classes of the model; received 3"),
        ({"resize": "fit"}, "`resize` must be one of stretch, crop, pad; received 'fit'"),
        ({"formats": ["tflite"]}, "`train` must be the training images"),
    ):
        with pytest.raises(ValueError, match=message):
            export_classifier(model, tmp_path / "m", **settings)
    assert [path.name for path in tmp_path.rglob("*")] == ["m", "card.json"]


def test_details_never_stand_in_place_of_what_the_files_are(model, tmp_path):
    details = {"class_names": ["cat"], "files": {}, "method": "at"}
    card = export_classifier(model, tmp_path / "m", formats="keras", details=details)
    assert card["class_names"] == ["0", "1", "2"] and list(card["files"]) == ["model.keras"]
    assert card["method"] == "at"


def test_saved_model_has_no_layers_for_keras(folder, tmp_path):
    loaded = load_model(folder)
    with pytest.raises(RunError, match="keras: expected a model whose layers are known.*SavedMod"):
        export_classifier(loaded, tmp_path / "m", formats=["keras"])


def test_saved_model_becomes_a_saved_model_with_names(folder, model, tmp_path):
    names = ["x", "y", "z"]
    export_classifier(load_model(folder), tmp_path / "m", class_names=names)
    images = random_images(3)
    found = load_model(tmp_path / "m").logits_fn(images)
    np.testing.assert_allclose(found["logits"], model(images), rtol=1e-5, atol=1e-5)
    assert {name.decode() for name in found["class_name"].numpy()} <= set(names)


def test_a_file_that_answers_otherwise_is_refused():
    images = random_images(4)
    reference = checking.Reference(images, np.float32([[3.0, 1.0]] * 4), np.zeros(4, int))
    for change, message in (
        (1e-3, r"expected logits that differ.*by less than 3\.0e-04; found 1\.0e-03"),
        (np.nan, "found nan"),
    ):
        with pytest.raises(RunError, match=message):
            checking.compare(reference, lambda x, c=change: reference.logits + c, "model.onnx")
    found = checking.compare(reference, lambda x: -reference.logits, "m", is_exact=False)
    assert found["class_agreement"] == 0 and found["standard_accuracy"] == 0
    assert found["standard_accuracy_of_model"] == 100 and "robust_accuracy" not in found


def test_probe_attacks_the_model(model):
    from ascl_tf.serving.served import as_served

    served, data = as_served(model), make_data()
    reference = checking.make_reference(served, data, "fgsm")
    clean, attacked = np.split(reference.images, 2)
    np.testing.assert_array_equal(clean, data.images / np.float32(255))
    assert 0 < np.abs(attacked - clean).max() <= 8 / 255 + 1e-6
    loss = tf.keras.losses.sparse_categorical_crossentropy
    before, after = (loss(reference.labels, part, True) for part in np.split(reference.logits, 2))
    assert np.mean(after) > np.mean(before)


def test_damaged_card_is_one_line(folder, tmp_path):
    assert read_card(tmp_path) is None
    assert read_card(folder / "other.keras") is None
    assert read_card(folder / "model.keras")["resize"] == "crop"
    (tmp_path / "card.json").write_text("[1]")
    with pytest.raises(RunError, match=r"card\.json: expected the card of an exported model"):
        read_card(tmp_path)


def test_damaged_tflite_is_one_line(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"no")
    with pytest.raises(RunError, match="expected a TFLite file; found: ") as caught:
        tflite.load(tmp_path / "m.tflite")
    assert "\n" not in str(caught.value)


def test_missing_library_is_named(model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for call in (
        lambda: export_classifier(model, tmp_path / "m", formats=["onnx"]),
        lambda: onnx.load(tmp_path / "m.onnx"),
    ):
        with pytest.raises(RunError, match=r"^onnx: expected .*, which pip install 'ascl-tf\[onnx"):
            call()


def test_onnx_is_the_model_at_any_batch_size(model, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    card = export_classifier(
        model, tmp_path / "m", formats=["onnx"], test=make_data(), protocol="fgsm"
    )
    run = onnx.load(tmp_path / "m" / "model.onnx")
    for count in (1, 4):
        images = random_images(count)
        np.testing.assert_allclose(run(images), model(images), rtol=1e-5, atol=1e-5)
    found = card["files"]["model.onnx"]
    assert found["class_agreement"] == 100 and found["protocol"] == "fgsm"
    (tmp_path / "bad.onnx").write_bytes(b"no")
    with pytest.raises(RunError, match="expected an ONNX file"):
        onnx.load(tmp_path / "bad.onnx")
