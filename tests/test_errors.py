"""Errors by field: the library's wording, a program's flags, and no flag in the library."""

import ast
import pathlib
import pickle
import re

import pytest

import ascl_tf
from ascl_tf.errors import ConfigError, MissingSplitError, RunError, renamed
from ascl_tf.program import flag_defs
from ascl_tf.program.messages import as_flag, one_line, reason, refused

PACKAGE = pathlib.Path(ascl_tf.__file__).parent
PROGRAMS = {"program", "train.py", "evaluate.py", "analyze.py", "export.py", "predict.py"}
# Why a module holds a flag that is no error's: it is printed, written, or of another program.
OTHER_FLAGS = {
    "evaluation/records.py": "those of git",
    "serving/card.py": "commands that use a model",
    "training/cost.py": "a notice",
    "training/batches.py": "a notice",
    "training/budget.py": "notices",
    "training/ending.py": "commands that go on",
    "training/headings.py": "a notice",
    "training/run_data.py": "notices",
    "training/workdir.py": "the flagfile of a run, those of TensorBoard",
}
# A flag, or the beginning of one whose name is filled in (`\0`).
FLAG = re.compile(r"(?<![-\w])--[a-z\0]")


def _too_many():
    expected = "at most the 24 images (`image_size=8` is small, as is `seed`)"
    return RunError(field="num_images", expected=expected, found=25)


def test_caller_of_the_library_reads_the_names_of_arguments():
    assert str(_too_many()) == (
        "`num_images`: expected at most the 24 images (`image_size=8` is small, as is `seed`); "
        "found 25"
    )


def test_program_reads_the_same_error_with_flags():
    assert one_line(_too_many()) == (
        "--num_images: expected at most the 24 images (--image_size=8 is small, as is --seed); "
        "found 25"
    )


def test_parts_stay_at_hand():
    error = ConfigError(field="path", value="a b", expected="a folder", cause="No such file")
    assert (error.field, error.value, error.expected) == ("path", "a b", "a folder")
    assert str(error) == "`path=a b`: expected a folder; found: No such file"
    assert error.exit_status == 2 and _too_many().exit_status == 1
    assert isinstance(error, ValueError) and isinstance(_too_many(), ValueError)


def test_what_others_say_is_never_taken_for_a_setting():
    said = "pass `safe_mode=False`"
    assert one_line(RunError(place="a.keras", expected="a model", cause=said)).endswith(said)
    assert one_line(RunError(said, field="model")) == f"--model: {said}"
    assert one_line(RunError(said)) == said


def test_error_of_another_place_follows_with_its_own_settings():
    inner = RunError(place="last", expected="a checkpoint", found="none; choose another `workdir`")
    error = ConfigError(inner, field="initial_encoder", value="run")
    line = "last: expected a checkpoint; found none; choose another"
    assert one_line(error) == f"--initial_encoder=run: {line} --workdir"
    assert str(error) == f"`initial_encoder=run`: {line} `workdir`"


def test_caller_names_arguments_as_it_knows_them_from_the_inside_out():
    with pytest.raises(RunError) as caught, renamed(model="models=at"), renamed(path="model"):
        raise RunError(field="path", value="x", expected="a `path`, no `seed`", found="none")
    assert one_line(caught.value) == "--models=at=x: expected a --models=at, no --seed; found none"
    assert str(caught.value).startswith("`models=at=x`: ")


def test_other_errors_pass_where_names_are_changed():
    with pytest.raises(KeyError, match="path"), renamed(path="model"):
        raise KeyError("path")


def test_missing_split_knows_the_splits_there_are():
    error = MissingSplitError(field="name", expected="one", found="none", splits=["train"])
    assert error.splits == ("train",) and str(error) == "`name`: expected one; found none"


def test_errors_survive_pickling():
    with pytest.raises(RunError) as caught, renamed(num_images="count"):
        raise _too_many()
    again = pickle.loads(pickle.dumps(caught.value))
    assert one_line(again) == one_line(caught.value)


def test_refusal_without_a_flag_gets_the_subject_and_no_other_does():
    with pytest.raises(RunError, match=r"^--model=m on noise: `labels` must be below 3$"):
        with refused("--model=m on noise"):
            raise ValueError("`labels` must be below 3")
    with pytest.raises(ConfigError, match=r"^no subject$"), refused("--model=m on noise"):
        raise ConfigError("no subject")


def test_reason_is_the_first_line_that_says_something():
    said = "Graph execution error:\n\nDetected at node X\n{{function_node f}} shapes differ\nmore"
    assert reason(ValueError(said)) == "shapes differ"
    assert reason(ValueError("")) == ""


def test_program_prints_flags_and_exits_with_the_status(capsys):
    def fail(argv):
        with renamed(num_images="count"):
            raise _too_many()

    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(fail, ["program"])
    assert exit_info.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {as_flag('count')}: expected at most ")


def _texts(node):
    """Yields the texts in a piece of code, `\\0` for what is filled in, without docstrings."""
    inside = set()
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            inside |= {id(value) for value in part.values}
            yield "".join(
                getattr(value, "value", "\0") if _is_text(value) else "\0" for value in part.values
            )
        elif isinstance(part, ast.Expr) and _is_text(part.value):
            inside.add(id(part.value))
        elif _is_text(part) and id(part) not in inside:
            yield part.value


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _errors(tree):
    """Yields the pieces of code that make an error: what is raised, and calls of its class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            yield node
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith("Error"):
                yield node


def _flags_in(*nodes):
    return [text for node in nodes for text in _texts(node) if FLAG.search(text)]


LIBRARY = [
    path
    for path in sorted(str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py"))
    if path.partition("/")[0] not in PROGRAMS
]


@pytest.mark.parametrize("path", LIBRARY)
def test_library_raises_no_text_with_a_flag(path):
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    # A text may be made in one function and raised in another.
    has_help = path.startswith("config/") or path.endswith("_spec.py")
    has_other = has_help or path in OTHER_FLAGS
    found = _flags_in(*_errors(tree)) if has_other else _flags_in(tree)
    assert not found, f"{path}: expected names of settings; found flags in {found}"


@pytest.mark.parametrize(
    "code",
    [
        'raise RunError("--seed: expected 1; found 2")',
        'raise RunError(f"--{name}: expected 1; found 2")',
        'error = ConfigError(field="seed", expected="1", found="2 (see --help)")',
        'raise wrap(cause) from errors.RunError(place=p, expected=f"{a} with --seed={b}")',
    ],
)
def test_scan_finds_flags(code):
    assert _flags_in(*_errors(ast.parse(code)))


def test_scan_passes_names_docstrings_and_rules():
    code = '"""As --seed says."""\nraise RunError(field="seed", found="a -- b --- `seed`")'
    assert not _flags_in(*_errors(ast.parse(code))) and not _flags_in(ast.parse(code))
