"""The announced time of training, and durations in words."""

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
    seconds = cost.seconds_of_training(method, helpers.make_dataset(), 1000)
    assert seconds == pytest.approx(expected * (3 + 1) * 1000)
    # Each validated image takes a pass, and two for each step of pgd20.
    more = cost.seconds_of_training(method, helpers.make_dataset(), 1000, 10)
    assert more - seconds == pytest.approx(expected * 41 * 10)


@pytest.mark.parametrize("finetune", [False, True])
def test_estimate_times_the_classifier(finetune):
    method = helpers.make_method(helpers.TINY.replace(method="standard"), finetune=finetune)
    assert cost.seconds_of_training(method, helpers.make_dataset(), 10**9) > 1.0


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
