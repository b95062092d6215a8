"""The clock counts steps and what belongs to a recipe, and nothing else."""

import types

import pytest

from ascl_tf.training import training_clock
from ascl_tf.training.training_clock import TrainingClock, total_seconds


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still until it is moved; the CPU's runs twice as fast."""
    time = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(training_clock, "_now", lambda: (time.now, 2 * time.now))
    return time


def _history():
    return types.SimpleNamespace(epoch_seconds=[], clock_seconds={})


def _step(clock, time, seconds):
    clock.on_train_batch_begin(0)
    time.now += seconds
    clock.on_train_batch_end(0)
    time.now += 100.0  # Validation, checkpoints and the like.


def test_first_step_of_a_process_counts_as_the_mean_of_the_others(time):
    history = _history()
    clock = TrainingClock(history)
    for seconds in (50.0, 1.0, 3.0):
        _step(clock, time, seconds)
    clock.on_epoch_end(0)
    _step(clock, time, 4.0)
    clock.on_epoch_end(1)
    assert history.epoch_seconds == [
        {"epoch": 1, "wall": 6.0, "cpu": 12.0},
        {"epoch": 2, "wall": 4.0, "cpu": 8.0},
    ]
    assert history.clock_seconds == {}


def test_interruption_changes_nothing(time):
    history = _history()
    clock = TrainingClock(history)
    for seconds in (50.0, 2.0):
        _step(clock, time, seconds)
    again = TrainingClock(history)  # What a checkpoint holds goes on in another process.
    for seconds in (70.0, 2.0):
        _step(again, time, seconds)
    again.on_epoch_end(0)
    assert history.epoch_seconds == [{"epoch": 1, "wall": 8.0, "cpu": 16.0}]


def test_what_belongs_to_the_recipe_is_added(time):
    clock = TrainingClock(_history())
    with clock.counting():
        time.now += 5.0
    for seconds in (50.0, 2.0):
        _step(clock, time, seconds)
    clock.on_epoch_end(0)
    assert clock.history.epoch_seconds[0]["wall"] == 9.0


def test_single_step_counts_itself():
    assert total_seconds({"first": [1, 7.0, 8.0]}) == (7.0, 8.0)
    assert total_seconds({}) == (0.0, 0.0)
