"""--minutes: epochs chosen once, from steps that were timed, and kept when the run goes on."""

import pytest

from ascl_tf import train
from ascl_tf.errors import ConfigError
from ascl_tf.training import budget, run
from ascl_tf.training.workdir import recorded_config
from tests.methods import helpers

QUICK = (
    *("--smoke", "--method=standard", "--batch_norm=shared", "--num_replicas=1", "--width=1"),
    *("--num_train_images=64", "--global_batch_size=16", "--learning_rate=0.01"),
    *("--workdir=run", "--validation_protocol=standard"),
)


@pytest.fixture(autouse=True)
def _tiny_and_slow(monkeypatch, tmp_path):
    monkeypatch.setattr("ascl_tf.methods.factory.make_encoder", helpers.make_tiny_encoder)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _nothing_is_trained(monkeypatch):
    monkeypatch.setattr(run, "_train_and_record", lambda *arguments: None)


def _train(*flags):
    train.main(["train", "--stage=pretrain", *QUICK, *flags])
    return recorded_config("run")


@pytest.mark.usefixtures("_nothing_is_trained")
def test_epochs_fill_the_minutes_and_stay_when_the_run_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(budget, "_seconds_of_steps", lambda *arguments: (0.0, 59.0))
    monkeypatch.setattr(budget, "_seconds_to_save", lambda *arguments: 3.0)
    # Three steps and a checkpoint, three minutes: three epochs, and too short a rest for another.
    first = _train("--minutes=10")
    assert first.epochs == 3
    out = capsys.readouterr().out
    assert "notice: --minutes=10: 3 epochs of 3 min (--epochs=3 --validate_every=1)" in out
    monkeypatch.setattr(budget, "_seconds_of_steps", lambda *arguments: pytest.fail("timed again"))
    assert _train("--minutes=10") == first == _train()
    _train("--minutes=30")
    said = "notice: --minutes=30: --epochs=3, chosen when this run began; another length"
    assert said in capsys.readouterr().out
    # Another run of the same length, its epochs given, is the same run.
    assert _train("--epochs=3").epochs == 3


@pytest.mark.slow  # The split of the time is below.
@pytest.mark.usefixtures("_nothing_is_trained")
def test_time_that_is_gone_before_the_first_epoch_is_told(monkeypatch, capsys):
    monkeypatch.setattr(budget, "_seconds_of_steps", lambda *arguments: (90.0, 1.0))
    assert _train("--minutes=1").epochs == 1
    out = capsys.readouterr().out
    assert "warning: --minutes=1 is too short: building graphs and evaluating take" in out
    assert "notice: --minutes=1: 1 epoch of 3 s" in out


@pytest.mark.slow  # A rare mix of flags.
@pytest.mark.usefixtures("_nothing_is_trained")
def test_epochs_of_the_command_line_stand_in_place_of_a_recipes_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "_seconds_of_steps", lambda *arguments: pytest.fail("timed"))
    (tmp_path / "recipe.flags").write_text("--minutes=10\n")
    with pytest.raises(ConfigError, match="`minutes=10.0`: expected a time or a number of `epochs"):
        _train("--minutes=10", "--epochs=2")
    monkeypatch.setattr(run.cfg, "shrink", lambda config, kept: config)  # Which sets no minutes.
    assert _train("--flagfile=recipe.flags", "--epochs=2").epochs == 2


def test_steps_are_timed_in_a_method_that_is_thrown_away():
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method="standard")))
    tracing, step = budget._seconds_of_steps(method.config, method, helpers.make_dataset(24))
    assert 0 <= tracing < 60 and 0 < step < 60
    assert int(method.optimizer.iterations) == budget.NUM_STEPS


@pytest.mark.usefixtures("_nothing_is_trained")
def test_several_workers_are_refused_before_a_step(monkeypatch):
    monkeypatch.setattr(budget, "is_over_workers", lambda strategy: True)
    with pytest.raises(ConfigError, match="`minutes=10.0`: expected 0 on several workers"):
        _train("--minutes=10")
    assert recorded_config("run") is None


def test_time_that_is_too_short_gives_one_epoch_or_one_validation():
    assert budget.split_time(-5, epoch=1, validation=0.1) == (1, 1)
    assert budget.split_time(10, epoch=4, validation=4) == (2, 2)  # Once, at the end.


def test_validation_that_is_given_stays():
    assert budget.split_time(100, epoch=1, validation=3, every=30) == (30, 90)
    assert budget.split_time(10, epoch=1, validation=0, every=30) == (30, 10)


@pytest.mark.slow  # The split of the time is below.
@pytest.mark.usefixtures("_nothing_is_trained")
def test_validation_of_the_command_line_stays(monkeypatch):
    monkeypatch.setattr(budget, "_seconds_of_steps", lambda *arguments: (0.0, 1.0))
    assert _train("--minutes=1", "--validate_every=7").validate_every == 7


def test_validation_takes_a_tenth_of_the_time_at_most():
    every, epochs = budget.split_time(1000, epoch=2, validation=1)
    assert every == 5 and epochs == 454
