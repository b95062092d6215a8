"""LARS against its formula, written out in float64, over several steps."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods.step_data import Outputs, Term
from ascl_tf.training.optimizers import Lars, Sgd
from tests.common import two_replicas
from tests.methods import helpers
from tests.methods.contract import LABELS

# Rate and momentum are exact in float32, which Keras casts them through.
RATE, MOMENTUM, TRUST, DECAY = 0.5, 0.875, 0.02, 0.1
CONFIG = helpers.TINY.replace(
    method="standard",
    optimizer="lars",
    learning_rate=RATE,
    momentum=MOMENTUM,
    lars_trust=TRUST,
    weight_decay=DECAY,
)


def _norm(array):
    return np.sqrt(sum(float(x) ** 2 for x in np.ravel(array)))


def _oracle(start, gradients, *, nesterov=False, adapts=True, decay=DECAY, rates=None):
    """Returns the weights after each of the gradients; `rates`: outside the velocity."""
    w, v, path = np.float64(start), np.zeros_like(start, np.float64), []
    for step, g in enumerate(np.float64(gradients)):
        trust = 1.0
        if adapts:
            if _norm(w) > 0 and _norm(g) > 0:
                trust = TRUST * _norm(w) / (_norm(g) + decay * _norm(w))
            g = g + decay * w
        inside, outside = (RATE, 1.0) if rates is None else (1.0, rates[step])
        v = MOMENTUM * v + inside * trust * g
        w = w - outside * (MOMENTUM * v + inside * trust * g if nesterov else v)
        path.append(w)
    return path


def _path(start, gradients, rates=(RATE,) * 4, **settings):
    variable = keras.Variable(start, dtype="float64")
    optimizer = Lars(RATE, momentum=MOMENTUM, trust=TRUST, decay=DECAY, **settings)
    path = []
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient)], [variable])
        path.append(variable.numpy())
    return path


def _drawn(*shape):
    rng = np.random.default_rng(len(shape))
    return rng.normal(size=shape), rng.normal(size=(4, *shape))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (3, 3, 2, 5)])
def test_kernels_follow_the_formula_over_four_steps(shape, nesterov):
    start, gradients = _drawn(*shape)
    have = _path(start, gradients, nesterov=nesterov)
    np.testing.assert_allclose(have, _oracle(start, gradients, nesterov=nesterov), rtol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_rate_outside_the_velocity_changes_at_once(nesterov):
    start, gradients = _drawn(3, 4)
    rates = (0.5, 0.5, 0.0625, 0.25)
    have = _path(start, gradients, rates, nesterov=nesterov, rate_inside=False)
    expected = _oracle(start, gradients, nesterov=nesterov, rates=rates)
    np.testing.assert_allclose(have, expected, rtol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_rate_outside_is_pytorchs_sgd_on_adapted_gradients(nesterov):
    torch = pytest.importorskip("torch", reason="the package torch is not installed")
    start, gradients = _drawn(3, 4)
    weights = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.SGD([weights], lr=RATE, momentum=MOMENTUM, nesterov=nesterov)
    rates, expected = (0.5, 0.5, 0.0625, 0.25), []
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        w, g = weights.detach(), torch.tensor(gradient)
        weights.grad = TRUST * w.norm() / (g.norm() + DECAY * w.norm()) * (g + DECAY * w)
        optimizer.step()
        expected.append(weights.detach().numpy().copy())
    have = _path(start, gradients, rates, nesterov=nesterov, rate_inside=False)
    np.testing.assert_allclose(have, expected, rtol=1e-12)


@pytest.mark.parametrize("adapts", [False, True])
def test_vectors_are_adapted_and_decayed_only_on_request(adapts):
    start, gradients = _drawn(5)
    have = _path(start, gradients, adapts_vectors=adapts)
    np.testing.assert_allclose(have, _oracle(start, gradients, adapts=adapts), rtol=1e-12)


@pytest.mark.parametrize("is_zero", ["weights", "first gradient"])
def test_weights_or_gradient_of_zero_take_the_plain_rate(is_zero):
    start, gradients = _drawn(3, 4)
    if is_zero == "weights":
        start = np.zeros_like(start)
    else:
        gradients[0] = 0
    have = _path(start, gradients)
    np.testing.assert_allclose(have, _oracle(start, gradients), rtol=1e-12)
    assert np.any(have[0] != start)


def test_optimizer_survives_serialisation():
    optimizer = Lars(
        0.3,
        rate_inside=False,
        trust=0.2,
        decay=0.1,
        adapts_vectors=True,
        momentum=0.5,
        nesterov=True,
    )
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(copy, Lars) and copy.get_config() == optimizer.get_config()


def _slopes(method):
    """Gives `method` a loss with a known gradient in every variable; returns the gradients."""
    variables = method.step_variables()
    rng = np.random.default_rng(5)
    slopes = [rng.normal(size=v.shape).astype(np.float32) for v in variables]

    def forward(views, adversarial):
        pairs = zip(slopes, variables, strict=True)
        total = tf.add_n([tf.reduce_sum(slope * v.value) for slope, v in pairs])
        return Outputs({"standard_loss": Term(tf.fill(views["labels"].shape, total))})

    method.forward = forward
    return slopes


@pytest.mark.parametrize(
    "decays, strategy",
    [
        pytest.param("all", None, id="one-all"),
        pytest.param("kernels", two_replicas, id="two-kernels"),
        pytest.param("all", two_replicas, id="two-all", marks=pytest.mark.slow),
        pytest.param("kernels", None, id="one-kernels", marks=pytest.mark.slow),
    ],
)
def test_step_decays_once_and_adapts_by_the_gradient_of_the_global_batch(decays, strategy):
    config = CONFIG.replace(weight_decay_on=decays)
    start = [v.numpy() for v in helpers.state(helpers.make_method(config))]
    with strategy().scope() if strategy else contextlib.nullcontext():
        method = helpers.compile_tiny(helpers.make_method(config, weights=start))
    slopes = _slopes(method)
    variables = method.step_variables()
    before = [v.numpy() for v in variables]
    helpers.fit(method, helpers.make_dataset(), eagerly=True)
    for variable, w, slope in zip(variables, before, slopes, strict=True):
        adapts = decays == "all" or w.ndim > 1
        (expected,) = _oracle(w, [slope], adapts=adapts)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=1e-6)


@pytest.fixture
def float64_policy():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def _trained(strategy, start):
    with strategy.scope() if strategy else contextlib.nullcontext():
        method = helpers.compile_tiny(helpers.make_method(CONFIG, weights=start))
    helpers.fit(method, helpers.make_dataset(labels=LABELS), num_steps=3, eagerly=True)
    return [v.numpy() for v in helpers.state(method) + method.optimizer.variables]


@pytest.mark.slow  # A step on two replicas is above.
def test_three_steps_on_two_replicas_equal_those_on_one(float64_policy):
    start = [v.numpy() for v in helpers.state(helpers.make_method(CONFIG))]
    for one, two in zip(_trained(None, start), _trained(two_replicas(), start), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-9)


def test_fine_tuning_keeps_plain_momentum():
    config = CONFIG.replace(nesterov=True)
    optimizer = helpers.compile_tiny(helpers.make_method(config, finetune=True)).optimizer
    assert type(optimizer) is Sgd
    assert not optimizer.nesterov and optimizer.momentum == MOMENTUM


def test_flag_says_where_lars_has_the_rate():
    for place, is_inside in (("inside", True), ("outside", False)):
        method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(lars_rate=place)))
        assert method.optimizer.rate_inside is is_inside


def test_nesterov_reaches_the_optimizer_of_pretraining():
    for name in ("sgd", "lars"):
        config = CONFIG.replace(optimizer=name, nesterov=True)
        assert helpers.compile_tiny(helpers.make_method(config)).optimizer.nesterov
