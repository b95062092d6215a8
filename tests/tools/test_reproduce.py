"""tools/reproduce.py with fake programs: what is done, repeated, continued, refused."""

import collections
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from ascl_tf.errors import ConfigError, RunError
from tests.endurance.open_files import end_processes_with
from tests.program_lines import line_matches
from tests.tools.fake_steps import FakeLauncher
from tools import reproduce, rows
from tools.reproduction import data_sets
from tools.reproduction.artifacts import ARTIFACTS, make_plan
from tools.reproduction.data_sets import find_absent
from tools.reproduction.graph import Graph
from tools.reproduction.measures import unpack
from tools.reproduction.nodes import in_order
from tools.reproduction.presets import PRESETS

PROGRAM = pathlib.Path(__file__).with_name("fake_reproduction.py")


@pytest.fixture
def absent(monkeypatch):
    """Names of the data sets that are not there, to be added to."""
    names = set()

    def find(nodes, data_dir):
        return sorted(names & {node.settings.get("dataset") for node in nodes})

    monkeypatch.setattr(data_sets, "find_absent", find)
    return names


def _run(folder, *arguments, fails=None, preset="cpu"):
    """Reproduces seed 0 with a fake launcher and returns its calls."""
    launcher = FakeLauncher(fails)
    places = ["--seeds=0", f"--runs={folder / 'runs'}", f"--output={folder / 'results'}"]
    reproduce.main(["reproduce", *places, f"--preset={preset}", *arguments], launcher)
    return launcher.calls


def _nodes(*artifacts, preset="cpu", seeds=(0,)):
    graph = Graph(dataclasses.replace(PRESETS[preset], more_seeds={}))
    plans = [make_plan(ARTIFACTS[name], graph, seeds) for name in artifacts]
    return in_order([node for plan in plans for node in plan.nodes()])


def _stage(call):
    return re.search("--stage=([a-z]+)", call)[1]


def _kinds(nodes):
    return collections.Counter(node.kind for node in nodes)


def test_all_artifacts_are_made_and_reported(tmp_path, capsys):
    calls = _run(tmp_path, "--artifact=all")
    assert len(calls) == len(_nodes(*ARTIFACTS))
    folder = tmp_path / "results" / "cpu"
    for name in ARTIFACTS:
        files = {path.name for path in (folder / name).iterdir()}
        assert files >= {"records.json", "table.md", "table.csv"}
        artifact = ARTIFACTS[name]
        pictures = {f"{figure}.png" for figure in (*artifact.figures, *artifact.plots)}
        assert pictures <= files
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 10
    assert "report.html" in capsys.readouterr().out


def test_figure_of_models_is_measured_on_each_seed_and_drawn_of_the_first(tmp_path):
    calls = _run(tmp_path, "--artifact=figure3", "--seeds=0,1")
    drawings = [call for call in calls if "--figure=tsne" in call]
    # The models of both seeds see the same images.
    assert len(drawings) == 2 and not any("--seed=1" in call for call in drawings)
    folder = tmp_path / "results" / "cpu" / "figure3"
    document = json.loads((folder / "records.json").read_text())
    places = {(m["row"], m["head"], m["seed"]) for m in document["measures"]}
    rows = (("figure3/rocl", "lsf"), ("figure3/acl", "faf"), ("figure3/ascl", "laf"))
    assert places == {(*row, seed) for row in rows for seed in (0, 1)}
    assert document["figures"] == {"tsne": document["measures"][0]["step"]}
    assert "RoCL" in (folder / "tsne.json").read_text()
    for measure in document["measures"]:
        assert (measure["protocol"], measure["measure"]) == ("tsne", "rise")
        assert unpack(measure["values"])[0] == 4.5 and measure["data_set"] == "cifar10"


def test_autoattack_of_some_rows_is_on_their_last_checkpoint_too(tmp_path):
    _run(tmp_path, "--artifact=table1")
    path = tmp_path / "results" / "cpu" / "table1" / "records.json"
    attacked = {
        (record["row"], record.get("checkpoint"))
        for record in json.loads(path.read_text())["records"]
        if record["protocol"] == "autoattack"
    }
    assert {row for row, checkpoint in attacked if checkpoint == "last"} == {
        "table1/at",
        "table1/ascl",
    }
    assert {"table1/at", "table1/trades"} <= {row for row, name in attacked if name == "best"}


