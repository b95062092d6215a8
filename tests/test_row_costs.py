"""The cost of a row in flags/rows.toml is what its methods say."""

import functools

import pytest

from ascl_tf import config as cfg
from ascl_tf.methods.factory import make_finetune_method, make_pretrain_method
from ascl_tf.models import resnet
from tests.flagfiles import ROOT, ROWS, files_in, is_of_train, parse
from tools.rows import units_of


@pytest.fixture(scope="module", autouse=True)
def _shallow_networks():
    """The cost counts passes of the network, whatever its depth."""
    with pytest.MonkeyPatch.context() as patch:
        for depth in resnet.BLOCKS_PER_STAGE:
            patch.setitem(resnet.BLOCKS_PER_STAGE, depth, (0, 0, 0, 1))
        yield


# What the cost of a fine-tuning depends on.
FINETUNE_SETTINGS = ("finetune", "finetune_loss", "finetune_num_steps", "finetune_augmentation")


@functools.cache
def _pretrain_units(config):
    method = make_pretrain_method(config, num_classes=10, image_shape=(16, 16, 3))
    return method.forward_units()


@functools.cache
def _finetune_units(**settings):
    config = cfg.Config(width=1, **settings)
    method = make_finetune_method(config, num_classes=10, image_shape=(16, 16, 3))
    return method.forward_units()


@pytest.mark.parametrize("row", ROWS)
def test_row_states_its_cost(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in filter(is_of_train, files_in(row)):
        config, stage = parse(f"--flagfile={path}")
        if stage == cfg.PRETRAIN:
            # Narrow, since the cost counts passes of the network, whatever its width.
            assert units_of(path) == _pretrain_units(config.replace(width=1, workdir="")), path
        elif stage == cfg.FINETUNE:
            settings = {name: getattr(config, name) for name in FINETUNE_SETTINGS}
            assert units_of(path) == _finetune_units(**settings), path
