"""All methods side by side: what is timed, and the record."""

import json
import types

import numpy as np
import pytest

from ascl_tf.methods import factory
from tests.methods import helpers
from tools.benchmarks import methods


@pytest.fixture
def arguments(monkeypatch, tmp_path):
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    return types.SimpleNamespace(width=2, batch_size=4, repeats=3, output=tmp_path)


@pytest.mark.slow
def test_rows_are_timed_beside_adversarial_training(arguments):
    seconds = methods.measure_seconds(["figure2/standard"], arguments)
    assert list(seconds) == ["table1/at", "figure2/standard"]
    assert all(len(rounds) == 3 and min(rounds) > 0 for rounds in seconds.values())


def test_head_that_starts_at_zero_is_drawn(arguments):
    method = helpers.make_method(helpers.TINY.replace(method="at"))
    method.linear_head.dense.kernel.assign(np.zeros((4, 3)))
    before = method.encoder.conv.kernel.numpy()
    methods._fill_heads(method)
    assert np.all(method.linear_head.dense.kernel.numpy() != 0)
    np.testing.assert_array_equal(method.encoder.conv.kernel, before)


def test_batch_holds_a_pseudo_label_of_every_clustering():
    data = methods._batch(types.SimpleNamespace(pseudo_label_counts=(2, 5)), 16)
    labels = data["pseudo_labels"].numpy()
    assert data["images"].shape == (16, 32, 32, 3) and labels.shape == (16, 2)
    assert labels.min() == 0 and labels.max(axis=0).tolist() == [1, 4]
    assert set(methods._batch(types.SimpleNamespace(pseudo_label_counts=()), 2)) == {
        "images",
        "labels",
    }


def test_memory_is_measured_in_a_process_for_each_row(arguments, monkeypatch):
    commands = []

    def run(command, cwd):
        commands.append(command)
        return {"exit_status": 0, "peak_memory_bytes": 7 * len(commands)}

    monkeypatch.setattr(methods, "run_measured", run)
    memory = methods.measure_memory(["table1/at", "table1/acl"], arguments)
    assert memory == {"table1/at": 7, "table1/acl": 14}
    assert [command[3] for command in commands] == [
        "--make_steps=table1/at",
        "--make_steps=table1/acl",
    ]


def test_record_holds_ratios_of_medians(arguments):
    seconds = {"table1/at": [2.0, 1.0, 9.0], "table1/acl": [3.0, 5.0, 4.0]}
    methods.report(arguments, seconds, {"table1/acl": 5})
    record = json.loads((arguments.output / "benchmark_methods.json").read_text())
    assert record["ratios"] == {"table1/at": 1.0, "table1/acl": 2.0}
    assert record["peak_memory_bytes"] == {"table1/acl": 5} and record["seconds"] == seconds


def test_unknown_row_is_refused(capsys):
    with pytest.raises(SystemExit):
        methods.main(["--rows=nonsense"])
    assert "--rows: expected a row" in capsys.readouterr().err
