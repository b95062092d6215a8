"""The frontier: equal cost in forward passes, runs that go on, and ratios at equal time."""

import json
import pathlib
import types

import pytest

from tools.benchmarks import frontier

UNITS = {
    "at": 24,
    "at+cosine": 24,
    "ascl": 71,
    "ascl+shared": 56,
    "ascl+fgsm_rs": 53,
    "ascl+both": 38,
    "fast": 12,
    "fast-cl": 12,
    "fast_at": 6,
}


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Runs that are written down in place of being made: 10 s for every ten forward passes."""
    monkeypatch.setattr(frontier, "count_units", UNITS.get)
    commands = []

    def run(command):
        commands.append(command)
        flags = dict(f.removeprefix("--").partition("=")[::2] for f in command[3:])
        path = pathlib.Path(flags["workdir"]) / "results" / "pretrain.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_record(int(flags["epochs"]), path.parents[1].name)))
        return 0

    monkeypatch.setattr(frontier, "run_program", run)
    arguments = [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'out'}"]
    return types.SimpleNamespace(commands=commands, arguments=arguments, out=tmp_path / "out")


def _record(num_epochs, name):
    gain, seconds = (10.0, 24.0) if name.startswith("at_") else (8.0, 12.0)
    return {
        "epochs": [
            {"epoch": e, "val/robust_accuracy": gain * e, "val/standard_accuracy": gain * e + 20}
            for e in range(1, num_epochs + 1)
        ],
        "epoch_seconds": [
            {"epoch": e, "cpu": seconds, "wall": 7.0} for e in range(1, num_epochs + 1)
        ],
        "warnings": [],
        "num_images": 10008,
        "steps_per_epoch": 78,
        "data_set": "cifar10",
        "data_sha256": "0",
    }


@pytest.mark.slow  # tests/methods/test_cost.py has each lever by itself.
def test_rows_cost_what_their_levers_leave():
    assert {name: frontier.count_units(name) for name in frontier.ROWS} == UNITS


def test_every_row_gets_the_epochs_of_equal_cost_or_those_asked_for(world):
    arguments = frontier.parse([*world.arguments, "--at_epochs=18", "--epochs=ascl+both:5"])
    runs = {run.name: run.epochs for run in frontier.plan(arguments)}
    assert runs == {
        "at": 18,
        "ascl": 6,
        "ascl+shared": 8,
        "ascl+fgsm_rs": 8,
        "ascl+both": 5,
        "fast": 36,
    }


def test_flags_make_the_levers_runs_of_the_program(world):
    from tools.rows import ROOT, row_config

    arguments = frontier.parse(
        [*world.arguments, "--width=4", "--num_train_images=500", "--precision=bfloat16"]
    )
    for run in frontier.plan(arguments):
        row, _ = frontier.ROWS[run.name]
        assert run.flags[0] == f"--flagfile=flags/{row}/pretrain.flags"
        config = row_config(row, *run.flags[1:-1])
        assert (config.width, config.num_train_images, config.epochs) == (4, 500, run.epochs)
        assert (config.global_batch_size, config.precision) == (128, "bfloat16")
        assert (config.at_attack == "fgsm_rs") == (
            "fgsm_rs" in run.name or run.name in ("fast", "ascl+both")
        )
    assert (ROOT / frontier.CPU_SCALE).is_file()


def test_table_and_record_compare_at_equal_time(world, capsys):
    frontier.main([*world.arguments, "--rows=at,fast", "--epochs=at:3,fast:4"])
    record = json.loads((world.out / "benchmark_frontier.json").read_text())
    # 48 s: two epochs of at (20, 40), four of the other (32, 52).
    assert record["ratios"]["fast"] == {
        "seconds": 48.0,
        "robust": pytest.approx(32 / 20),
        "standard": pytest.approx(52 / 40),
    }
    assert record["ratios"]["at"]["robust"] == 1.0
    at, fast = record["models"]
    assert at["seconds"] == [24.0, 48.0, 72.0] and fast["epochs"] == [1, 2, 3, 4]
    assert "1.600" in capsys.readouterr().out
    for suffix in ("png", "svg"):
        assert (world.out / f"benchmark_frontier.{suffix}").stat().st_size > 5000
    workdirs = [flag for command in world.commands for flag in command if "workdir" in flag]
    assert [flag.rpartition("/")[2] for flag in workdirs] == ["at_3_float32", "fast_4_float32"]


def test_ratio_needs_an_epoch_of_both():
    at = {"seconds": [50.0], "robust_accuracies": [1.0], "standard_accuracies": [2.0]}
    fast = {"seconds": [10.0], "robust_accuracies": [1.0], "standard_accuracies": [2.0]}
    assert frontier.compare(fast, at) is None


def test_stopped_run_ends_the_tool_in_one_line(world, monkeypatch):
    monkeypatch.setattr(frontier, "run_program", lambda command: 143)
    with pytest.raises(SystemExit, match="at: expected exit status 0; found 143. The same command"):
        frontier.main([*world.arguments, "--rows=at"])


@pytest.mark.parametrize("argument", ["--rows=acl", "--rows=", "--epochs=at", "--epochs=at:0"])
def test_wrong_arguments_are_refused(argument, capsys):
    with pytest.raises(SystemExit):
        frontier.parse([argument])
    assert f"error: {argument.partition('=')[0]}: expected" in capsys.readouterr().err
