"""The estimate counts what a step really exchanges, and its numbers are those of the formulas."""

import types

import pytest

from ascl_tf.losses import contrastive
from ascl_tf.models import DualBatchNormalization
from tests.methods import helpers
from tools import estimate_scaling as tool

COST = tool.StepCost(
    seconds_per_image=0.01,
    bytes_per_image=2.0**20,
    fixed_bytes=2.0**30,
    gathered_bytes=1000,
    reduced_bytes=10_000_000,
    num_collectives=100,
)


def _arguments(**changes):
    settings = {"images_per_gpu": 0, "global_batch_size": 64, "num_images": 640}
    settings |= {"link_gbytes": 1.0, "latency_us": 10.0}
    return types.SimpleNamespace(**settings | changes)


@pytest.mark.parametrize("steps", [(1, 2, 3), (2, 1, 0)])
def test_counts_are_those_of_a_real_step(monkeypatch, steps):
    names = ("num_steps_at", "num_steps_cl", "num_steps_ascl")
    config = helpers.TINY.replace(**dict(zip(names, steps, strict=True)))
    method = helpers.compile_tiny(helpers.make_method(config))
    gathered, norms = [], []

    def gather_views(stacked_views, num_views):
        gathered.append(stacked_views.shape[0])
        return stacked_views

    call = DualBatchNormalization.call

    def counting_call(self, inputs, training=False, **settings):
        norms.append(training)
        return call(self, inputs, training=training, **settings)

    data = helpers.make_data()
    monkeypatch.setattr(contrastive, "gather_views", gather_views)
    monkeypatch.setattr(DualBatchNormalization, "call", counting_call)
    method.train_step(data)  # Eagerly: each step of an attack is a call.
    num_images = len(data["labels"])
    assert tool.gathered_rows(config) == (len(gathered), sum(gathered) / num_images)
    assert tool.num_batch_norms(method) == norms.count(True)


def test_one_gpu_exchanges_nothing():
    numbers = dict(zip(tool.COLUMNS, tool.row(COST, 1, _arguments()), strict=True))
    assert numbers["exchange s"] == 0 and numbers["speed-up"] == 1
    assert numbers["step s"] == pytest.approx(0.64)
    assert numbers["epoch min"] == pytest.approx(10 * 0.64 / 60)
    # The similarities of 128 views to 192, four times in float32.
    assert numbers["memory GiB"] == pytest.approx(1 + 64 / 1024 + 128 * 192 * 16 / 2**30)


def test_four_gpus_share_compute_and_send_three_quarters():
    numbers = dict(zip(tool.COLUMNS, tool.row(COST, 4, _arguments()), strict=True))
    # 64 kB gathered three times, 10 MB summed by sending twice, at 1 GB/s; 100 times 10 us.
    exchange = 0.75 * (3 * 64e3 + 2 * 10e6) / 1e9 + 1e-3
    assert numbers["exchange s"] == pytest.approx(exchange)
    assert numbers["step s"] == pytest.approx(0.16 + exchange)
    assert numbers["speed-up"] == pytest.approx(0.64 / (0.16 + exchange))
    assert (numbers["gather MB"], numbers["gradient MB"]) == (0.064, 10)
    assert numbers["memory GiB"] == pytest.approx(1 + 16 / 1024 + 32 * 192 * 16 / 2**30)


def test_batch_may_grow_with_the_gpus():
    numbers = dict(zip(tool.COLUMNS, tool.row(COST, 4, _arguments(images_per_gpu=64)), strict=True))
    assert (numbers["global batch"], numbers["images each"]) == (256, 64)
    assert numbers["compute s"] == pytest.approx(0.64)


def test_program_says_what_is_given_and_what_is_computed(capsys):
    tool.main(["--gpus=1,2", "--width=2", "--steps=1,1,1", "--gflops=10"])
    output = capsys.readouterr().out
    assert "GFLOP at 10 GFLOP/s, taken as given" in output and "MiB, computed" in output
    assert output.count("\n| ") == 4  # The heading, its rule, and a row for each number.
    tool.main(["--gpus=2", "--width=2", "--seconds_per_image=0.5", "--bytes_per_image=2097152"])
    output = capsys.readouterr().out
    assert "500 ms, given" in output and "2 MiB, given" in output
    assert "| 2 | 512 | 256 | 128 |" in output


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--gpus=3", "--global_batch_size: expected a multiple of 3 GPUs; found 512"),
        ("--gpus=1,x", "--gpus: expected numbers above 0; found '1,x'"),
        ("--steps=1,2", "--steps: expected three numbers; found '1,2'"),
    ],
)
def test_bad_arguments_are_refused(capsys, argument, message):
    with pytest.raises(SystemExit) as exit_info:
        tool.main([argument])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err
