"""What the evaluation program refuses to run, and what stands beside every number of it."""

import getpass
import json
import pathlib
import platform
import socket
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from ascl_tf import evaluate
from ascl_tf.errors import RunError
from ascl_tf.evaluation.records import PROVENANCE_FIELDS, read_records
from ascl_tf.serving.loading import load_model
from tests.program_lines import line_matches

SIZE = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of images, two of which both splits hold, and two models."""
    root = tmp_path_factory.mktemp("owner-of-this-machine")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, SIZE, SIZE, 3), np.uint8)
    for split, rows in (("train", range(6)), ("test", range(4, 10))):
        for i in rows:
            place = root / "images" / split / f"class{i % 2}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[i]).save(place / f"{i}.png")
    _save(root / "plain.keras", keras.layers.GlobalAveragePooling2D())
    _save(root / "lambda.keras", keras.layers.Lambda(lambda x: x[:, 0, 0]))
    return root


def _save(path, layer):
    inputs = keras.Input((SIZE, SIZE, 3))
    keras.Model(inputs, 20 * layer(inputs)).save(path)


def _run(world, *flags, protocol="standard"):
    output = world / "records.json"
    output.unlink(missing_ok=True)  # It is of another model.
    dataset = f"--dataset=folder:{world / 'images'}"
    evaluate.main(["evaluate", dataset, f"--protocol={protocol}", f"--output={output}", *flags])
    return read_records(output)


def _single(world, **settings):
    return _run(world, f"--model={world / 'plain.keras'}", **settings)


def _transfer(world):
    targets = f"--targets=a={world / 'plain.keras'},b={world / 'plain.keras'}"
    return _run(world, targets, protocol="fgsm")


@pytest.mark.parametrize(
    "measure",
    [
        lambda world: _single(world, protocol="standard,fgsm,cleverhans_fgm"),
        lambda world: _single(world, protocol="sweep_epsilon"),
        lambda world: _single(world, protocol="corruptions"),
        _transfer,
    ],
    ids=["protocols", "sweep", "corruptions", "transfer"],
)
def test_every_number_says_where_it_comes_from(measure, world):
    for record in measure(world):
        assert set(PROVENANCE_FIELDS) <= set(record)
        assert len(record["model_sha256"]) == len(record["data_sha256"]) == 64
        assert record["versions"]["ascl_tf"]
        assert {"kind", "epsilon", "step_size", "num_steps"} <= set(record["attack"])
        (seen,) = [c for c in record["checks"] if c["name"] == "seen_in_training"]
        assert seen["message"].startswith("2 of 6 test images are also among the 6 training")
        raised = {check["name"] for check in record["checks"]}
        assert raised.isdisjoint(record["checks_passed"]) and record["checks_passed"]


def test_test_images_that_training_never_saw_pass(world):
    # Of a folder's classes in order, images 4 and 5 are each class's first.
    (record,) = _single(world, protocol="standard")
    assert "seen_in_training" not in record["checks_passed"]
    flags = (f"--model={world / 'plain.keras'}", "--training_split=")
    (record,) = _run(world, *flags)
    names = [check["name"] for check in record["checks"]]
    assert "seen_in_training" not in [*names, *record["checks_passed"]]
    (record,) = _run(world, f"--model={world / 'plain.keras'}", "--training_split=absent")
    assert "seen_in_training" not in record["checks_passed"]


def test_records_name_neither_machine_nor_user(world, monkeypatch):
    sentinels = {"the-host-name", "the-user-name", "the-secret-token"}
    for module, name in ((socket, "gethostname"), (socket, "getfqdn"), (platform, "node")):
        monkeypatch.setattr(module, name, lambda *_: "the-host-name")
    monkeypatch.setattr(getpass, "getuser", lambda: "the-user-name")
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "the-user-name")
    monkeypatch.setenv("HOSTNAME", "the-host-name")
    monkeypatch.setenv("API_TOKEN", "the-secret-token")
    text = json.dumps([*_single(world, protocol="standard,fgsm"), *_transfer(world)])
    hidden = {*sentinels, world.name, str(pathlib.Path.home()), str(pathlib.Path.cwd())}
    assert [name for name in hidden if name in text] == []


def test_lambda_layer_is_refused_unless_its_author_is_trusted(world):
    path = world / "lambda.keras"
    message = r"lambda\.keras`?: expected a Keras model without Lambda layers.*(--|`)trust_model"
    with pytest.raises(RunError, match=message):
        load_model(path)
    with line_matches(RunError, message):
        _run(world, f"--model={path}")
    with line_matches(RunError, r"--targets=b=.*lambda\.keras: expected a Keras model w"):
        _run(world, f"--targets=a={world / 'plain.keras'},b={path}", protocol="fgsm")
    (record,) = _run(world, f"--model={path}", "--trust_model")
    assert 0 <= record["robust_accuracy"] <= 100


@pytest.mark.parametrize("wrap", ["bidirectional", "nested", "activation"])
def test_lambda_is_found_wherever_it_hides(wrap, tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    layer = keras.layers.Lambda(lambda x: x)
    if wrap == "bidirectional":
        layer = keras.layers.TimeDistributed(layer)
    elif wrap == "nested":
        layer = keras.Sequential([keras.Sequential([layer])])
    else:
        layer = keras.layers.Activation(lambda x: x)
    with warnings.catch_warnings():
        # Keras advises against what is tried here.
        warnings.simplefilter("ignore", UserWarning)
        keras.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    # A lambda in place of an activation is no layer; Keras itself cannot bring it back.
    expected = "expected a Keras model" if wrap == "activation" else "without Lambda layers"
    with pytest.raises(RunError, match=expected):
        load_model(tmp_path / "m.keras")
