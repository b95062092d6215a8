"""What a row's header says of its cost is what its methods say."""

import functools
import pathlib
import re

import pytest

from ascl_tf import config as cfg
from ascl_tf.methods.factory import make_finetune_method, make_pretrain_method
from ascl_tf.models import resnet
from tests.flagfiles import ROOT, ROWS, files_in, is_of_train, owner_of, parse, text_of


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


def _units_and_epochs(config, stage):
    if stage == cfg.PRETRAIN:
        # Narrow, since the cost counts passes of the network, whatever its width.
        return _pretrain_units(config.replace(width=1, workdir="")), config.epochs
    units = _finetune_units(**{name: getattr(config, name) for name in FINETUNE_SETTINGS})
    return units, config.num_finetune_epochs


@pytest.mark.parametrize("row", ROWS)
def test_header_states_the_cost(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    for path in filter(is_of_train, files_in(row)):
        (cost,) = re.findall("^# Cost: (.*)$", text_of(path), re.MULTILINE)
        if owner_of(path) != path:
            folder = pathlib.PurePath(owner_of(path)).parent
            assert cost == f"none; the same run as {folder}."
            continue
        config, stage = parse(f"--flagfile={path}")
        if stage == cfg.EVALUATE:
            assert re.fullmatch(r"hours: (--|[\d.]+).*", cost)
            continue
        units, epochs = _units_and_epochs(config, stage)
        expected = f"{units} forward passes per image and step, {epochs} epochs; hours: "
        assert cost.startswith(expected), path
