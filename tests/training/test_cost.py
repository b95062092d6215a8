"""The announced time of an epoch, and durations in words."""

import pytest

from ascl_tf.training import cost
from tests.methods import helpers


@pytest.mark.parametrize(
    "constant, per_image, expected",
    [(0.05, 0.001, 0.001), (0.5, -0.001, (0.5 - 0.001 * 160) / 160)],
)
def test_estimate_is_what_a_further_image_takes(monkeypatch, constant, per_image, expected):
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    monkeypatch.setattr(cost, "_seconds", lambda _, images: constant + per_image * len(images))
    seconds = cost.seconds_per_epoch(method, helpers.IMAGE_SHAPE, 1000)
    assert seconds == pytest.approx(expected * (3 + 1) * 1000)


def test_estimate_times_the_classifier():
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    assert cost.seconds_per_epoch(method, helpers.IMAGE_SHAPE, 10**9) > 1.0


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.02, "less than 1 s"),
        (3.2, "3 s"),
        (119, "119 s"),
        (121, "2 min"),
        (7199, "120 min"),
        (21960, "6.1 h"),
    ],
)
def test_durations_are_in_words(seconds, text):
    assert cost.describe_duration(seconds) == text


def test_announced_is_what_comes_before_the_first_step_too(monkeypatch, capsys):
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    monkeypatch.setattr(cost, "has_gpu", lambda: False)
    monkeypatch.setattr(cost, "seconds_per_epoch", lambda *_: 0.1)
    cost.announce(method, helpers.IMAGE_SHAPE, method.config.optimization, 4)
    line = capsys.readouterr().out
    assert "takes less than 1 s" in line and "graph is made, which takes from ten" in line
