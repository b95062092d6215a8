"""The announced cost of a step against SPEC's count, and durations in words."""

import pytest

from ascl_tf.config import Config
from ascl_tf.training import cost
from tests.methods import helpers

ASCL = Config()


def _units(config):
    return helpers.make_method(config).forward_units()


AT = ASCL.replace(lambda_1=0.0, lambda_2=0.0)


def test_units_are_those_of_the_paper_settings():
    # 10 steps x 2 + 3; the pass for the standard accuracy is ours.
    assert _units(AT) == 23 + 1
    # 5 steps x 2 views x 2 + 2 views x 3.
    assert _units(AT.replace(lambda_1=0.5)) == 23 + 26 + 1
    # Clean anchors 2, 5 steps x 2, and 9 for three full passes.
    assert _units(AT.replace(lambda_2=0.2)) == 23 + 21 + 1
    assert _units(ASCL) == 23 + 26 + 21 + 1


@pytest.mark.parametrize(
    "changes, units",
    [
        ({"method": "standard"}, 4),
        ({"method": "at"}, 24),
        ({"method": "trades"}, 28),
        ({"method": "mart"}, 27),
        ({"lambda_2": 0.0, "cl_mode": "a2s"}, 24 + 13 + 8),
    ],
)
def test_units_of_the_other_methods(changes, units):
    assert _units(ASCL.replace(**changes)) == units


@pytest.mark.parametrize(
    "constant, per_image, expected",
    [(0.05, 0.001, 0.001), (0.5, -0.001, (0.5 - 0.001 * 160) / 160)],
)
def test_estimate_is_what_a_further_image_takes(monkeypatch, constant, per_image, expected):
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    monkeypatch.setattr(cost, "_seconds", lambda _, images: constant + per_image * len(images))
    seconds = cost.seconds_per_epoch(method, helpers.IMAGE_SHAPE, 1000)
    assert seconds == pytest.approx(expected * method.forward_units() * 1000)


def test_estimate_times_the_classifier():
    method = helpers.make_method(helpers.TINY.replace(method="standard"))
    assert cost.seconds_per_epoch(method, helpers.IMAGE_SHAPE, 10**9) > 1.0


@pytest.mark.parametrize(
    "seconds, text",
    [(3.2, "3 s"), (119, "119 s"), (121, "2 min"), (7199, "120 min"), (21960, "6.1 h")],
)
def test_durations_are_in_words(seconds, text):
    assert cost.describe_duration(seconds) == text