def test_artifact_of_which_a_preset_has_no_rows_is_refused_and_left_out_of_all(tmp_path):
    with line_matches(ConfigError, "--artifact=few_labels: expected a preset .*; found --preset=s"):
        _run(tmp_path, "--artifact=few_labels,table5", preset="smoke")
    _run(tmp_path, preset="smoke")
    assert not (tmp_path / "results" / "smoke" / "few_labels").exists()


def test_second_run_does_nothing(tmp_path):
    assert _run(tmp_path, "--artifact=table5,figure4")
    table = tmp_path / "results" / "cpu" / "table5" / "table.md"
    before = table.read_bytes()
    assert _run(tmp_path, "--artifact=table5,figure4") == []
    assert table.read_bytes() == before


def test_moved_runs_stay_done_and_names_know_no_folder(tmp_path):
    calls = _run(tmp_path, "--artifact=table5")
    assert not any(str(tmp_path) in call for call in calls)
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    places = [f"--runs={tmp_path / 'elsewhere'}", f"--output={tmp_path}"]
    launcher = FakeLauncher()
    arguments = ["--preset=cpu", "--artifact=table5", "--seeds=0"]
    reproduce.main(["reproduce", *places, *arguments], launcher)
    assert launcher.calls == []


def test_records_outlive_the_runs(tmp_path):
    calls = _run(tmp_path, "--artifact=table8,figure4")
    table = tmp_path / "results" / "cpu" / "table8" / "records.json"
    before = table.read_bytes()
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert _run(tmp_path, "--artifact=table8,figure4", "--missing") == []
    assert table.read_bytes() == before
    assert len(_run(tmp_path, "--artifact=table8,figure4")) == len(calls)


def test_what_has_no_record_is_done_with_the_training_that_it_needs(tmp_path):
    _run(tmp_path, "--artifact=table8")
    table = tmp_path / "results" / "cpu" / "table8" / "records.json"
    document = json.loads(table.read_text())
    row = document["records"][0]["row"]
    others = [record for record in document["records"] if record["row"] != row]
    table.write_text(json.dumps({**document, "records": others}))
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    calls = _run(tmp_path, "--artifact=table8", "--missing")
    assert [_stage(call) for call in calls] == ["pretrain", "finetune", "evaluate"]
    assert json.loads(table.read_text()) == document


def test_step_whose_output_is_gone_is_done_again(tmp_path):
    _run(tmp_path, "--artifact=table8")
    (path, *_) = (tmp_path / "runs" / "cpu").glob("evaluate-*/results/evaluate_*.json")
    path.unlink()
    (call,) = _run(tmp_path, "--artifact=table8")
    assert "--stage=evaluate" in call


def test_changed_flag_repeats_only_what_depends_on_it(tmp_path, monkeypatch):
    _run(tmp_path, "--artifact=table5")
    load_row = rows.load_row

    def with_another_rate(folder):
        row = load_row(folder)
        if folder != "table5/at_supervised":
            return row
        (head,) = row.heads
        parts = tuple(part.replace(finetune_learning_rate=0.05) for part in head.parts)
        return row._replace(heads=(head._replace(parts=parts),))

    monkeypatch.setattr(rows, "load_row", with_another_rate)
    calls = _run(tmp_path, "--artifact=table5")
    assert len(calls) == 4
    assert all("--stage=pretrain" not in call for call in calls)
    assert sum("--finetune_learning_rate=0.05" in call for call in calls) == 3
    assert sum("--protocol=autoattack" in call for call in calls) == 1


def test_changed_pre_training_repeats_all_that_follows(tmp_path, monkeypatch):
    before = {node.key for node in _nodes("table5")}
    load_row = rows.load_row

    def with_another_weight(folder):
        row = load_row(folder)
        if folder != "table5/at_supervised":
            return row
        return row._replace(config=row.config.replace(lambda_2=0.3))

    monkeypatch.setattr(rows, "load_row", with_another_weight)
    changed = [node for node in _nodes("table5") if node.key not in before]
    assert _kinds(changed) == dict.fromkeys(
        ("pretrain", "finetune", "evaluate", "export", "autoattack"), 1
    )


def test_another_dataset_folder_changes_no_key(tmp_path):
    _run(tmp_path, "--artifact=table8")
    assert _run(tmp_path, "--artifact=table8", "--data_dir=/somewhere") == []


def test_another_seed_repeats_everything(tmp_path):
    first = _run(tmp_path, "--artifact=table8")
    both = _run(tmp_path, "--artifact=table8", "--seeds=0,1")
    assert len(both) == len(first)
    assert all("--seed=1" in call for call in both)


