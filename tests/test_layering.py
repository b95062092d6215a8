"""The direction of imports, read from the source: top to bottom only.

Every arrow between two rooms of the package that this table does not allow fails, and
so does a library that is imported outside of the one module that may know it.
"""

import ast
import pathlib
import subprocess
import sys
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "ascl_tf"

# A room is a file or a folder directly in the package.
GROUND = {"config", "errors", "loops", "process", "randomness"}
TOOLKITS = {"data", "models", "losses", "attacks"}
WORKSHOPS = {"evaluation", "analysis"}
SERVING = {"serving"}  # It measures what it writes.
ALLOWED = {
    PACKAGE: set(),
    "errors": set(),
    "loops": set(),
    "randomness": {"loops"},
    "config": {"errors"},
    "process": {"errors"},
    **{room: GROUND for room in TOOLKITS},
    **{room: GROUND | TOOLKITS for room in WORKSHOPS},
    "serving": GROUND | TOOLKITS | {"evaluation"},
    "methods": GROUND | TOOLKITS,
    "training": GROUND | TOOLKITS | WORKSHOPS | SERVING | {"methods"},
    "program": GROUND | TOOLKITS | WORKSHOPS | SERVING,
    "train": GROUND | {"program", "training"},
    **{
        program: GROUND | TOOLKITS | WORKSHOPS | SERVING | {"program"}
        for program in ("evaluate", "analyze", "export", "predict")
    },
}

# What only a few modules may know: name -> modules, as paths inside the package.
CONFINED = {
    "absl.flags": {"program/flag_defs.py", "program/outside_methods.py", "train.py"},
    "cleverhans": {"evaluation/reference_attacks.py"},
    "tensorflow_addons": {"data/image_ops.py"},
    "matplotlib": {"analysis/figures.py"},
    "torch": {"models/torch_weights.py"},
    "tf2onnx": {"serving/onnx.py"},
    "onnxruntime": {"serving/onnx.py"},
    "ai_edge_litert": {"serving/tflite.py"},
    "tests": set(),
    "tools": set(),
}

# Readable without TensorFlow, so that a mistake in flags does not wait for its import.
WITHOUT_LIBRARIES = (
    "__init__.py",
    "errors.py",
    "evaluation/__init__.py",
    "evaluation/protocols.py",
    "evaluation/variants.py",
    "config/__init__.py",
    "config/config.py",
    "config/identity.py",
    "config/networks.py",
    "config/outside.py",
    "config/paths.py",
    "config/protocol_names.py",
    "config/registry.py",
    "config/sections.py",
    "config/setting.py",
    "process/__init__.py",
    "process/signals.py",
    "process/tf_config.py",
    "program/__init__.py",
    "program/flag_help.py",
    "program/flagfiles.py",
    "program/messages.py",
    "program/protocol_help.py",
)

# The registry loads the methods' specs by name, as it does those from outside of the package.
REGISTRY = ("config/registry.py", "ascl_tf.methods")


class Import(NamedTuple):
    """One imported name, dotted, and the line on which it stands."""

    name: str
    line: int


def imports_of(tree, package):
    """Returns the imports of a module anywhere in its code, those in functions included.

    Args:
        tree: the parsed module.
        package: dotted name of the package that relative imports start from.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            found += [Import(f"{base}.{alias.name}", node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call):
            found += [Import(name, node.lineno) for name in _called_import(node)]
    return found


def _absolute(node, package):
    if not node.level:
        return node.module
    parents = package.split(".")
    start = parents[: len(parents) - node.level + 1]
    return ".".join([*start, node.module] if node.module else start)


def _called_import(node):
    """Returns the constant beginning of what `__import__` or `import_module` is called with."""
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if name not in ("__import__", "import_module") or not node.args:
        return []
    argument = node.args[0]
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[0]
    text = getattr(argument, "value", None)
    return [text.rstrip(".")] if isinstance(text, str) else []


def room_of(path):
    """Returns the room of a module, given by its path inside the package."""
    first = pathlib.PurePosixPath(path).parts[0]
    return PACKAGE if first == "__init__.py" else first.removesuffix(".py")


def target_room(name):
    """Returns the room that a dotted name lies in, or None outside of the package."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else PACKAGE


def violations(root):
    """Returns one line per forbidden import in the package at `root`, and per unknown room."""
    found = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root).as_posix()
        room = room_of(path)
        if room not in ALLOWED:
            found.append(f"{path}: room {room!r} stands in no row of the table")
            continue
        package = ".".join((PACKAGE, *pathlib.PurePosixPath(path).parts[:-1]))
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for item in imports_of(tree, package):
            found += _complaints(path, room, item)
    return found


