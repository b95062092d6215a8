"""Learning rates against the closed form, step by step."""

import math

import keras
import pytest

from ascl_tf.training.schedules import (
    CosineSchedule,
    StepwiseSchedule,
    make_finetune_schedule,
    make_pretrain_schedule,
)
from tests.methods.helpers import TINY


def _rates(schedule, num_steps):
    return [float(schedule(step)) for step in range(num_steps)]


@pytest.mark.parametrize("epochs, first, second", [(10, 6, 8), (100, 60, 80), (5, 3, 4)])
def test_pretraining_falls_by_ten_at_60_and_80_percent(epochs, first, second):
    steps = 3
    rates = _rates(make_pretrain_schedule(TINY.replace(epochs=epochs), steps), epochs * steps)
    exponents = [(s >= first * steps) + (s >= second * steps) for s in range(epochs * steps)]
    assert rates == pytest.approx([0.05 * 0.1**k for k in exponents], rel=1e-6)
    assert set(exponents) == {0, 1, 2}


def test_warm_up_rises_linearly_to_the_full_rate():
    config = TINY.replace(epochs=10, warmup_epochs=1.5, learning_rate=0.6)
    rates = _rates(make_pretrain_schedule(config, 4), 10)
    expected = [0.6 * min(1, (step + 1) / 6) for step in range(10)]
    assert rates == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("warmup_epochs", [0.0, 1.5])
def test_cosine_falls_from_the_full_rate_to_zero_after_the_warm_up(warmup_epochs):
    config = TINY.replace(
        schedule="cosine", epochs=5, warmup_epochs=warmup_epochs, learning_rate=0.6
    )
    rates = _rates(make_pretrain_schedule(config, 4), 21)
    warm = round(4 * warmup_epochs)
    for step, rate in enumerate(rates):
        if step < warm:
            expected = 0.6 * (step + 1) / warm
        else:
            expected = 0.3 * (1 + math.cos(math.pi * (step - warm) / (20 - warm)))
        assert rate == pytest.approx(expected, abs=1e-7), step
    assert max(rates) == pytest.approx(0.6) and rates[20] == pytest.approx(0.0, abs=1e-7)


def test_cosine_stays_at_zero_behind_its_end():
    assert float(CosineSchedule(0.5, 10)(25)) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("shares, falls", [("", []), ("0.4,0.8", [4, 8]), ("0.5", [5])])
@pytest.mark.parametrize("mode", ["laf", "faf"])
def test_fine_tuning_falls_where_it_is_told(mode, shares, falls):
    config = TINY.replace(
        finetune=mode,
        finetune_epochs=10,
        finetune_decay_at=shares,
        finetune_learning_rate=0.3,
    )
    rates = _rates(make_finetune_schedule(config, 3), 30)
    expected = [0.3 * 0.1 ** sum(step >= 3 * fall for fall in falls) for step in range(30)]
    assert rates == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("mode", ["lsf", "laf"])
def test_linear_fine_tuning_keeps_its_rate(mode):
    config = TINY.replace(finetune=mode, finetune_learning_rate=0.3)
    assert _rates(make_finetune_schedule(config, 2), 20) == pytest.approx([0.3] * 20, rel=1e-6)


@pytest.mark.parametrize("mode", ["fsf", "faf"])
def test_full_fine_tuning_falls_at_15_and_20_of_25_epochs(mode):
    config = TINY.replace(finetune=mode, finetune_learning_rate=0.3)
    rates = _rates(make_finetune_schedule(config, 2), 50)
    expected = [0.3] * 30 + [0.03] * 10 + [0.003] * 10
    assert rates == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        StepwiseSchedule(0.2, milestones=(2, 4), factor=0.5, warmup_steps=3),
        CosineSchedule(0.2, num_steps=6, warmup_steps=2),
    ],
)
def test_schedule_survives_serialisation(schedule):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert _rates(copy, 6) == _rates(schedule, 6)
