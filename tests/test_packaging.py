"""What an installation gets: version, bounded dependencies, entries, bundled data."""

import ast
import contextlib
import importlib
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import ascl_tf

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ascl_tf"

# Import name -> name in setup.py, where they differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "sklearn": "scikit-learn",
    "tensorflow_addons": "tfa-nightly",
    "tensorflow_datasets": "tensorflow-datasets",
}


@pytest.fixture(scope="module")
def metadata():
    """Returns the keywords of the call of `setup` in setup.py that are written as literals."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    (call,) = [node for node in calls if getattr(node.func, "id", "") == "setup"]
    literals = {}
    for keyword in call.keywords:
        with contextlib.suppress(ValueError):
            literals[keyword.arg] = ast.literal_eval(keyword.value)
    return literals


def _requirements(metadata):
    extras = metadata["extras_require"].values()
    return [*metadata["install_requires"], *(line for lines in extras for line in lines)]


def _name(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_version_exists_once(wheel):
    (information,) = {name.partition("/")[0] for name in wheel if ".dist-info/" in name}
    assert information == f"ascl_tf-{ascl_tf.__version__}.dist-info"
    assert ascl_tf.__version__ not in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert re.fullmatch(r"\d+\.\d+\.\d+", ascl_tf.__version__)
    assert f"## [{ascl_tf.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_has_a_lower_and_an_upper_bound(metadata):
    for requirement in _requirements(metadata):
        versions = requirement.partition(";")[0]
        is_pinned = "==" in versions
        assert is_pinned or (">=" in versions and re.search(r"<[^=]", versions)), requirement


def test_python_range_has_both_ends(metadata):
    assert metadata["python_requires"] == ">=3.11,<3.14"


def test_addons_are_asked_for_only_where_they_have_wheels(metadata):
    (addons,) = [line for line in metadata["install_requires"] if _name(line) == "tfa-nightly"]
    assert addons.partition(";")[2].strip() == 'python_version < "3.12"'


def test_what_tensorflow_datasets_needs_and_does_not_declare_is_declared(metadata):
    assert "importlib_resources" in map(_name, metadata["install_requires"])


def _imported_libraries():
    names = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module)
    tops = {name.split(".")[0] for name in names}
    return tops - set(sys.stdlib_module_names) - {"ascl_tf"}


def test_every_imported_library_is_declared(metadata):
    declared = {_name(requirement) for requirement in _requirements(metadata)}
    needed = {DISTRIBUTIONS.get(name, name).lower() for name in _imported_libraries()}
    assert needed <= declared
    assert {"tensorflow", "keras"} <= needed


def test_console_entries_can_be_called(metadata):
    entries = metadata["entry_points"]["console_scripts"]
    assert {entry.split(" = ")[0] for entry in entries} >= {"ascl-train", "ascl-evaluate"}
    for entry in entries:
        module, _, function = entry.split(" = ")[1].partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_importing_the_package_defines_no_flag_and_loads_no_library():
    code = (
        "import sys; before = set(sys.modules); import ascl_tf; "
        "new = set(sys.modules) - before - {'ascl_tf'}; assert not new, new"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Returns the names of the files in a wheel that is built from a copy of the sources."""
    try:
        for tool in ("pip", "setuptools", "wheel"):
            importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError as error:
        pytest.skip(f"this environment has no {error.name}")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(PACKAGE, source / "ascl_tf", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "flags", source / "flags")
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module_and_the_bundled_data(wheel):
    modules = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
    bundled = (PACKAGE / "data" / "bundled").rglob("*")
    data = {path.relative_to(ROOT).as_posix() for path in bundled if path.is_file()}
    assert any(name.endswith("dataset_info.json") for name in data)
    assert sum(".tfrecord" in name for name in data) == 2
    assert modules | data | {"ascl_tf/py.typed"} <= wheel
    recipes = {f"ascl_tf/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("flags/**/*.*")}
    assert "ascl_tf/flags/quickstart.flags" in recipes and recipes <= wheel


def test_wheel_holds_the_licence_and_neither_tests_nor_tools(wheel):
    assert any(name.endswith("LICENSE") for name in wheel)
    assert not [name for name in wheel if name.startswith(("tests/", "tools/"))]
