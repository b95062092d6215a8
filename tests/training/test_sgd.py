"""SGD against its formula in float64, a closed form, and PyTorch's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods.optimization import apply_update
from ascl_tf.training.optimizers import Sgd
from ascl_tf.training.schedules import StepwiseSchedule
from tests.common import two_replicas
from tests.methods import helpers

# Exact in float32, in which Keras keeps a rate.
RATES = (0.5, 0.5, 0.0625, 0.0625, 0.25)
MOMENTUM, DECAY = 0.9, 0.01


def _oracle(start, gradients, *, nesterov, decay, momentum=MOMENTUM):
    """Returns the weights after each of the gradients, entry by entry."""
    w, v, path = [float(x) for x in start], [0.0] * len(start), []
    for rate, gradient in zip(RATES, gradients, strict=True):
        for i, g in enumerate(gradient):
            g = float(g) + decay * w[i]
            v[i] = momentum * v[i] + g
            w[i] -= rate * (g + momentum * v[i] if nesterov else v[i])
        path.append(list(w))
    return path


def _path(start, gradients, *, nesterov=False, decay=0.0, momentum=MOMENTUM):
    variable = keras.Variable(start, dtype="float64")
    optimizer = Sgd(RATES[0], momentum=momentum, nesterov=nesterov)
    path = []
    for rate, gradient in zip(RATES, gradients, strict=True):
        optimizer.learning_rate = rate
        apply_update(optimizer, [tf.constant(gradient)], [variable], [decay])
        path.append(variable.numpy())
    return path


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    return rng.normal(size=4), rng.normal(size=(len(RATES), 4))


FORMS = [(False, 0.0), (False, DECAY), (True, 0.0), (True, DECAY)]


@pytest.mark.parametrize(("nesterov", "decay"), FORMS)
def test_follows_the_formula_under_changing_rates(drawn, nesterov, decay):
    expected = _oracle(*drawn, nesterov=nesterov, decay=decay)
    have = _path(*drawn, nesterov=nesterov, decay=decay)
    np.testing.assert_allclose(have, expected, rtol=1e-12)


def test_without_momentum_it_is_gradient_descent(drawn):
    expected = _oracle(*drawn, nesterov=False, decay=DECAY, momentum=0.0)
    np.testing.assert_allclose(_path(*drawn, decay=DECAY, momentum=0.0), expected, rtol=1e-12)


@pytest.mark.parametrize(("nesterov", "decay"), FORMS)
def test_five_steps_are_those_of_pytorch(drawn, nesterov, decay):
    torch = pytest.importorskip("torch", reason="the package torch is not installed")
    start, gradients = drawn
    weights = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD(
        [weights], lr=RATES[0], momentum=MOMENTUM, nesterov=nesterov, weight_decay=decay
    )
    expected = []
    for rate, gradient in zip(RATES, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weights.grad = torch.tensor(gradient)
        optimizer.step()
        expected.append(weights.detach().numpy().copy())
    have = _path(start, gradients, nesterov=nesterov, decay=decay)
    np.testing.assert_allclose(have, expected, rtol=1e-12)


def _moves(optimizer, num_steps, gradient=1.0):
    """Returns how far each step moves a weight with a constant gradient."""
    variable = keras.Variable(0.0)
    optimizer.build([variable])
    weights = [0.0]
    for _ in range(num_steps):
        optimizer.apply([tf.constant(gradient)], [variable])
        weights.append(float(variable.numpy()))
    return -np.diff(weights)


@pytest.mark.parametrize("nesterov", [False, True])
def test_drop_of_the_rate_shows_at_once(nesterov):
    schedule = StepwiseSchedule(0.1, milestones=[30])
    moves = _moves(Sgd(schedule, momentum=0.9, nesterov=nesterov), 41)
    # v_n = 1 + 0.9 + ... + 0.9^(n - 1); Nesterov's step is 1 + 0.9 v_n = v_(n + 1).
    velocities = (1 - 0.9 ** (np.arange(1, 42) + nesterov)) / (1 - 0.9)
    np.testing.assert_allclose(moves[:30], 0.1 * velocities[:30], rtol=1e-4)
    np.testing.assert_allclose(moves[30:], 0.01 * velocities[30:], rtol=1e-3)
    if not nesterov:
        assert moves[30] == pytest.approx(0.0962, abs=1e-4)
        assert moves[40] == pytest.approx(0.0987, abs=1e-4)


def test_rate_inside_is_the_convention_of_keras():
    schedule = StepwiseSchedule(0.1, milestones=[3])
    expected = _moves(keras.optimizers.SGD(schedule, momentum=0.9), 6)
    np.testing.assert_array_equal(
        _moves(Sgd(schedule, momentum=0.9, rate_inside=True), 6), expected
    )


@pytest.mark.parametrize(("rate_inside", "name"), [(False, "velocity"), (True, "momentum")])
def test_name_of_the_state_tells_the_convention(rate_inside, name):
    optimizer = Sgd(momentum=0.9, rate_inside=rate_inside)
    optimizer.build([keras.Variable([1.0, 2.0], name="kernel")])
    (slot,) = optimizer.momentums
    assert slot.path.endswith(f"kernel_{name}") and slot.shape == (2,)


def test_state_is_float32_under_bfloat16_layers():
    config = helpers.TINY.replace(precision="bfloat16")
    optimizer = helpers.compile_tiny(helpers.make_method(config)).optimizer
    assert {slot.dtype for slot in optimizer.momentums} == {"float32"}


@pytest.mark.parametrize("nesterov", [False, True])
def test_optimizer_survives_serialization(nesterov):
    optimizer = Sgd(0.3, momentum=0.5, nesterov=nesterov, rate_inside=nesterov)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert type(copy) is Sgd and copy.get_config() == optimizer.get_config()


def test_two_replicas_sum_their_gradients_into_one_velocity():
    def step(optimizer, variable, gradient):
        optimizer.apply_gradients([(gradient, variable)])

    strategy = two_replicas()
    with strategy.scope():
        variable = keras.Variable([1.0, -2.0])
        optimizer = Sgd(StepwiseSchedule(0.5, milestones=[1]), momentum=0.5)
        optimizer.build([variable])
    shares = np.float32([[3, 1], [2, -4]])
    for _ in range(2):
        gradients = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )
        strategy.run(step, args=(optimizer, variable, gradients))
    # The sum is (5, -3): v is 1 and then 1.5 times it, the rate 0.5 and then 0.05.
    np.testing.assert_allclose(variable.numpy(), [1 - 0.575 * 5, -2 + 0.575 * 3], rtol=1e-6)
    np.testing.assert_allclose(optimizer.momentums[0].numpy(), [7.5, -4.5], rtol=1e-6)


@pytest.mark.parametrize("stage", [{}, {"finetune": True}], ids=["pretrain", "finetune"])
def test_every_stage_of_sgd_has_the_rate_outside(stage):
    optimizer = helpers.compile_tiny(helpers.make_method(helpers.TINY, **stage)).optimizer
    assert type(optimizer) is Sgd and not optimizer.rate_inside
