"""`--jit`: where XLA compiles the step, where it is refused, and that it changes nothing."""

import types

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.errors import ConfigError
from ascl_tf.training import run, strategy
from ascl_tf.training.workdir import WorkDirectory
from tests.common import two_replicas
from tests.methods import helpers


@pytest.mark.parametrize(
    "jit, has_gpu, num_replicas, expected",
    [
        ("auto", False, 1, False),
        ("auto", True, 1, True),
        ("auto", True, 2, False),
        ("on", False, 1, True),
        ("off", True, 1, False),
        ("off", True, 2, False),
    ],
)
def test_auto_is_on_with_one_gpu_alone(monkeypatch, jit, has_gpu, num_replicas, expected):
    current = types.SimpleNamespace(num_replicas_in_sync=num_replicas)
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: current)
    monkeypatch.setattr(strategy, "has_gpu", lambda: has_gpu)
    assert strategy.is_step_compiled(jit) is expected


def test_several_devices_are_refused_before_anything_is_written(tiny_world, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "make_strategy", lambda *_, **__: two_replicas())
    config = tiny_world.replace(method="at", jit="on")
    with pytest.raises(ConfigError, match=r"^`jit`: expected auto or off .*; found on with 2 .*"):
        run.run_stages(config, cfg.PRETRAIN, WorkDirectory(tmp_path))
    assert not list(tmp_path.glob("checkpoints*"))


def test_a_run_may_continue_with_another_setting():
    assert "jit" not in cfg.identity_of(cfg.Config(jit="on"), cfg.PRETRAIN)


def _trained(jit):
    method = helpers.make_method(helpers.TINY.replace(method="standard", jit=jit))
    helpers.compile_tiny(method)
    assert method.jit_compile is (jit == "on")
    logs = helpers.fit(method, helpers.make_dataset(), num_steps=3, eagerly=jit == "off")
    return helpers.values(method), logs


@pytest.mark.slow  # test_pgd.py compares the images of a compiled attack.
def test_compiled_steps_train_as_plain_ones_do():
    (plain, plain_logs), (compiled, logs) = (_trained(jit) for jit in ("off", "on"))
    assert plain_logs == pytest.approx(logs, rel=1e-3)
    for (path, expected), value in zip(plain.items(), compiled.values(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-3, atol=1e-4, err_msg=path)