def test_failing_row_leaves_the_rest(tmp_path, capsys):
    # AT alone, and AT with the full model's compute.
    with pytest.raises(SystemExit) as error:
        _run(tmp_path, "--artifact=table5", fails="--lambda_1=0.0 --lambda_2=0.0")
    assert error.value.code == 1
    output = capsys.readouterr()
    assert "error: no such luck" in output.out
    assert (
        output.err.startswith("error: 2 steps failed, 8 that need them")
        and output.err.count("\n") == 1
    )
    table = (tmp_path / "results" / "cpu" / "table5" / "table.md").read_text().splitlines()
    cells = {line.split("|")[1].strip(): line for line in table if line.startswith("| ")}
    assert cells["AT"].count("failed") == 3
    assert "failed" not in cells["full model"] and "--" not in cells["full model"]
    # The next run tries what failed, and only that.
    assert len(_run(tmp_path, "--artifact=table5")) == 10


def test_steps_after_a_failed_one_are_not_tried(tmp_path):
    with pytest.raises(SystemExit):
        _run(tmp_path, "--artifact=table8", fails="--stage=finetune")
    names = {path.name.partition("-")[0] for path in (tmp_path / "runs" / "cpu").glob("*-*")}
    assert names == {"pretrain", "finetune"}


def test_rows_that_are_the_same_run_share_their_steps():
    assert _kinds(_nodes("figure4", "figure5"))["pretrain"] == 3
    assert _kinds(_nodes("table2", "figure6", "table1")) == _kinds(
        _nodes("table1")
    ) + collections.Counter(transfer=1, sweeps=5, draw=2)
    readings = _nodes("readings")
    full = [node.key for node in _nodes("table5") if node.title == "pretrain table1/ascl"]
    assert full[0] in {node.key for node in readings}


def test_encoders_that_others_start_from_come_before_them():
    nodes = _nodes("table1", "beyond")
    by_title = {node.title: node for node in nodes}
    advcl = by_title["pretrain table1/advcl"]
    assert by_title["pretrain table1/simclr"] in advcl.before
    assert by_title["pretrain beyond/dynacl"] in by_title["pretrain beyond/dynacl_pp"].before
    # In the order of the list, too.
    seen = set()
    for node in nodes:
        assert {earlier.key for earlier in node.before} <= seen
        seen.add(node.key)


def test_ensemble_is_measured_over_its_three_exports():
    (node,) = [n for n in _nodes("table1") if n.title == "evaluate table1/selfie_dpe ensemble"]
    assert [earlier.kind for earlier in node.before] == ["export"] * 3
    assert len({earlier.key for earlier in node.before}) == 3


def test_dry_run_lists_the_steps_and_makes_nothing(tmp_path, capsys):
    assert _run(tmp_path, "--artifact=table5", "--dry_run") == []
    output = capsys.readouterr().out
    assert "25 steps: 5 pretrain, 5 finetune, 5 evaluate, 5 export, 5 autoattack" in output
    assert list(tmp_path.iterdir()) == []


def test_absent_data_is_told_before_the_first_step(tmp_path, absent):
    absent.add("cifar10")
    with pytest.raises(RunError, match="--data_dir: expected a folder that holds cifar10 in TFDS"):
        _run(tmp_path, "--artifact=table5")
    assert list(tmp_path.iterdir()) == []


def test_steps_without_data_are_left_out(tmp_path, absent, capsys):
    absent.add("stl10")
    with pytest.raises(SystemExit) as error:
        _run(tmp_path, "--artifact=table3")
    assert error.value.code == 1
    output = capsys.readouterr()
    assert "warning: --data_dir: expected a folder that holds stl10" in output.out
    assert "16 of 36 steps cannot be done without" in output.out
    assert re.match(r"error: \d+ steps were left out: their data set", output.err)
    done = [path.name for path in (tmp_path / "runs" / "cpu").glob("*-*")]
    stl10 = [node for node in _nodes("table3") if node.settings.get("dataset") == "stl10"]
    assert done and not {node.name for node in stl10} & set(done)
    table = (tmp_path / "results" / "cpu" / "table3" / "table.md").read_text()
    assert "failed" not in table


def test_absent_data_is_downloaded_once(tmp_path, absent, monkeypatch):
    absent.add("cifar10")
    fetched = []
    monkeypatch.setattr(data_sets, "download", lambda names, data_dir: fetched.extend(names))
    assert _run(tmp_path, "--artifact=table8", "--download")
    assert fetched == ["cifar10"]


