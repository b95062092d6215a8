"""Adversarial weight perturbation: closed form, a second implementation, what it leaves alone."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.losses.gather import global_mean
from ascl_tf.methods.step_data import Outputs, Term
from ascl_tf.methods.weight_perturbation import perturbed_weights
from tests.common import two_replicas
from tests.methods import contract, helpers, oracles

GAMMA, RATE, DECAY = 0.25, 0.5, 0.125
CONFIG = helpers.TINY.replace(
    method="at", awp_gamma=GAMMA, learning_rate=RATE, momentum=0.0, weight_decay=DECAY
)


def test_kernels_move_by_a_share_of_their_norm_along_the_gradient():
    kernel, gradient = np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([[0.0, 6.0], [-8.0, 0.0]])
    vector = np.array([1.0, 2.0])
    moved = perturbed_weights(
        [tf.constant(w) for w in (kernel, kernel, kernel, vector)],
        [tf.constant(gradient), tf.zeros_like(gradient), None, tf.constant(vector)],
        0.5,
    )
    # ||w|| = 5, g / ||g|| = (0, 0.6; -0.8, 0).
    np.testing.assert_allclose(moved[0], [[3.0, 1.5], [-2.0, 4.0]], rtol=1e-12)
    for have, want in zip(moved[1:], (kernel, kernel, vector), strict=True):
        np.testing.assert_array_equal(have, want)


def _quadratic(method):
    """Gives `method` the loss sum_k c_k ||w_k||^2 / 2, whose gradient is c_k w_k."""
    variables = method.step_variables()
    curvatures = [0.5 + k for k in range(len(variables))]

    def forward(views, adversarial):
        pairs = zip(curvatures, variables, strict=True)
        total = tf.add_n([c / 2 * tf.reduce_sum(v.value**2) for c, v in pairs])
        return Outputs({"at_loss": Term(tf.fill(views["labels"].shape, total))})

    method.forward = forward
    return variables, curvatures


@pytest.mark.parametrize("strategy", [None, two_replicas], ids=["one", "two"])
def test_step_on_a_quadratic_loss_has_the_closed_form(strategy):
    start = [v.numpy() for v in helpers.state(helpers.make_method(CONFIG))]
    with strategy().scope() if strategy else contextlib.nullcontext():
        method = helpers.compile_tiny(helpers.make_method(CONFIG, weights=start))
    variables, curvatures = _quadratic(method)
    before = [v.numpy() for v in variables]
    helpers.fit(method, helpers.make_dataset(), eagerly=True)
    for variable, w, c in zip(variables, before, curvatures, strict=True):
        # Along c w the kernel is w (1 + gamma) where the gradient is taken; the decay pulls at w.
        share = 1 + GAMMA if w.ndim > 1 else 1
        expected = w - RATE * (c * share * w + DECAY * w)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=0, atol=1e-6)


def _float64(variables):
    return [np.float64(v.numpy()) for v in variables]


def _linear_gradients(images, labels, encoder, kernel, bias):
    """Cross-entropy's mean gradients by the matrices of images -> features -> logits, by hand."""
    features = images @ encoder
    slopes = np.stack([oracles.softmax(row) for row in features @ kernel + bias])
    slopes[np.arange(len(labels)), labels] -= 1
    slopes /= len(labels)
    return images.T @ (slopes @ kernel.T), features.T @ slopes, slopes.sum(axis=0)


def test_step_of_at_on_a_linear_network_equals_numpy():
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(weak_augmentation="none")))
    matrix = method.encoder.conv.kernel  # Its 9 * 3 rows serve as a matrix of 27 pixels.

    def logits(images, *, branch, training):
        pixels = tf.reshape(images, [-1, 8 * 8 * 3])[:, :27]
        return method.linear_head(pixels @ tf.reshape(matrix.value, [27, 4]))

    method.logits = logits
    method.step_variables = lambda: [matrix, *method.linear_head.trainable_variables]
    data = helpers.make_data()
    images = method.make_adversarial(helpers.views_of(method, data))["images_at"]
    pixels, labels = np.float64(images).reshape(6, -1)[:, :27], data["labels"].numpy()
    before = _float64(method.step_variables())
    weights = [before[0].reshape(27, 4), *before[1:]]
    slopes = _linear_gradients(pixels, labels, *weights)
    moved = [
        w + GAMMA * np.linalg.norm(w) * g / np.linalg.norm(g) if w.ndim > 1 else w
        for w, g in zip(weights, slopes, strict=True)
    ]
    slopes = _linear_gradients(pixels, labels, *moved)
    method.train_step(data)
    for variable, w, g in zip(method.step_variables(), weights, slopes, strict=True):
        expected = w - RATE * (g + DECAY * w)
        np.testing.assert_allclose(variable.numpy().reshape(w.shape), expected, rtol=0, atol=1e-5)


