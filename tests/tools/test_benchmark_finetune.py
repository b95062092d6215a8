"""The benchmark of linear fine-tuning: what its candidates compute, and its record."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods.finetune import FineTune
from tests.methods import contract, helpers
from tools.benchmarks import _cost, common, finetune


def _method(kind, monkeypatch, **settings):
    monkeypatch.setattr(finetune, "make_encoder", helpers.make_tiny_encoder)
    config = helpers.TINY.replace(finetune_augmentation="none", **settings)
    return finetune.make_method(kind, config, helpers.make_dataset())


@pytest.mark.parametrize("mode, counts", [("laf", [1 + 2 + 1, 1 + 2 + 2 + 1]), ("lsf", [1, 2])])
def test_plain_step_passes_natural_images_anew_and_ends_the_same(monkeypatch, mode, counts):
    found = []
    for kind in (FineTune, finetune.PlainFineTune):
        method = _method(kind, monkeypatch, finetune=mode)
        passes = contract.record_passes(method)
        method.train_step(helpers.make_data())
        count = len([row for row in passes if row[0] == "encoder"])
        found.append((count, method.linear_head.dense.kernel.numpy()))
    (count, head), (plain_count, plain_head) = found
    assert [count, plain_count] == counts
    np.testing.assert_allclose(head, plain_head, rtol=1e-6, atol=1e-6)


def test_record_holds_the_ratios_of_what_was_timed(tmp_path, monkeypatch, capsys):
    names = [finetune.LAF, finetune.LSF, finetune.BFLOAT16]
    names += [*finetune.PLAIN.values(), *finetune.CACHED.values()]
    steps = {name: lambda: tf.constant(0) for name in names}
    operations = dict.fromkeys(names, 7e9)
    products = {_cost.product_name(p): lambda: tf.constant(0) for p in ("float32", "bfloat16")}
    monkeypatch.setattr(finetune, "make_candidates", lambda _: (steps | products, operations))
    finetune.main([f"--output={tmp_path}", "--repeats=3"])
    record = json.loads((tmp_path / "benchmark_finetune.json").read_text())
    assert len(record["ratios"]) == len(finetune.RATIOS) - 1
    assert set(record["seconds"]) == {*names, *products}
    assert set(record["shares_of_the_limit"]) == {finetune.LAF, finetune.LSF, finetune.BFLOAT16}
    for name, share in record["shares_of_the_limit"].items():
        reached = 7 / np.median(record["seconds"][name])
        assert share["gflops"] == pytest.approx(reached)
    assert "<= 0.95" in capsys.readouterr().out


def test_operations_are_those_of_the_passes_of_a_step(monkeypatch):
    monkeypatch.setattr(finetune, "make_encoder", helpers.make_tiny_encoder)
    monkeypatch.setattr(_cost, "forward_operations", lambda encoder, size: size)
    arguments = types.SimpleNamespace(width=1, batch_size=2, steps=10)
    _, operations = finetune.make_step(arguments, finetune="laf", finetune_augmentation="none")
    assert operations == 21 * 32 * 2


def test_ratio_without_a_limit_shows_none(tmp_path, capsys):
    arguments = types.SimpleNamespace(width=1, batch_size=2, repeats=1, output=tmp_path)
    seconds = {"a": [1.0], "b": [2.0]}
    common.report_ratios(arguments, "any", seconds, {"a / b": ("a", "b", None)})
    assert "None" not in capsys.readouterr().out
