"""The cost of a row in flags/rows.toml is what its training steps add up to."""

import functools

import pytest

from ascl_tf import config as cfg
from ascl_tf.methods import step_data
from ascl_tf.methods.cost import count_step
from ascl_tf.methods.factory import make_finetune_method
from tests.flagfiles import ROOT, ROWS, files_in, is_of_train, parse
from tools.rows import units_of

# What the cost of a fine-tuning depends on.
FINETUNE_SETTINGS = ("finetune", "finetune_loss", "finetune_num_steps", "finetune_augmentation")


@pytest.fixture(autouse=True)
def _no_views(monkeypatch):
    """An augmentation costs nothing here, and is long to trace."""
    monkeypatch.setattr(step_data, "_strong_view", lambda images, *_, **__: images)


@functools.cache
def _pretrain_units(config):
    return count_step(config)


@functools.cache
def _finetune_units(**settings):
    return count_step(cfg.Config(**settings), make=make_finetune_method)


_IN_DEFAULT_RUN = tuple(f"flags/table1/{name}" for name in ("at", "ascl", "acl", "selfie_dpe"))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row, marks=() if row in _IN_DEFAULT_RUN else pytest.mark.slow)
        for row in ROWS
    ],
)
def test_row_states_its_cost(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in filter(is_of_train, files_in(row)):
        config, stage = parse(f"--flagfile={path}")
        if stage == cfg.PRETRAIN:
            assert units_of(path) == _pretrain_units(config.replace(workdir="")), path
        elif stage == cfg.FINETUNE:
            settings = {name: getattr(config, name) for name in FINETUNE_SETTINGS}
            assert units_of(path) == _finetune_units(**settings), path