def _by_assignment(config, start, data):
    """The same step on a copy whose weights are moved by assignment: returns its state after."""
    method = helpers.compile_tiny(helpers.make_method(config, weights=start))
    views = helpers.views_of(method, data)
    adversarial = method.make_adversarial(views)
    variables = method.step_variables()
    before = [v.numpy() for v in variables]
    for variable, w, g in zip(variables, before, _slopes(method, views, adversarial), strict=True):
        if w.ndim > 1:
            variable.assign(w + config.awp_gamma * np.linalg.norm(w) * g / np.linalg.norm(g))
    statistics = [v for v in helpers.state(method) if "moving" in v.path]
    at_start = dict(zip([v.path for v in helpers.state(method)], start, strict=True))
    for variable in statistics:
        variable.assign(at_start[variable.path])
    slopes = _slopes(method, views, adversarial)
    for variable, w, g in zip(variables, before, slopes, strict=True):
        variable.assign(w - RATE * (g + DECAY * w))
    return helpers.values(method)


def _slopes(method, views, adversarial):
    with tf.GradientTape() as tape:
        terms = method.forward(views, adversarial).terms.values()
        loss = sum(t.weight * global_mean(t.per_row, t.mask) for t in terms)
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in method.step_variables()])]


@pytest.mark.parametrize("name", ["standard", "at", "trades", "mart", "ascl"])
def test_step_equals_that_of_a_copy_with_moved_weights(name):
    config = CONFIG.replace(method=name, awp_gamma=0.1)
    start = [v.numpy() for v in helpers.state(helpers.make_method(config))]
    data = helpers.make_data()
    method = helpers.compile_tiny(helpers.make_method(config, weights=start))
    method.train_step(data)
    expected = _by_assignment(config, start, data)
    for (path, have), want in zip(helpers.values(method).items(), expected.values(), strict=True):
        np.testing.assert_allclose(have, want, rtol=0, atol=2e-5, err_msg=path)


@pytest.mark.slow  # Of a quadratic loss above.
def test_step_on_two_replicas_equals_that_on_one():
    config = CONFIG.replace(method="trades")
    assert max(contract.replica_difference(config, in_graph=True)) < 1e-9


def test_perturbed_weights_raise_the_loss_more_than_random_ones():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    views = helpers.views_of(method, helpers.make_data())
    adversarial = method.make_adversarial(views)
    variables = [v for v in method.step_variables() if v.value.shape.rank > 1]
    before, values = [v.numpy() for v in variables], [v.value for v in variables]

    def loss_along(directions):
        for variable, w, d in zip(variables, before, directions, strict=True):
            variable.assign(w + 0.02 * np.linalg.norm(w) * d / np.linalg.norm(d))
        return float(method.differentiate(views, adversarial, values)[1]["loss"])

    worst = [g.numpy() for g in method.differentiate(views, adversarial, values)[2]]
    rng = np.random.default_rng(0)
    random = [loss_along([rng.normal(size=w.shape) for w in before]) for _ in range(20)]
    assert loss_along(worst) > max(random)


def _states(config, *, num_steps):
    """Returns the bits of every variable after each step; an epoch has two."""
    method = helpers.make_method(config)
    method.steps_per_epoch = 2
    helpers.compile_tiny(method)
    states = []
    for seed in range(num_steps):
        method.train_step(helpers.make_data(seed=seed))
        states.append([v.numpy().tobytes() for v in helpers.state(method)])
    return states


def test_weights_are_perturbed_from_the_epoch_after_the_warm_up():
    plain = _states(CONFIG.replace(awp_gamma=0.0), num_steps=3)
    warmed_up = _states(CONFIG.replace(awp_warmup_epochs=1), num_steps=3)
    assert warmed_up[:2] == plain[:2]
    assert warmed_up[2] != plain[2]


def test_step_moves_the_same_variables_as_without():
    plain = contract.moved_variables(CONFIG.replace(awp_gamma=0.0))
    assert contract.moved_variables(CONFIG) == plain


def test_fine_tuning_perturbs_no_weights():
    config = CONFIG.replace(finetune="faf")
    method = helpers.compile_tiny(helpers.make_method(config, finetune=True))
    assert not method.optimization.perturbs_weights
    passes = contract.record_passes(method)
    method.train_step(helpers.make_data())
    # TRADES' two, of natural and of adversarial images.
    assert passes.count(("encoder", "adversarial", True)) == 2


def test_variable_that_the_loss_does_not_reach_is_named():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    method.forward = lambda views, adversarial: Outputs(
        {"at_loss": Term(method.encoder(views["images"], training=True)[:, 0])}
    )
    with pytest.raises(ValueError, match=r"does not depend on: .*linear_head/dense/kernel"):
        method.train_step(helpers.make_data())


@pytest.mark.parametrize("method", ["simclr", "scl", "dynacl_pp"])
def test_method_without_classifier_is_refused(method):
    expected = r"^`awp_gamma=0.25`: expected `method=ascl, .* or wscat`; found `method=simclr`"
    with pytest.raises(ConfigError, match=expected.replace("simclr", method)):
        CONFIG.replace(method=method)
