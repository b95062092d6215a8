"""Every bad input of this folder: one line, its exit status, nothing changed on disk."""

import pathlib

import pytest

from ascl_tf import evaluate, train
from ascl_tf.evaluation.evaluation_data import EvaluationData
from ascl_tf.program import flag_defs
from tests.bad_input import checkpoint_cases, data_cases, flag_cases, model_cases
from tests.bad_input.case import WORKDIR, contents
from tests.bad_input.world import build_world
from tests.methods import helpers

GROUPS = {
    "flags": flag_cases.FLAGS,
    "flagfiles": flag_cases.FLAGFILES,
    "configs": flag_cases.CONFIGS,
    "TF_CONFIG": flag_cases.TF_CONFIG,
    "checkpoints": checkpoint_cases.CHECKPOINTS,
    "images": data_cases.IMAGES,
    "sizes": data_cases.SIZES,
    "labels": data_cases.LABELS,
    "data_directories": data_cases.DATA_DIRECTORIES,
    "models": model_cases.MODELS,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    build_world(folder)
    return folder


@pytest.fixture(scope="module")
def contents_of_root(root):
    return contents(root)


@pytest.fixture(autouse=True)
def _beside_an_empty_workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_data_sets"))
    monkeypatch.setattr("ascl_tf.methods.factory.make_encoder", helpers.make_tiny_encoder)
    (tmp_path / WORKDIR).mkdir()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{group}-{number}")
        for group, cases in GROUPS.items()
        for number, case in enumerate(cases)
    ],
)
def test_bad_input_is_refused_in_one_line(case, root, contents_of_root, monkeypatch, capsys):
    if case.prepare is not None:
        case.prepare(root)
    for name, value in case.environment.items():
        monkeypatch.setenv(name, value)
    if case.arrays is not None:
        data = EvaluationData(*case.arrays, "arrays", "0" * 64)
        monkeypatch.setattr(evaluate, "load_images", lambda config: data)
    before = contents_of_root | contents(pathlib.Path.cwd())
    status, error = _run(case, root, capsys)
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert case.expected in error and case.found in error, error
    assert status == case.status, error
    assert contents(pathlib.Path.cwd(), root) == before


def _run(case, root, capsys):
    """Returns (exit status, what the program wrote to stderr)."""
    flags = case.flags.format(root=root).split(" ")
    if case.program == "train":
        flags = [f"--workdir={WORKDIR}", "--num_replicas=1", *flags]
    main = {"train": train.main, "evaluate": evaluate.main}[case.program]
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(main, [case.program, *filter(None, flags)])
    return exit_info.value.code, capsys.readouterr().err
