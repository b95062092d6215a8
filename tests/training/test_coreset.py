"""RCS: what is chosen, by which gradients, and that an interruption changes nothing."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.losses.classification import kl_divergence
from ascl_tf.models import ADVERSARIAL, CLEAN
from ascl_tf.training import callbacks, run
from ascl_tf.training.checkpoints import History
from ascl_tf.training.coreset import Coreset, check_single_device, choose_greedily
from ascl_tf.training.coreset_gradients import CoresetGradients
from ascl_tf.training.training_clock import TrainingClock
from ascl_tf.training.workdir import WorkDirectory
from tests.methods import helpers

RCS = helpers.TINY.replace(
    coreset_fraction=0.5, coreset_warmup_epochs=1, coreset_every=2, num_steps_at=0, num_steps_cl=1
)


class _Stopped(Exception):
    """In place of a kill."""


def _method(config=RCS):
    return helpers.compile_tiny(helpers.make_method(config))


@pytest.fixture(scope="module")
def gradients():
    return CoresetGradients(_method(), helpers.IMAGE_SHAPE)


def _quadratic(matrix, target):
    """A divergence |A w - t|^2 / 2, its gradient, and w, which `take` moves."""
    state = {"w": np.zeros(matrix.shape[1])}

    def gradient():
        return matrix.T @ (matrix @ state["w"] - target)

    def take(step):
        state["w"] = state["w"] - 0.1 * step

    return gradient, take, state


def test_greedy_choice_follows_the_divergence_as_the_layer_moves():
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(8, 5))
    matrix, target = rng.normal(size=(6, 5)), rng.normal(size=6)
    gradient, take, _ = _quadratic(matrix, target)
    chosen = choose_greedily(gradients, 4, divergence_gradient=gradient, take=take)
    # Again by loops: at each place the batch with the largest first-order fall.
    expected, w = [], np.zeros(5)
    for _ in range(4):
        slope = matrix.T @ (matrix @ w - target)
        gains = {n: float(gradients[n] @ slope) for n in range(8) if n not in expected}
        expected.append(max(gains, key=gains.get))
        w = w - 0.1 * gradients[expected[-1]]
    assert chosen == expected and len(set(chosen)) == 4
    static = list(np.argsort(-gradients @ (-matrix.T @ target))[:4])
    assert chosen != static, "the example does not tell a greedy choice from a fixed order"


def test_objective_gradient_is_that_of_the_layer_in_a_step(gradients):
    method, data = gradients.method, helpers.make_data()
    before = helpers.values(method)
    found = gradients.of_objective((data["images"], data["labels"]), 0)
    assert not helpers.changed(before, helpers.values(method))
    kernel = method.projection_head.output_dense.kernel
    views = helpers.views_of(method, data)  # Step 0 and positions 0 to 5, as batch number 0.
    adversarial = method.make_adversarial(views)
    _, _, (expected,) = method.differentiate(views, adversarial, [kernel.value])
    for variable, value in zip(helpers.state(method), before.values(), strict=True):
        variable.assign(value)
    np.testing.assert_allclose(found, np.ravel(expected), rtol=1e-3, atol=1e-6)
    other = gradients.of_objective((data["images"], data["labels"]), 1)
    assert np.any(other != found), "two batches have random numbers in common"


def test_attacks_are_shorter_while_a_part_is_chosen_and_the_config_is_put_back(gradients):
    assert gradients.method.config.num_steps_ascl == RCS.num_steps_ascl
    method = _method(RCS.replace(num_steps_cl=7, coreset_num_steps=2))
    seen, perturb = [], method.perturb
    method.perturb = lambda *a, **k: seen.append(k["num_steps"]) or perturb(*a, **k)
    CoresetGradients(method, helpers.IMAGE_SHAPE)
    assert seen == [0, 2, 2, 2]
    assert method.config.num_steps_cl == 7


def test_divergence_gradient_is_a_difference_quotient(gradients):
    """Of the divergence at fixed perturbed images, along one direction, in inference mode."""
    method, data = gradients.method, helpers.make_data()
    kernel = method.projection_head.output_dense.kernel
    images = tf.cast(data["images"], tf.float32) / 255
    perturbed = []
    perturb = method.perturb
    method.perturb = lambda *a, **k: perturbed.append(perturb(*a, **k)) or perturbed[-1]
    found = gradients._divergence.python_function(data["images"], data["labels"], tf.constant(0))
    method.perturb = perturb
    direction = np.random.default_rng(0).normal(size=kernel.shape).astype(np.float32)

    def divergence(offset):
        before = kernel.numpy()
        kernel.assign(before + offset * direction)
        clean = method.projections(images, branch=CLEAN, training=False)
        adversarial = method.projections(perturbed[0], branch=ADVERSARIAL, training=False)
        kernel.assign(before)
        t = method.config.temperature
        return float(
            tf.reduce_mean(kl_divergence(np.float64(clean) / t, np.float64(adversarial) / t))
        )

    quotient = (divergence(1e-3) - divergence(-1e-3)) / 2e-3
    assert float(np.ravel(found) @ np.ravel(direction)) == pytest.approx(quotient, rel=2e-2)
    size = np.abs(perturbed[0] - images).max()
    assert 0.9 * 8 / 255 < size <= 8 / 255 + 1e-6


def test_layer_is_put_back_even_after_an_error(gradients):
    kernel = gradients.method.projection_head.output_dense.kernel
    before = kernel.numpy()
    with pytest.raises(_Stopped), gradients.moving() as move:
        move(np.ones(before.size, np.float32))
        np.testing.assert_allclose(kernel.numpy(), before - 1, rtol=1e-6)
        raise _Stopped
    np.testing.assert_array_equal(kernel.numpy(), before)


def _coreset(method, dataset):
    history = History()
    return Coreset(method, dataset, history, TrainingClock(history))


def test_part_is_whole_batches_anew_after_every_interval(monkeypatch):
    coreset = _coreset(_method(), helpers.make_dataset(26))
    calls = []
    monkeypatch.setattr(coreset, "_choose", lambda batches, epoch: calls.append(epoch) or [2, 0])
    rows = {epoch: coreset.rows(epoch) for epoch in range(5)}
    assert rows[0] is None and calls == [1, 3]
    assert all(len(set(rows[epoch])) == 12 and max(rows[epoch]) < 26 for epoch in (1, 2, 3, 4))
    np.testing.assert_array_equal(rows[1], rows[2])
    assert set(rows[1]) != set(rows[3])
    assert [coreset.next_change(epoch) for epoch in range(5)] == [1, 3, 3, 5, 5]
    assert coreset.history.coreset == {"epoch": 3, "batches": [2, 0]}


def test_choice_is_the_same_every_time_moves_nothing_and_is_timed():
    method, dataset = _method(), helpers.make_dataset(36)
    before = helpers.values(method)
    first = _coreset(method, dataset)
    chosen = first.rows(1)
    assert not helpers.changed(before, helpers.values(method))
    assert len(chosen) == 18
    again = _coreset(method, dataset)
    again._gradients = first._gradients
    np.testing.assert_array_equal(again.rows(1), chosen)
    (between,) = again.history.clock_seconds.values()
    assert between[0] == 1 and between[1] > 0


def test_run_that_goes_on_takes_what_was_chosen_whatever_the_weights_are_now(monkeypatch):
    coreset = _coreset(_method(), helpers.make_dataset(26))
    monkeypatch.setattr(coreset, "_choose", lambda batches, epoch: [2, 0])
    chosen, saved = coreset.rows(1), json.loads(json.dumps(coreset.history.to_json()))
    again = _coreset(_method(), helpers.make_dataset(26))
    again.history.set_json(saved)
    monkeypatch.setattr(again, "_choose", None)  # Would raise.
    np.testing.assert_array_equal(again.rows(2), chosen)


def test_several_devices_are_refused():
    strategy = types.SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ConfigError, match="--coreset_fraction: expected 1 on several devices"):
        check_single_device(RCS, strategy)
    check_single_device(helpers.TINY, strategy)


def _run(config, path):
    run.run_stages(config, "pretrain", WorkDirectory(path))
    record = json.loads((path / "results" / "pretrain.json").read_text())
    assert [entry["epoch"] for entry in record["epoch_seconds"]] == [1, 2, 3]
    assert all(entry["wall"] > 0 and entry["cpu"] > 0 for entry in record["epoch_seconds"])
    return {k: v for k, v in record.items() if not k.endswith("seconds")}


def _stop_at(monkeypatch, step):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == step:
            raise _Stopped

    monkeypatch.setattr(callbacks.StopOnNonFinite, "on_train_batch_end", on_train_batch_end)


FAST = {"at_attack": "fgsm_rs", "shared_perturbation": "ascl"}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"method": "acl"}, FAST], ids=["acl", "ascl"])
def test_run_stopped_among_the_epochs_of_a_part_continues_bit_for_bit(
    tiny_world, tmp_path, changes
):
    config = tiny_world.replace(
        coreset_fraction=0.5, coreset_warmup_epochs=1, checkpoint_every=3, **changes
    )
    undisturbed = _run(config, tmp_path / "undisturbed")
    assert undisturbed["coreset"]["epoch"] == 1 and len(undisturbed["coreset"]["batches"]) == 2
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(_Stopped):
        _stop_at(monkeypatch, 7)  # Goes on from step 6, in the middle of the second epoch.
        _run(config, tmp_path / "stopped")
    assert _run(config, tmp_path / "stopped") == undisturbed
    states = [_last_state(tmp_path / name) for name in ("stopped", "undisturbed")]
    assert states[0] == states[1]


def _last_state(path):
    prefix = tf.train.latest_checkpoint(str(path / "checkpoints" / "pretrain" / "last"))
    reader = tf.train.load_checkpoint(prefix)
    names = [n for n in reader.get_variable_to_shape_map() if "/variables/" in n]
    assert len(names) > 15 and prefix.endswith("-12")
    return {name: reader.get_tensor(name).tobytes() for name in names}