def test_prepared_and_bundled_data_is_found(tmp_path):
    nodes = [*_nodes("table8", preset="smoke"), *_nodes("table8")]
    assert find_absent(nodes, str(tmp_path)) == ["cifar10"]
    assert find_absent([], str(tmp_path)) == []
    damaged = tmp_path / "cifar10" / "3.0.2"
    damaged.mkdir(parents=True)
    (damaged / "dataset_info.json").write_text("x")
    (damaged / "features.json").write_text("x")
    with line_matches(RunError, "^cifar10: expected a readable TFDS folder in --data_dir="):
        find_absent(nodes, str(tmp_path))


BAD = [
    (["--artifact=table9"], "--artifact: expected one of all, table1, .*; found 'table9'", 2),
    (["--artifact="], "--artifact: expected one of all, .*; found ''", 2),
    (["--preset=tpu"], "--preset: expected one of smoke, cpu, paper; found 'tpu'", 2),
    (["--seeds=0,x"], "--seeds: expected whole numbers.* >= 0; found '0,x'", 2),
    (["--seeds=-1"], "--seeds: expected whole numbers.* >= 0; found '-1'", 2),
    (["--jobs=0"], "--jobs: expected a whole number >= 1; found '0'", 2),
    (["--unknown=1"], "unrecognized arguments: --unknown=1", 2),
    (
        ["--artifact=table8", "--output=/proc/nowhere"],
        "--output=/proc/nowhere: expected a folder .*; found: ",
        1,
    ),
]


@pytest.mark.parametrize(("arguments", "message", "status"), BAD)
def test_bad_input_is_one_line(arguments, message, status, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        reproduce.run(["reproduce", f"--runs={tmp_path}", *arguments])
    text = capsys.readouterr().err
    assert error.value.code == status
    assert text.count("\n") == 1 and re.match(f"error: {message}", text)


def test_smoke_writes_nothing_under_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reproduce.main(["reproduce", "--preset=smoke", "--artifact=table8"], FakeLauncher())
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_what_a_kill_left_among_the_results_goes(tmp_path):
    results = tmp_path / "results" / "smoke"
    (results / "table8").mkdir(parents=True)
    for path in (results / ".report.html.77.tmp", results / "table8" / ".table.csv.77.tmp"):
        path.write_text("half")
    places = [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'results'}"]
    reproduce.main(["reproduce", "--preset=smoke", "--artifact=table8", *places], FakeLauncher())
    assert not [path.name for path in results.rglob("*") if path.name.startswith(".")]
    assert {path.name for path in results.iterdir()} == {"table8", "report.html"}


def _start(folder, *arguments, slow=""):
    calls = folder / "calls.txt"
    places = [
        f"--runs={folder / 'runs'}",
        f"--output={folder / 'results'}",
        "--preset=cpu",
        "--seeds=0",
    ]
    environment = {**os.environ, "FAKE_CALLS": str(calls), "FAKE_SLOW": slow}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *places, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, calls


def _calls(path):
    return path.read_text().splitlines() if path.exists() else []


def _wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# tests/endurance/test_kills.py has more of SIGKILL.
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(x, marks=pytest.mark.slow) for x in (signal.SIGINT, signal.SIGKILL)),
    ],
)
def test_stopped_run_goes_on_where_it_was(number, tmp_path):
    slow = "--stage=finetune"
    process, path = _start(tmp_path, "--artifact=table8", slow=slow)
    _wait_for(lambda: any(slow in call for call in _calls(path)))
    lock = next((tmp_path / "runs" / "cpu").glob("finetune-*.lock"))
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    if number == signal.SIGKILL:
        end_processes_with(lock)  # The program that outlived its killed parent.
    else:
        assert process.returncode == 128 + number
        assert (
            "stopped; to continue: python tools/reproduce.py --runs=" in output
            and "Traceback" not in output
        )
    done = len(_calls(path))
    process, _ = _start(tmp_path, "--artifact=table8")
    assert process.wait(timeout=20) == 0
    process.stdout.close()
    new = _calls(path)[done:]
    assert len(new) == len(_nodes("table8")) - (done - 1)
    assert list((tmp_path / "runs" / "cpu").glob("*.lock")) == []


@pytest.mark.slow  # test_locks.py has two processes at one lock.
def test_two_processes_share_the_steps(tmp_path):
    first, path = _start(tmp_path, "--artifact=table8")
    second, _ = _start(tmp_path, "--artifact=table8,figure4")
    for process in (first, second):
        process.communicate(timeout=30)
        assert process.returncode == 0
    calls = _calls(path)
    assert len(calls) == len(set(calls)) == len(_nodes("table8", "figure4"))
