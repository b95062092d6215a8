"""python -m ascl_tf.export: a model file in, a folder that serves out."""

import json

import numpy as np
import pytest

from ascl_tf import export
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.serving.loading import load_model
from tests.common import random_images
from tests.program_lines import line_matches
from tests.serving.models import SIZE, draw, make_model


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A model, and pictures of its three classes."""
    root = tmp_path_factory.mktemp("root")
    make_model().save(root / "m.keras")
    for number in range(12):
        split, name = ("train", "test")[number % 2], "abc"[number // 2 % 3]
        draw(root / "data" / split / name / f"{number}.png", SIZE, SIZE, 3, seed=number)
    (root / "data" / "LICENSE").write_text("\n CC BY 4.0\n")
    return root


@pytest.fixture(autouse=True)
def _in_root(root, monkeypatch):
    monkeypatch.chdir(root)


def test_model_becomes_what_was_asked_for(capsys):
    flags = ["--dataset=folder:data", "--protocol=fgsm", "--export_format=saved_model,tflite"]
    export.main(["export", "--model=m.keras", "--output=first", *flags])
    said = capsys.readouterr().out
    assert "model.tflite: " in said and ", RA " in said and "exported model: first" in said
    card = json.loads(open("first/card.json").read())
    assert card["class_names"] == ["a", "b", "c"]
    again = [f"--{name}" for name in ("dataset=folder:data", "export_format=saved_model,tflite")]
    export.main(["export", "--model=first", "--output=second", *again])
    again = json.loads(open("second/card.json").read())
    assert again["class_names"] == ["a", "b", "c"] and again["resize"] == card["resize"]
    assert again["files"]["model.tflite"]["protocol"] == "pgd20"
    images = random_images(3)
    found = load_model("second").logits_fn(images)["logits"]
    np.testing.assert_allclose(found, make_model()(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "kind", "line"),
    [
        (["--output=x"], ConfigError, "--model: expected a SavedModel folder or a .keras file; fo"),
        (["--model=m.keras"], ConfigError, "--output: expected a folder; found none"),
        (["--model=none", "--output=x"], RunError, "--model=none: expected .*found nothing there"),
        (["--model=data", "--output=data/x"], RunError, "--output=data/x: expected a place outsi"),
        (
            ["--model=m.keras", "--output=x", "--export_format=torch"],
            ConfigError,
            "--export_format: expected some of saved_model, keras, tflite, onnx; found torch",
        ),
        (
            ["--model=m.keras", "--output=x", "--export_format=tflite"],
            ConfigError,
            "--dataset: expected one whose training images calibrate",
        ),
        (
            ["--model=m.keras", "--output=x", "--dataset=folder:data", "--split=val"],
            RunError,
            "--split: expected one of the splits of folder:data: test, train; found val",
        ),
        (
            ["--model=m.keras", "--output=x", "--dataset=bundled", "--num_images=9"],
            RunError,
            r"--model=m.keras: expected logits .*\(8, 8, 3\): --image_size=8 resizes the images",
        ),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(arguments, kind, line, root):
    before = sorted(root.iterdir())
    with line_matches(kind, line):
        export.main(["export", *arguments])
    assert sorted(root.iterdir()) == before
