"""The line that a stage begins with."""

from types import SimpleNamespace

import pytest

from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.training import cost, headings
from tests.methods import helpers

GRAPH = "ten seconds to minutes to build the graph of a step"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch):
    monkeypatch.setattr(headings, "has_gpu", lambda: False)


def _said(capsys, stage="pretrain", **settings):
    config = helpers.TINY.replace(method="at", **settings)
    strategy = SimpleNamespace()
    method = SimpleNamespace(config=config, distribute_strategy=strategy)
    dataset = helpers.make_dataset(24)
    headings.say_training(stage, method, dataset, epochs=4, num_images=96, num_validated=8)
    return capsys.readouterr().out.splitlines()


def test_training_is_described_with_what_it_takes_and_what_comes_before(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(cost, "seconds_of_training", lambda *a: asked.append(a[2:]) or 130.0)
    (line,) = _said(capsys)
    size = helpers.SIZE
    assert line == (
        f"pretrain: at, resnet of depth 18, width 64; 24 images of {size} x {size} pixels, 4 "
        f"epochs; about 2 min without a GPU, plus {GRAPH}"
    )
    assert asked == [(96, 8)]
    (line,) = _said(capsys, stage="finetune_faf", finetune="faf")
    assert line.startswith(
        "finetune_faf: encoder and linear layer on adversarial images; 24 images"
    )


@pytest.mark.parametrize("settings", [{}, {"minutes": 3.0}])
def test_no_time_is_said_where_none_is_known(settings, monkeypatch, capsys):
    monkeypatch.setattr(cost, "seconds_of_training", lambda *_: pytest.fail("estimated"))
    monkeypatch.setattr(headings, "has_gpu", lambda: not settings)
    (line,) = _said(capsys, **settings)
    assert line.endswith(f"4 epochs; needs {GRAPH}")


def test_a_long_run_is_told_of_a_short_one(monkeypatch, capsys):
    monkeypatch.setattr(cost, "seconds_of_training", lambda *_: 1801.0)
    assert _said(capsys)[1:] == ["notice: --recipe=quickstart gives a first run in minutes"]
    assert len(_said(capsys, stage="finetune_laf")) == 1


@pytest.mark.parametrize("last", ["pgd20", "autoattack"])
def test_evaluation_is_described_and_autoattack_not_guessed(last, monkeypatch, capsys):
    monkeypatch.setattr(cost, "seconds_per_pass", lambda *_: 0.01)
    protocols = [get_protocol("standard"), get_protocol(last)]
    names, dataset = ["best", "last"], helpers.make_dataset(24)
    headings.say_evaluation("finetune_laf", names, protocols, None, dataset)
    line = capsys.readouterr().out
    what = f"evaluate: finetune_laf, best and last checkpoint; standard, {last} on 24 images"
    # Two checkpoints, 1 + 41 passes of an image.
    how_long = "; about 20 s without a GPU at most, plus seconds to build the graph of each attack"
    assert line == f"{what}{how_long if last == 'pgd20' else ''}\n"
