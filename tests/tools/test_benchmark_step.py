"""One ASCL step against PyTorch and its parts: what is timed, what is derived, the record."""

import json
import sys
import types

import keras
import numpy as np
import pytest

from ascl_tf.methods import factory
from ascl_tf.methods.cost import count_step
from ascl_tf.models import resnet18
from tests.methods import helpers
from tools.benchmarks import _ascl_step, _cost, step


def _arguments(tmp_path, **changes):
    settings = {
        "width": 2,
        "batch_size": 6,
        "repeats": 3,
        "steps": "2,2,2",
        "matrix_size": 8,
        "precisions": ["float32", "bfloat16"],
    }
    return types.SimpleNamespace(**settings | {"output": tmp_path, "settings": {}} | changes)


@pytest.fixture
def method():
    return helpers.compile_tiny(helpers.make_method())


def test_operations_and_kept_bytes_of_a_network_by_hand():
    encoder = resnet18(width=16)
    encoder.build((None, 32, 32, 3))
    stages = [(32, 16, 16), (16, 32, 16), (8, 64, 32), (4, 128, 64)]  # size, filters, channels
    operations, numbers = 2 * 32**2 * 9 * 3 * 16, 2 * 32**2 * 16
    for size, filters, channels in stages:
        has_shortcut = filters != channels
        taps = 9 * channels + 3 * 9 * filters + has_shortcut * channels
        operations += 2 * size**2 * filters * taps
        numbers += (8 + has_shortcut) * size**2 * filters
    assert _cost.forward_operations(encoder, 32) == operations
    assert operations == pytest.approx(0.07e9, rel=0.01)
    assert _cost.activation_bytes(encoder, 32) == 4 * numbers


def test_recomputed_anchors_give_the_same_adversarial_images(method):
    views = helpers.views_of(method, helpers.make_data())
    cached = method.make_adversarial(views)
    recomputed = _ascl_step.recompute_anchors(method).make_adversarial(views)
    assert list(recomputed) == list(cached)
    for name, images in cached.items():
        np.testing.assert_array_equal(recomputed[name], images, err_msg=name)


@pytest.mark.slow
def test_parts_are_the_passes_of_the_step(method):
    parts = _ascl_step.make_parts(method, helpers.make_data())
    units = {  # SPEC's count, per image: a backward pass to the images 1, a full one 2.
        "views": 0,
        "clean anchors": 2,
        "attack on logits": 2,
        "attack on two views": 4,
        "attack on projections": 2,
        "training passes": 18,
        "natural accuracy": 1,
    }
    counted = count_step(method.config)
    assert sum(units[name] * times for name, (_, times) in parts.items()) == counted
    gradient = parts["attack on two views"][0]()
    assert gradient.shape == (12, 8, 8, 3) and np.any(gradient.numpy() != 0)
    assert set(step.ATTACKS_APART) <= set(parts)
    fused = _ascl_step.make_fused_attack(method, helpers.make_data())()
    assert fused.shape[0] == sum(parts[name][0]().shape[0] for name in step.ATTACKS_APART)
    gradients = parts["training passes"][0]()
    assert all(np.any(g.numpy() != 0) for g in gradients)
    assert len(gradients) == len(method.step_variables())


def test_precision_is_that_of_the_layers_and_of_nothing_else(monkeypatch):
    monkeypatch.setattr(factory, "make_encoder", helpers.make_tiny_encoder)
    method = _ascl_step.make_method(helpers.TINY, "bfloat16")
    assert method.encoder.conv.compute_dtype == "bfloat16"
    assert method.encoder.conv.kernel.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert np.all(method.linear_head.dense.kernel.numpy() != 0)


def test_parts_are_summed_and_the_faster_layout_counts():
    fast, slow = (step.PLAIN + layout for layout in reversed(step.LAYOUTS))
    two, one = step.ATTACKS_APART
    seconds = {two: [1.0, 2.0], one: [0.5, 0.25], fast: [4.0, 5.0], slow: [5.0, 7.0]}
    found = step.derived(seconds, {two: 3, one: 4})
    assert found[step.PARTS] == [5.0, 7.0] and found[step.PLAIN] == [4.0, 5.0]
    assert found[step.APART] == [1.5, 2.25]
    assert step.FRUGAL not in found and seconds.items() <= found.items()


def test_record_holds_ratios_and_shares_of_the_limit(tmp_path, monkeypatch):
    shares = {step.OURS["float32"]: {"gflops": 1.0, "limit_gflops": 4.0, "share": 0.25}}
    monkeypatch.setattr(step, "shares_of_the_limit", lambda *_: shares)
    seconds = {step.OURS["float32"]: [2.0, 1.0, 9.0], step.PARTS: [4.0, 4.0, 1.0]}
    path = step.report(_arguments(tmp_path), seconds, {"views": 1})
    record = json.loads(path.read_text())
    assert path.name == "benchmark_step.json" and record["shares_of_the_limit"] == shares
    assert [(row["value"], row["to_reach"]) for row in record["ratios"]] == [(0.5, 1.05)]
    assert record["num_threads"] >= 1 and record["seconds"] == seconds


def test_share_of_the_limit_is_operations_over_those_of_the_product(tmp_path, monkeypatch):
    made = types.SimpleNamespace(encoder=None)
    monkeypatch.setattr(_ascl_step, "make_method", lambda _: made)
    monkeypatch.setattr(_cost, "forward_operations", lambda *_: 1e9)
    middle = {name: 2.0 for name in step.OURS.values()}
    middle |= {_cost.product_name(precision): 1e-9 for precision in step.OURS}
    found = step.shares_of_the_limit(_arguments(tmp_path), middle)[step.OURS["bfloat16"]]
    assert found["gflops"] == 71 * 6 / 2
    assert found["limit_gflops"] == pytest.approx(1024)
    assert found["share"] == pytest.approx(213 / 1024)


@pytest.mark.parametrize("precisions", ["bfloat16", "float32,float16", ""])
def test_precisions_without_float32_or_unknown_ones_are_refused(precisions, capsys):
    with pytest.raises(SystemExit, match="2"):
        step.parse([f"--precisions={precisions}"])
    assert "--precisions: expected float32 and others of" in capsys.readouterr().err


@pytest.mark.parametrize("steps", ["10", "a,5,5", "10,0,5"])
def test_wrong_steps_are_refused(steps, capsys):
    with pytest.raises(SystemExit, match="2"):
        step.parse([f"--steps={steps}"])
    assert "--steps: expected three numbers such as 10,5,5" in capsys.readouterr().err


def test_steps_are_those_of_the_three_attacks():
    settings = step.parse(["--steps=3,2,1", "--width=2", "--batch_size=4"]).settings
    assert settings == {"num_steps_at": 3, "num_steps_cl": 2, "num_steps_ascl": 1}


def test_without_pytorch_its_ratios_are_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert step.torch_candidates(None, None, None) == {} and step.torch_version() == {}
    assert "PyTorch is not installed (ascl-tf[bench])" in capsys.readouterr().out
