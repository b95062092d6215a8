"""ascl_tf.predict on good and bad files: tables, JSON lines, features, exit statuses."""

import io
import json
import re
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

import ascl_tf
from ascl_tf import predict
from ascl_tf.data.resizing import resize
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.program import flag_defs
from ascl_tf.serving.exporting import export_classifier
from tests.program_lines import line_matches
from tests.serving.models import NAMES, SIZE, draw, make_model

GOOD = ("a.png", "b.JPG", "deep/er/ä 猫.png", "gray.png", "rgba.png")
BAD = ("empty.png", "text.jpg")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model of others, the same with its card, and pictures, good and bad."""
    root = tmp_path_factory.mktemp("world")
    model = make_model()
    model.save(root / "plain.keras")
    export_classifier(model, root / "ours", formats=["keras"], class_names=NAMES, resize="pad")
    pictures = root / "pictures"
    draw(pictures / "a.png", 20, 30, 3)
    draw(pictures / "b.JPG", 30, 20, 3, seed=1)
    draw(pictures / "gray.png", SIZE, SIZE, seed=2)
    draw(pictures / "rgba.png", SIZE, SIZE, 4, seed=3)
    draw(pictures / "deep" / "er" / "ä 猫.png", 9, 9, 3, seed=4)
    draw(pictures / ".hidden.png", 9, 9, 3)
    (pictures / "text.jpg").write_text("hello")
    (pictures / "empty.png").touch()
    (pictures / "notes.txt").write_text("no picture, and not called one")
    (root / "no_pictures").mkdir()
    return root


@pytest.fixture(autouse=True)
def _in_the_world(world, monkeypatch):
    monkeypatch.chdir(world)


def _json(capsys, *arguments, model="ours/model.keras"):
    """Returns (exit status, objects by file, stderr)."""
    status = 0
    try:
        flag_defs.run_program(
            predict.main, ["predict", f"--model={model}", "--format=jsonl", *arguments]
        )
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    found = [json.loads(line) for line in said.out.splitlines()]
    return status, {line["file"]: line for line in found}, said.err


def test_folder_is_gone_through_and_what_is_bad_is_named(capsys):
    status, found, error = _json(capsys, "pictures")
    assert sorted(found) == sorted(f"pictures/{name}" for name in GOOD + BAD)
    for name in GOOD:
        line = found[f"pictures/{name}"]
        assert line["class_name"] == NAMES[line["class"]] and 1 / 3 <= line["probability"] <= 1
    for name in BAD:
        line = found[f"pictures/{name}"]
        assert line["error"] == "expected a decodable image, found: cannot identify image file"
    assert status == 1 and error == "2 of 7 files could not be read\n"


def test_good_pictures_exit_with_0_in_their_order(capsys):
    files = ["pictures/rgba.png", "pictures/a.png", "pictures/gray.png"]
    status, found, error = _json(capsys, *files, "--batch_size=2")
    assert (status, list(found), error) == (0, files, "")


def test_missing_file_and_folder_without_pictures_are_lines(capsys):
    status, found, _ = _json(capsys, "none.png", "no_pictures", "pictures/a.png")
    assert found["none.png"]["error"].endswith("found: No such file or directory")
    assert "at least one picture" in found["no_pictures"]["error"]
    assert status == 1 and "class" in found["pictures/a.png"]


def test_text_that_is_asked_for_by_name_is_an_error(capsys):
    status, found, _ = _json(capsys, "pictures/notes.txt")
    assert status == 1 and "expected a decodable image" in found["pictures/notes.txt"]["error"]


def test_answers_are_the_models_on_what_training_would_read(capsys):
    pixels = np.asarray(Image.open("pictures/a.png"))
    images = resize(pixels, SIZE, "pad").numpy()[None] / np.float32(255)
    logits = make_model()(images).numpy()[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    _, found, _ = _json(capsys, "pictures/a.png", "--top_k=2")
    ranked = found["pictures/a.png"]["top"]
    assert [each["class"] for each in ranked] == np.argsort(-expected)[:2].tolist()
    found = [each["probability"] for each in ranked]
    np.testing.assert_allclose(found, np.sort(expected)[:0:-1], rtol=1e-4)


def test_without_a_card_classes_have_numbers_and_pictures_are_cropped(capsys):
    _, plain, _ = _json(capsys, "pictures/a.png", model="plain.keras")
    _, cropped, _ = _json(capsys, "pictures/a.png", "--resize=crop")
    (plain,), (cropped,) = plain.values(), cropped.values()
    assert plain["class_name"] == str(plain["class"])
    assert plain["probability"] == cropped["probability"]


@pytest.mark.parametrize("given", ["-", "names.txt"])
def test_names_from_a_list(given, capsys, monkeypatch):
    text = b"\xef\xbb\xbfpictures/a.png\n\npictures/deep\r\n"
    with open("names.txt", "wb") as file:
        file.write(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    status, found, _ = _json(capsys, f"--list={given}", "pictures/gray.png")
    files = ["pictures/gray.png", "pictures/a.png", "pictures/deep/er/ä 猫.png"]
    assert (status, list(found)) == (0, files)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_table_fits_a_terminal(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    predict.main(["predict", "--model=ours/model.keras", "pictures/a.png", "pictures/deep/er"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "class", "probability"] and len(lines) == 3
    assert {cell_len(line) for line in lines} == {columns}
    assert lines[2].split("  ")[0].endswith("ä 猫.png")


def test_table_in_a_file_has_whole_names(capsys):
    predict.main(["predict", "--model=ours/model.keras", "--top_k=2", "pictures/a.png"])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["file", "pictures/a.png", ""]
    assert all(re.fullmatch(r"\d\.\d{4}", line[2]) for line in lines[1:])
    assert {line[1] for line in lines[1:]} < set(NAMES)


def test_names_that_would_break_their_line_are_escaped(tmp_path, capsys):
    model = tmp_path / "model"
    export_classifier(make_model(), model, formats=["keras"], class_names=["a\tb\n"] * 3)
    names = [str(tmp_path / "one\ntwo.png"), str(tmp_path / "three\nfour.png")]
    draw(tmp_path / "one\ntwo.png", 9, 9, 3)
    with pytest.raises(SystemExit):
        flag_defs.run_program(predict.main, ["p", f"--model={model}/model.keras", *names])
    _, good, bad = capsys.readouterr().out.splitlines()
    assert good.startswith(f"{tmp_path}/one\\ntwo.png\ta\\tb\\n\t")
    assert bad.startswith(f"{tmp_path}/three\\nfour.png\texpected") and bad.count("\t") == 2


def test_features_of_all_that_can_be_read(tmp_path, capsys):
    place = tmp_path / "f.npz"
    with pytest.raises(SystemExit) as stop:
        predict.main(["predict", "--model=plain.keras", f"--embed={place}", "pictures"])
    said = capsys.readouterr().out
    assert stop.value.code == 1 and "features: " in said and "pictures/empty.png: expected" in said
    stored = np.load(place)
    assert sorted(stored["files"]) == sorted(f"pictures/{name}" for name in GOOD)
    row = stored["features"][list(stored["files"]).index("pictures/gray.png")]
    pixels = np.asarray(Image.open("pictures/gray.png").convert("RGB"))[None] / np.float32(255)
    model = make_model()
    expected = keras.Model(model.input, model.get_layer("features").output)(pixels)
    np.testing.assert_allclose(row, expected[0], rtol=1e-4, atol=1e-5)


def test_where_nothing_can_be_read_earlier_features_stay(tmp_path):
    place = tmp_path / "f.npz"
    place.write_text("earlier")
    with pytest.raises(SystemExit) as stop:
        predict.main(["p", "--model=plain.keras", f"--embed={place}", "pictures/empty.png"])
    assert stop.value.code == 1 and place.read_text() == "earlier"


def test_functions_say_the_same(capsys):
    _, by_program, _ = _json(capsys, "pictures")
    found = ascl_tf.classify("ours/model.keras", ["pictures"])
    assert {each.file: each.error for each in found} == {
        file: line.get("error", "") for file, line in by_program.items()
    }
    for each in found:
        if not each.error:
            line = by_program[each.file]
            assert (line["class"], line["probability"]) == (each.classes[0], each.probabilities[0])
    features = ascl_tf.embed(make_model(), ["pictures/a.png", "none.png"])
    assert features.files == ["pictures/a.png"] and list(features.errors) == ["none.png"]


def test_another_way_to_resize_is_refused_for_squares_too():
    with pytest.raises(ValueError, match="`resize` must be one of stretch, .*; received 'fit'"):
        ascl_tf.classify(make_model(), "pictures/gray.png", resize="fit")


def test_a_classifier_in_memory_names_classes_too(capsys):
    (by_model,) = ascl_tf.classify(make_model(), "pictures/a.png", resize="pad")
    (by_file,) = ascl_tf.classify("ours/model.keras", "pictures/a.png")
    assert by_model.classes == by_file.classes and by_model.class_names == (
        str(by_file.classes[0]),
    )


@pytest.mark.parametrize(
    ("arguments", "kind", "line"),
    [
        (["--model=ours/model.keras"], ConfigError, "expected pictures, folders or --list; found"),
        (["x.png"], ConfigError, "--model: expected the file or folder of a classifier; found"),
        (["--model=none", "x.png"], RunError, "--model=none: expected a SavedModel .*nothing the"),
        (["--model=pictures", "x.png"], RunError, "--model=pictures: expected .*found neither"),
        (["--model=plain.keras", "--list=none"], RunError, "--list=none: expected a readable f"),
        (["--model=plain.keras", "--embed=f.txt", "x"], ConfigError, "--embed: expected .*npz;"),
        (["--model=plain.keras", "--top_k=0", "x.png"], ConfigError, "--top_k: expected a number"),
        (["--model=plain.keras", "--image_size=9", "x"], RunError, "--image_size: expected the 8"),
        (["--model=plain.keras", "--resize=fit", "x"], ConfigError, "--resize: expected one of au"),
        (["x.png", "--mdoel=plain.keras"], ConfigError, r"--mdoel: expected .*near it: --model"),
    ],
)
def test_bad_flags_are_one_line(arguments, kind, line):
    with line_matches(kind, line):
        predict.main(["predict", *arguments])


def test_model_without_features_is_one_line(tmp_path):
    images = keras.Input((SIZE, SIZE, 3))
    flat = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    keras.Model(images, flat).save(tmp_path / "m.keras")
    with line_matches(RunError, "--model: expected a SavedModel with a signature features"):
        predict.main(
            ["predict", f"--model={tmp_path}/m.keras", f"--embed={tmp_path}/f.npz", "pictures"]
        )
    assert not (tmp_path / "f.npz").exists()
