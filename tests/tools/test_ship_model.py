"""Models that a tool puts into the package: whole or not at all, under a name that is one."""

import json

import pytest

import ascl_tf
from ascl_tf import train
from ascl_tf.config import pretrained
from tools import ship_model


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the models, not there yet."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    return tmp_path / "pretrained"


@pytest.mark.parametrize("name", ["", ".", "../config", "a/b", "A b"])
def test_what_is_no_name_is_refused_and_nothing_is_lost(name, folder, capsys):
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(SystemExit, match="2"):
        ship_model.main([f"--name={name}", "--workdir=runs/x"])
    assert "--name: expected lower-case letters" in capsys.readouterr().err
    assert (folder / "kept").exists()


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert ship_model.main(["--name=tiny", f"--workdir={tmp_path}"]) == 1
    assert "expected the work directory of a run; found no config.json" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_becomes_a_model_with_its_card(folder, tmp_path, capsys):
    own = ("--smoke", "--dataset=bundled", "--num_replicas=1", "--image_size=32", "--method=at")
    train.main(["train", *own, f"--workdir={tmp_path / 'run'}"])
    assert ship_model.main(["--name=tiny", f"--workdir={tmp_path / 'run'}"]) == 0
    assert ascl_tf.list_pretrained() == ["tiny"] and ascl_tf.load("tiny").encoder.width == 2
    card = json.loads((folder / "tiny" / "card.json").read_text())
    (stage,) = card["training"]
    assert (stage["epochs"], stage["planned_epochs"]) == (1, 1)
    assert stage["command"].startswith("python -m ascl_tf.train --stage=pretrain --dataset=bundled")
    assert card["bundled"]["pgd20"]["num_images"] == 200
    # Another run is refused, and the model stays.
    (tmp_path / "run" / "results" / "pretrain.json").write_text('{"class_names": ["a", "b"]}')
    assert ship_model.main(["--name=tiny", f"--workdir={tmp_path / 'run'}"]) == 1
    assert "expected the classes of CIFAR-10" in capsys.readouterr().err
    assert ascl_tf.list_pretrained() == ["tiny"]
    # What was measured of it.
    model = {"model_sha256": card["files"]["classifier.keras"]["sha256"]}
    model["conditions"] = {"clean": {"expected_calibration_error": 3.25}}
    figure = {"figure": "calibration", "num_images": 20, "models": [model]}
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps(figure))
    assert ship_model.main(["--name=tiny", "--records", str(measured)]) == 0
    assert "3.25 % clean, on 20 images" in (folder / "tiny" / "README.md").read_text()
    for text in ("no JSON", "[]", json.dumps({**figure, "models": [{}]})):
        measured.write_text(text)
        assert ship_model.main(["--name=tiny", "--records", str(measured)]) == 1
