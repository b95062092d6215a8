"""The code of docs/serving.md, run on an exported folder, as far as the libraries are there."""

import ast
import importlib.util
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from ascl_tf.serving.exporting import export_classifier
from tests.serving.models import NAMES, draw, make_data, make_model, run_code

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = "tensorflow_model_server"
# Of the extra `onnx`; LiteRT has a stand-in.
OPTIONAL = ("onnxruntime", "tf2onnx")


def _sections():
    """Returns heading -> Python code of the page."""
    found = {}
    for part in (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        for block in text.split("```python\n")[1:]:
            found[heading] = found.get(heading, "") + block.partition("```")[0]
    return found


SECTIONS = _sections()


def _is_there(name):
    return importlib.util.find_spec(name) is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `exported` in all formats whose libraries are there, and pictures."""
    root = tmp_path_factory.mktemp("documents")
    formats = [
        "saved_model",
        "keras",
        "tflite",
        *(["onnx"] if all(map(_is_there, OPTIONAL)) else []),
    ]
    data = make_data()
    export_classifier(
        make_model(), root / "exported", formats=formats, train=data, test=data, protocol="fgsm"
    )
    draw(root / "cat.png", 20, 30, 3)
    (root / "broken.png").touch()
    return root


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("heading", SECTIONS)
def test_code_of_the_page_runs(heading, folder, monkeypatch, capsys):
    code = SECTIONS[heading]
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in set(names) & {"onnxruntime"}:
            pytest.importorskip(name, reason="the extra `onnx` is not installed")
            pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    if "urllib" in code and shutil.which(SERVER) is None:
        pytest.skip(f"{SERVER} is not installed")
    monkeypatch.chdir(folder)
    server = _serve(folder) if "urllib" in code else None
    try:
        run_code(code)
    finally:
        if server is not None:
            server.terminate()
            server.wait()
    said = capsys.readouterr().out
    assert said and (heading == "ONNX Runtime" or any(name in said for name in NAMES))


def _serve(folder):
    """Starts TensorFlow Serving as the page says; returns its process once it answers."""
    shutil.copytree(folder / "exported", folder / "models" / "pets" / "1")
    flags = ["--rest_api_port=8501", "--model_name=pets"]
    server = subprocess.Popen([SERVER, *flags, f"--model_base_path={folder}/models/pets"])
    for _ in range(60):
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", 8501)) == 0:
                return server
        time.sleep(1)
    return server


def test_the_page_shows_every_way():
    wanted = ("TensorFlow", "As a layer of Keras", "TensorFlow Serving", "TFLite", "ONNX Runtime")
    assert set(wanted) <= set(SECTIONS)
