"""Two runs are compared to the bit, and to the last file."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.training.checksums import write_checksums
from tests.endurance.snapshot import differences, take_snapshot


@pytest.fixture
def workdir(tmp_path):
    """Returns a function that writes what a run might leave."""

    def write(name, weight=1.0, train_seconds=1.0, accuracy=50.0, event="a"):
        path = tmp_path / name
        for folder in ("results", "tensorboard/pretrain", "checkpoints/pretrain/last"):
            (path / folder).mkdir(parents=True)
        (path / "config.json").write_text("{}")
        (path / "flags.txt").write_text("--seed=1\n")
        (path / "tensorboard" / "pretrain" / f"events.{event}").write_text(event)
        record = {"epochs": [{"accuracy": accuracy}], "train_seconds": train_seconds}
        (path / "results" / "pretrain.json").write_text(json.dumps(record))
        prefix = str(path / "checkpoints" / "pretrain" / "last" / "ckpt-1")
        tf.train.Checkpoint(weight=tf.Variable(np.float32(weight))).write(prefix)
        write_checksums(prefix)
        return path

    return write


def test_runs_that_differ_in_times_and_names_of_events_are_equal(workdir):
    one = take_snapshot(workdir("one"))
    other = take_snapshot(workdir("other", train_seconds=2.0, event="b"))
    assert differences(one, other) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (
            {"weight": np.nextafter(np.float32(1), np.float32(2))},
            "checkpoints/pretrain/last/ckpt-1",
        ),
        ({"accuracy": 50.1}, "results/pretrain.json"),
    ],
)
def test_difference_of_one_bit_is_found(workdir, change, name):
    one, other = take_snapshot(workdir("one")), take_snapshot(workdir("other", **change))
    assert differences(one, other) == [name]


def test_file_left_behind_is_found(workdir):
    one, path = take_snapshot(workdir("one")), workdir("other")
    (path / "results" / ".pretrain.json.77.tmp").write_text("half")
    assert differences(one, take_snapshot(path)) == ["files"]
