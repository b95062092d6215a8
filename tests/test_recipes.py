"""What the rows take from their authors' code, epoch by epoch, against lists written by hand."""

import itertools

import pytest

from ascl_tf.training.schedules import make_finetune_schedule, make_pretrain_schedule
from tests.flagfiles import ROOT, ROWS, config_of, files_in

STEPS_PER_EPOCH = 10


@pytest.fixture(autouse=True)
def _in_the_repository_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def _rates(*lengths, first):
    """Returns the rate of each epoch: so many at `first`, so many at a tenth of it, and on."""
    return [first * 0.1**k for k, length in enumerate(lengths) for _ in range(length)]


# The epochs of each rate. MART: epochs counted from 1, a new rate from 75, 90 and 100 on.
PRETRAIN = {
    "table1/ascl": _rates(60, 20, 20, first=0.1),
    "table1/at": _rates(60, 20, 20, first=0.1),
    "table1/trades": _rates(60, 20, 20, first=0.1),
    "beyond/mart": _rates(74, 15, 10, 21, first=0.01),
    "beyond/dynacl_pp": _rates(10, 10, 5, first=0.1),
}
# RoCL's rate changes when the epochs numbered 30, 50 and 100, from 0, are over; ACL's scheduler
# steps in front of epochs 15 and 20, counted from 1, DynACL's behind them.
FINETUNE = {
    "table1/rocl_rle/finetune": _rates(31, 20, 50, 49, first=0.1),
    "table1/ascl/finetune": _rates(10, first=0.1),
    "table7/faf/finetune": _rates(15, 5, 5, first=0.1),
    "beyond/acl_aff/finetune": _rates(14, 5, 6, first=0.1),
    "beyond/dynacl/finetune_faf": _rates(15, 5, 5, first=0.1),
    "beyond/dynacl/finetune_laf": _rates(10, 10, 5, first=0.01),
    "beyond/dynacl/finetune_lsf": _rates(10, 10, 5, first=0.01),
}


def _check(schedule, num_epochs, expected):
    assert num_epochs == len(expected)
    for epoch, rate in enumerate(expected):
        for step in (0, STEPS_PER_EPOCH - 1):
            have = float(schedule(epoch * STEPS_PER_EPOCH + step))
            assert have == pytest.approx(rate, rel=1e-5), f"epoch {epoch + 1}"


@pytest.mark.parametrize("row", PRETRAIN)
def test_rate_of_every_epoch_of_pre_training(row):
    config = config_of(f"flags/{row}/pretrain.flags")
    _check(make_pretrain_schedule(config, STEPS_PER_EPOCH), config.epochs, PRETRAIN[row])


@pytest.mark.parametrize("path", FINETUNE)
def test_rate_of_every_epoch_of_fine_tuning(path):
    config = config_of(f"flags/{path}.flags")
    schedule = make_finetune_schedule(config, STEPS_PER_EPOCH)
    _check(schedule, config.num_finetune_epochs, FINETUNE[path])


def test_mart_reaches_its_last_rate():
    schedule = make_pretrain_schedule(config_of("flags/beyond/mart/pretrain.flags"), 10)
    # Epochs counted from 1.
    rates = {epoch: float(schedule(10 * (epoch - 1))) for epoch in (74, 75, 90, 100, 110, 120)}
    expected = {74: 1e-2, 75: 1e-3, 90: 1e-4, 100: 1e-5, 110: 1e-5, 120: 1e-5}
    assert rates == pytest.approx(expected, rel=1e-5)


def test_attack_steps_of_mart_and_rocl():
    for row in ("beyond/mart", "table1/rocl", "table1/rocl_rle"):
        for path in files_in(f"flags/{row}"):
            assert float(config_of(path).step_size) == 0.007, path


def test_lars_has_the_rate_where_its_authors_have_it():
    paths = itertools.chain.from_iterable(files_in(row, "pretrain") for row in ROWS)
    found = {(config_of(p).method, config_of(p).lars_rate) for p in paths if _is_lars(p)}
    inside = {(method, "inside") for method in ("simclr", "acl", "dynacl")}
    assert found == inside | {("rocl", "outside")}


def _is_lars(path):
    return config_of(path).optimizer == "lars"


def test_weights_are_perturbed_from_the_tenth_epoch_of_trades_on():
    for path in files_in("flags/beyond/trades_awp"):
        assert config_of(path).awp_warmup_epochs == 9, path
