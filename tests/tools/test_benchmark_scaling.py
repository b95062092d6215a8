"""How a step grows: its processes, the straight line, the record."""

import io
import json
import types

import pytest
import tensorflow as tf

from tests.common import two_replicas
from tools.benchmarks import _ascl_step, _scaling_child, scaling


def _arguments(tmp_path=None, **changes):
    settings = {"width": 2, "memory_width": 2, "batch_size": 4, "repeats": 3, "output": tmp_path}
    return types.SimpleNamespace(
        **settings | {"batches": [2, 4, 8], "attack_steps": [1, 2, 3]} | changes
    )


def test_line_is_found_and_deviations_are_relative():
    line = scaling.fit_line({1: 5.0, 2: 7.0, 10: 23.0})
    assert line["constant"] == pytest.approx(3) and line["slope"] == pytest.approx(2)
    assert line["largest_deviation"] == pytest.approx(0, abs=1e-12)
    scaled = {number: 100 * value for number, value in {1: 5.0, 2: 8.0, 10: 23.0}.items()}
    bent = scaling.fit_line(scaled)["largest_deviation"]
    assert 0.05 < bent < 0.1
    assert bent == pytest.approx(scaling.fit_line({1: 5.0, 2: 8.0, 10: 23.0})["largest_deviation"])


class _FakeChild:
    """Takes 9 seconds for its first step, then 2 with one replica and 3 with two."""

    closed: list = []

    def __init__(self, count, width, batch_size):
        assert (width, batch_size) == (2, 4)
        self.count, self.seconds = count, [9.0] + [1.0 + count] * 3

    def step(self):
        return self.seconds.pop(0)

    def close(self):
        self.closed.append(self.count)


def test_first_call_is_reported_and_not_counted(monkeypatch):
    monkeypatch.setattr(_scaling_child, "Child", _FakeChild)
    found = scaling.measure_replicas(_arguments())
    assert found["first_call"] == {1: 9.0, 2: 9.0} and found["ratio"] == 1.5
    assert found["seconds"] == {1: [2.0] * 3, 2: [3.0] * 3}
    assert _FakeChild.closed == [1, 2]


def test_process_answers_each_line_with_seconds():
    calls, answers = [], io.StringIO()
    _scaling_child.answer_steps(lambda: calls.append(1), ["step\n"] * 3, answers)
    assert len(calls) == 3
    assert all(json.loads(line) >= 0 for line in answers.getvalue().splitlines())


def test_process_that_has_ended_is_one_line(monkeypatch):
    monkeypatch.setattr(_scaling_child.sys, "executable", "true")
    child = _scaling_child.Child(1, 2, 4)
    with pytest.raises(SystemExit, match="found that its process has ended"):
        child.step()
    child.close()


class _CountingMethod:
    def train_step(self, data):
        context = tf.distribute.get_replica_context()
        rows = tf.size(data["labels"])
        return {"rows": rows, "sum": context.all_reduce("sum", tf.reduce_sum(data["labels"]))}


def test_each_replica_gets_its_part_of_the_batch():
    data = {"labels": tf.range(6), "images": tf.zeros([6, 1])}
    step = _scaling_child.distributed_step(two_replicas(), _CountingMethod(), data)
    found = tf.nest.map_structure(int, step())
    assert found == {"rows": (3, 3), "sum": (15, 15)}


def test_memory_is_compared_with_six_images_kept_for_each_of_the_batch(monkeypatch):
    commands = []

    def run(command, cwd):
        commands.append(command[2:])
        return {"exit_status": 0, "peak_memory_bytes": 60 + 120 * int(command[-1])}

    monkeypatch.setattr(scaling, "run_measured", run)
    monkeypatch.setattr(scaling, "kept_bytes_per_image", lambda width: 10 * width)
    found = scaling.measure_memory(_arguments())
    assert commands[0] == ["tools.benchmarks._scaling_child", "memory", "2", "2"]
    assert found["kept_bytes"] == {2: 240, 4: 480, 8: 960}
    assert found["ratios"] == {2: 1.25, 4: 1.125, 8: 1.0625}
    assert found["line"]["constant"] == pytest.approx(60)


def test_failed_process_is_one_line(monkeypatch):
    monkeypatch.setattr(scaling, "run_measured", lambda *_, **__: {"exit_status": -9})
    with pytest.raises(SystemExit, match="batch 2: expected exit status 0; found -9"):
        scaling.measure_memory(_arguments())


def test_time_is_measured_over_batches_and_over_steps_of_all_attacks(monkeypatch):
    made = []

    def make_step(config, data):
        settings = (config.num_steps_at, config.num_steps_cl, config.num_steps_ascl)
        made.append((len(data["labels"]), settings))
        return lambda: None

    monkeypatch.setattr(_ascl_step, "make_method", lambda config: config)
    monkeypatch.setattr(_ascl_step, "make_data", lambda size: {"labels": [0] * size})
    monkeypatch.setattr(_ascl_step, "compiled_step", make_step)
    found = scaling.measure_time(_arguments())
    assert made[:3] == [(size, (10, 5, 5)) for size in (2, 4, 8)]
    assert made[3:] == [(4, (count,) * 3) for count in (1, 2, 3)]
    assert list(found["batch"]["seconds"]) == [2, 4, 8]
    assert all(len(rounds) == 3 for rounds in found["attack_steps"]["seconds"].values())


def test_record_holds_every_part_that_was_measured(tmp_path, capsys):
    line = {"constant": 0.0, "slope": 1.0, "largest_deviation": 0.02}
    found = {
        "replicas": {"first_call": {1: 9.0, 2: 8.0}, "seconds": {1: [2.0], 2: [3.0]}, "ratio": 1.5},
        "memory": {"peak_bytes": {2: 2**30}, "ratios": {2: 1.25}, "line": line},
        "time": {"batch": {"seconds": {2: [1.0]}, "line": line}},
    }
    record = json.loads(scaling.report(_arguments(tmp_path), found).read_text())
    assert record["replicas"]["seconds"] == {"1": [2.0], "2": [3.0]}
    assert record["memory"]["ratios"] == {"2": 1.25}
    assert record["time"]["batch"]["line"] == line
    assert record["to_reach"]["replicas"] == 1.25
    assert "1.500" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flag, expected",
    [
        ("--parts=speed", "--parts: expected some of replicas, memory, time; found speed"),
        ("--batches=32,64", "--batches: expected three or more numbers above 0"),
        ("--attack_steps=0,1,2", "--attack_steps: expected three or more"),
    ],
)
def test_wrong_arguments_are_refused(flag, expected, capsys):
    with pytest.raises(SystemExit, match="2"):
        scaling.parse([flag])
    assert expected in capsys.readouterr().err


def test_kept_bytes_are_those_of_all_layers():
    # 1.17 million numbers of 4 bytes at width 64, and in proportion.
    assert scaling.kept_bytes_per_image(2) * 32 == pytest.approx(4 * 1171456)
