"""The frontier: lengths of equal time, runs that go on, and differences at equal time."""

import json
import pathlib
import types

import pytest

from ascl_tf.methods.cost import count_step
from tools.benchmarks import common, frontier, methods
from tools.rows import ROOT, row_config

UNITS = {
    "at": 24,
    "at+cosine": 24,
    "ascl": 71,
    "ascl+shared": 56,
    "ascl+fgsm_rs": 53,
    "ascl+both": 38,
    "fast": 12,
    "fast-cl": 12,
    "fast+average": 12,
    "fast_at": 6,
    "fast_at+average": 6,
}


SECONDS = {name: units / 10 for name, units in UNITS.items()}


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Runs that are written down in place of being made, of steps that are not timed."""
    monkeypatch.setattr(frontier, "step_seconds", lambda arguments: SECONDS)
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
    gain = 10.0 if name.startswith("at_") else 8.0
    return {
        "epochs": [
            {"epoch": e, "val/robust_accuracy": gain * e, "val/standard_accuracy": gain * e + 20}
            for e in range(1, num_epochs + 1)
        ],
        "warnings": [],
        "num_images": 10000,
        "steps_per_epoch": 10,
        "data_set": "cifar10",
        "data_sha256": "0",
    }


@pytest.mark.slow  # tests/methods/test_cost.py has each lever by itself.
def test_rows_cost_what_their_levers_leave():
    for name, (row, flags) in frontier.ROWS.items():
        assert count_step(row_config(row, *flags)) == UNITS[name], name


def test_every_row_gets_the_epochs_of_equal_time_or_those_asked_for():
    rows = "--rows=at,ascl,ascl+shared,ascl+fgsm_rs,ascl+both,fast"
    arguments = frontier.parse([rows, "--at_epochs=18", "--epochs=ascl+both:5"])
    runs = {run.name: run.epochs for run in frontier.plan(arguments, SECONDS)}
    assert runs == {
        "at": 18,
        "ascl": 6,
        "ascl+shared": 8,
        "ascl+fgsm_rs": 8,
        "ascl+both": 5,
        "fast": 36,
    }


def test_flags_make_the_levers_runs_of_the_program():
    scale = ("--width=4", "--num_images=450", "--num_validation_images=50", "--precision=bfloat16")
    arguments = frontier.parse([f"--rows={','.join(frontier.ROWS)}", *scale])
    for run in frontier.plan(arguments, SECONDS):
        row, _ = frontier.ROWS[run.name]
        assert run.flags[0] == f"--flagfile=flags/{row}/pretrain.flags"
        config = row_config(row, *run.flags[1:-1])
        assert (config.width, config.num_train_images, config.epochs) == (4, 500, run.epochs)
        assert config.validation_fraction == 0.1
        assert config.validate_every == max(1, run.epochs // 12)
        assert (config.global_batch_size, config.precision) == (128, "bfloat16")
        assert (config.at_attack == "fgsm_rs") == (
            "fgsm_rs" in run.name or "fast" in run.name or run.name == "ascl+both"
        )
        assert (config.weight_averaging > 0) == run.name.endswith("+average")
    assert (ROOT / frontier.CPU_SCALE).is_file()


def test_steps_are_timed_once_and_later_ones_in_proportion_to_at(monkeypatch, tmp_path):
    timed, of_at = [], iter([2.0, 8.0])

    def interleaved(steps, repeats):
        timed.append((list(steps), repeats))
        at = next(of_at)  # The second time the machine is slow.
        return {name: [9 * at, at, 0.0] if name == "at" else [at / 2] * 3 for name in steps}

    monkeypatch.setattr(methods, "compiled_step", lambda config: config)
    monkeypatch.setattr(common, "interleaved", interleaved)
    scale = [f"--runs={tmp_path}", "--repeats=3"]
    for _ in range(2):
        arguments = frontier.parse([*scale, "--rows=fast"])
        assert frontier.step_seconds(arguments) == {"at": 2.0, "fast": 1.0}
    arguments = frontier.parse([*scale, "--rows=fast,fast_at"])
    assert frontier.step_seconds(arguments) == {"at": 2.0, "fast": 1.0, "fast_at": 1.0}
    assert timed == [(["at", "fast"], 3), (["at", "fast_at"], 3)]


def test_table_and_record_compare_with_the_best_recipe_of_at_at_equal_time(world, capsys):
    rows, epochs = "--rows=at,fast_at,fast", "--epochs=at:3,fast_at:2,fast:4"
    frontier.main([*world.arguments, rows, epochs, "--num_images=5000", "--at_epochs=60"])
    record = json.loads((world.out / "benchmark_frontier_5000_60.json").read_text())
    # 48 s: four epochs of the last (32, 52), two of at (20, 40), both of fast_at (16, 36).
    assert record["differences"]["fast"] == {"against": "at", "robust": 12.0, "standard": 12.0}
    # 12 s: none of at.
    assert record["differences"]["fast_at"] == {
        "against": "fast_at",
        "robust": 0.0,
        "standard": 0.0,
    }
    at, _, fast = record["models"]
    assert at["seconds"] == [24.0, 48.0, 72.0] and fast["epochs"] == [1, 2, 3, 4]
    assert "+12.0" in capsys.readouterr().out
    for suffix in ("png", "svg"):
        assert (world.out / f"benchmark_frontier_5000_60.{suffix}").stat().st_size > 5000
    workdirs = [flag for command in world.commands for flag in command if "workdir" in flag]
    assert [flag.rpartition("/")[2] for flag in workdirs] == [
        "at_5000_3_16_float32",
        "fast_at_5000_2_16_float32",
        "fast_5000_4_16_float32",
    ]


def test_difference_needs_a_recipe_of_at_by_then():
    at = {"label": "at", "seconds": [50.0], "robust_accuracies": [1.0], "standard_accuracies": [2]}
    assert frontier.compare(at | {"label": "fast", "seconds": [10.0]}, [at]) is None


def test_stopped_run_ends_the_tool_in_one_line(world, monkeypatch):
    monkeypatch.setattr(frontier, "run_program", lambda command: 143)
    with pytest.raises(SystemExit, match="at: expected exit status 0; found 143. The same command"):
        frontier.main([*world.arguments, "--rows=at"])


@pytest.mark.parametrize("argument", ["--rows=acl", "--rows=", "--epochs=at", "--epochs=at:0"])
def test_wrong_arguments_are_refused(argument, capsys):
    with pytest.raises(SystemExit):
        frontier.parse([argument])
    assert f"error: {argument.partition('=')[0]}: expected" in capsys.readouterr().err
