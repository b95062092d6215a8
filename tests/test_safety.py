"""Nothing that is read can run: no pickle, no eval, no shell; read from the source itself."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Modules that turn bytes into code or objects.
FORBIDDEN_IMPORTS = {"pickle", "dill", "joblib", "marshal", "shelve", "yaml", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "os.system", "os.popen"}
# Members of archives are read by name; unpacking would follow their paths.
FORBIDDEN_METHODS = {"extractall", "unpack_archive"}
# One may load PyTorch's own files, of weights alone.
TORCH_LOAD = "torch.load"


def complaints(text, path="a.py"):
    """Returns one line for each dangerous import or call in a module's source."""
    return [
        f"{path}:{node.lineno}: {complaint}"
        for node in ast.walk(ast.parse(text))
        for complaint in _complaints_of(node)
    ]


def _complaints_of(node):
    if isinstance(node, ast.Import):
        yield from _forbidden(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield from _forbidden([node.module])
    elif isinstance(node, ast.Call):
        yield from _complaints_of_call(node)


def _forbidden(modules):
    return [f"imports {name}" for name in modules if name.split(".")[0] in FORBIDDEN_IMPORTS]


def _complaints_of_call(node):
    name = ast.unparse(node.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    # `model.eval()` of PyTorch and `re.compile` are methods, and something else.
    if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
        yield f"calls {name}"
    if name in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
        yield f"calls {name} without allow_pickle=False"
    if name == TORCH_LOAD and keywords.get("weights_only") != "True":
        yield f"calls {name} without weights_only=True"
    if "shell" in keywords:
        yield f"calls {name} with a shell"
    if keywords.get("allow_pickle") == "True":
        yield f"calls {name} with allow_pickle=True"
    if name.endswith("load_model") and keywords.get("safe_mode") == "False":
        yield f"calls {name} without Keras' safe mode"


@pytest.mark.parametrize("folder", ["ascl_tf", "tools"])
def test_source_reads_nothing_that_can_run(folder):
    found = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        found += complaints(file.read_text(encoding="utf-8"), path)
    assert found == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import pickle", "imports pickle"),
        ("def f():\n    from joblib import load", "imports joblib"),
        ("import yaml.loader", "imports yaml.loader"),
        ("np.load(path)", "np.load without allow_pickle=False"),
        ("np.load(path, allow_pickle=True)", "np.load without allow_pickle=False"),
        ("np.savez(path, allow_pickle=True)", "with allow_pickle=True"),
        ("eval(text)", "calls eval"),
        ("os.system(text)", "calls os.system"),
        ("subprocess.run(text, shell=True)", "calls subprocess.run with a shell"),
        ("tar.extractall(folder)", "calls tar.extractall"),
        ("keras.models.load_model(path, safe_mode=False)", "without Keras' safe mode"),
        ("torch.load(path)", "torch.load without weights_only=True"),
    ],
)
def test_checker_finds_what_is_dangerous(text, complaint):
    assert complaint in complaints(text)[0]


def test_checker_lets_the_harmless_pass():
    text = "import json\nnp.load(path, allow_pickle=False)\nmodel.eval()\nre.compile('a')\n"
    assert complaints(text) == []
