"""One name per thing: no synonym of the glossary as an argument or a setting."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# synonym -> the name to use instead
SYNONYMS = {
    "x": "images",
    "y": "labels",
    "targets": "labels",
    "bsz": "global_batch_size",
    "bs": "global_batch_size",
    "hiddens": "features",
    "embedding": "features",
    "embeddings": "features",
    "z": "projections",
    "hidden": "projections",
    "projector_features": "projections",
    "supervised_head": "linear_head",
    "probe": "linear_head",
    "t": "temperature",
    "tau": "temperature",
    "model_fn": "logits_fn",
    "predict_fn": "logits_fn",
    "eta": "perturbation",
    "dx": "perturbation",
    "eps": "epsilon",
    "eps_iter": "step_size",
    "attack_lr": "step_size",
    "abs_stepsize": "step_size",
    "alpha": "step_size",
    "nb_iter": "num_steps",
    "n_iter": "num_steps",
    "iterations": "num_steps",
    "rand_init": "random_start",
    "loss_fn": "objective",
    "clean_accuracy": "standard_accuracy",
    "natural_accuracy": "standard_accuracy",
    "adversarial_accuracy": "robust_accuracy",
    "num_cores": "num_replicas",
    "world_size": "num_replicas",
    "train_mode": "stage",
}
# A targeted attack has target classes, a black-box attack target models: neither are labels.
ALLOWED = {(room, "targets") for room in ("attacks", "evaluation", "program")}


def names_of(tree):
    """Yields (name, line) of public functions' arguments and of dataclass fields."""
    for scope in [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and _is_public(node.name):
                arguments = node.args
                for group in (arguments.posonlyargs, arguments.args, arguments.kwonlyargs):
                    yield from ((argument.arg, node.lineno) for argument in group)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, node.lineno


def _is_public(name):
    return not name.startswith("_") or name.startswith("__")


def complaints(root):
    """Returns one line per synonym in the package at `root`."""
    found = []
    for file in sorted(root.rglob("*.py")):
        path = file.relative_to(root)
        for name, line in names_of(ast.parse(file.read_text(encoding="utf-8"))):
            if name in SYNONYMS and (path.parts[0], name) not in ALLOWED:
                found.append(f"{path}:{line}: {name} is called {SYNONYMS[name]} here")
    return found


def test_no_synonym_of_the_glossary_is_in_use():
    assert complaints(ROOT / "ascl_tf") == []


@pytest.mark.parametrize(
    ("text", "synonym"),
    [
        ("def attack(images, *, eps):\n    pass", "eps"),
        ("def loss(z, labels):\n    pass", "z"),
        ("class Attack:\n    def __init__(self, nb_iter=10):\n        pass", "nb_iter"),
        ("class Config:\n    bsz: int = 3", "bsz"),
    ],
)
def test_checker_finds_a_synonym(text, synonym, tmp_path):
    (tmp_path / "attacks.py").write_text(text)
    (found,) = complaints(tmp_path)
    assert f"{synonym} is called {SYNONYMS[synonym]}" in found


def test_checker_lets_calls_of_other_libraries_pass(tmp_path):
    text = "def attack(images, epsilon):\n    return fgm(images, eps=epsilon, y=lambda x: x)"
    (tmp_path / "attacks.py").write_text(text)
    assert complaints(tmp_path) == []