def _complaints(path, room, item):
    target = target_room(item.name)
    is_loaded_by_name = (path, item.name) == REGISTRY
    is_allowed = target in (None, room) or target in ALLOWED[room] or is_loaded_by_name
    if not is_allowed:
        yield f"{path}:{item.line}: {room} must not import {target} ({item.name})"
    for name, modules in CONFINED.items():
        if path not in modules and (item.name == name or item.name.startswith(f"{name}.")):
            yield f"{path}:{item.line}: only {sorted(modules)} may import {name}"
    is_of_spec = (
        item.name.startswith(("ascl_tf.config.", "ascl_tf.errors.")) or "_spec." in item.name
    )
    if path.endswith("_spec.py") and target is not None and not is_of_spec:
        yield f"{path}:{item.line}: a spec imports {item.name}"
    own = target is not None or item.name.split(".")[0] in sys.stdlib_module_names
    is_plain = path in WITHOUT_LIBRARIES or path.endswith("_spec.py")
    if is_plain and not own:
        yield f"{path}:{item.line}: must import no library, imports {item.name}"


def test_no_import_goes_upwards_or_sideways():
    assert violations(ROOT / PACKAGE) == []


def test_table_names_no_room_above_itself():
    # Allowed arrows form no cycle: leave out rooms without open arrows until none is left.
    open_rooms = {room: set(targets) for room, targets in ALLOWED.items()}
    while open_rooms:
        done = {room for room, targets in open_rooms.items() if not targets & set(open_rooms)}
        assert done, f"cycle among {sorted(open_rooms)}"
        open_rooms = {room: t for room, t in open_rooms.items() if room not in done}


def _write_tree(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("losses/a.py", "from ascl_tf.models import resnet18", "losses must not import models"),
        ("attacks/a.py", "import ascl_tf.losses.contrastive", "attacks must not import losses"),
        ("data/a.py", "from ascl_tf import attacks", "data must not import attacks"),
        ("data/a.py", "from ..training import run", "data must not import training"),
        ("models/a.py", "def f():\n    from ascl_tf.data import views", "models must not import"),
        ("methods/a.py", "from ascl_tf.evaluation import x", "methods must not import evaluation"),
        ("evaluation/a.py", "import ascl_tf.training", "evaluation must not import training"),
        ("randomness.py", "from ascl_tf import config", "randomness must not import config"),
        ("config/config.py", "import tensorflow as tf", "imports tensorflow"),
        ("methods/a_spec.py", "import tensorflow as tf", "imports tensorflow"),
        ("methods/a_spec.py", "from ascl_tf.methods import base", "a spec imports ascl_tf.methods"),
        ("training/a.py", "from absl import flags", "may import absl.flags"),
        ("evaluation/a.py", "import cleverhans.tf2", "may import cleverhans"),
        ("evaluation/a.py", "__import__(f'cleverhans.{x}')", "may import cleverhans"),
        ("data/a.py", "importlib.import_module('tensorflow_addons')", "tensorflow_addons"),
        ("training/a.py", "from matplotlib import pyplot", "may import matplotlib"),
        ("models/a.py", "import torch", "may import torch"),
        ("evaluate.py", "from tests.common import x", "may import tests"),
        ("serving/a.py", "import tf2onnx", "only ['serving/onnx.py'] may import tf2onnx"),
        ("kitchen/a.py", "", "'kitchen' stands in no row"),
    ],
)
def test_checker_catches_a_forbidden_arrow(tmp_path, path, text, complaint):
    found = violations(_write_tree(tmp_path, {path: text}))
    assert len(found) == 1
    assert found[0].startswith(path) and complaint in found[0]


def test_checker_lets_allowed_arrows_pass(tmp_path):
    files = {
        "train.py": "from absl import flags\nfrom ascl_tf.training.run import run_stages",
        "training/run.py": "from ascl_tf import evaluation, serving\nfrom . import workdir",
        "methods/ascl.py": "from ascl_tf.losses import x\nimport tensorflow as tf",
        "evaluation/reference_attacks.py": "import cleverhans",
        "config/config.py": "import json\nfrom ascl_tf.errors import ConfigError",
        "losses/a.py": "from ascl_tf import randomness",
    }
    assert violations(_write_tree(tmp_path, files)) == []


def test_no_tool_needs_the_tests():
    for file in sorted((ROOT / "tools").rglob("*.py")):
        names = {item.name for item in imports_of(ast.parse(file.read_text()), "tools")}
        assert not {name for name in names if name.split(".")[0] == "tests"}, file


def test_no_test_imports_what_another_keeps_for_itself():
    for file in sorted((ROOT / "tests").rglob("*.py")):
        package = ".".join(file.parent.relative_to(ROOT).parts)
        for item in imports_of(ast.parse(file.read_text(encoding="utf-8")), package):
            parts = item.name.split(".")
            is_private = parts[0] == "tests" and any(part.startswith("_") for part in parts)
            assert not is_private, f"{file}:{item.line}: {item.name}"


def test_flags_are_parsed_without_tensorflow():
    code = (
        "import sys, ascl_tf, ascl_tf.train, ascl_tf.program.flag_defs, ascl_tf.config as cfg\n"
        "from absl import flags\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "assert not set(flags.FLAGS) & set(cfg.setting_fields())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
