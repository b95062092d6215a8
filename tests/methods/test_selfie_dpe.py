"""Selfie with rotation, jigsaw and the diversity penalty."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.methods import base, factory
from tests.methods import contract, helpers, oracles

CONFIG = helpers.TINY.replace(
    method="selfie_dpe", num_attention_layers=1, num_steps_pretext=1, dpe_weight=0.3
)
ENCODERS = ("encoder", "encoder_rotation", "encoder_jigsaw")


def _compiled(**changes):
    return helpers.compile_tiny(helpers.make_method(CONFIG.replace(**changes)))


def _task_losses(method, stacked, views, training):
    """The three losses of each image by loops, from logits of one encoder after the other."""
    images, turned, shuffled = np.split(np.asarray(stacked), 3)
    settings = {"branch": "adversarial", "training": training}
    turn_logits = method.rotation_head(method.encoder_rotation(turned, **settings)).numpy()
    order_logits = method.jigsaw_head(method.encoder_jigsaw(shuffled, **settings)).numpy()
    orders = views["patch_orders"].numpy()
    return [
        oracles.patches(method, images, orders, num_masked=4, training=training),
        np.array(oracles.cross_entropy(turn_logits, views["turns"].numpy())),
        np.array(oracles.cross_entropy(order_logits, views["jigsaw_classes"].numpy())),
    ]


def _log_determinants(method, stacked, views, training):
    """NumPy's log-determinants, from the gradient of each task by itself."""
    images = [tf.constant(part) for part in np.split(np.asarray(stacked), 3)]
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(images)
        losses = method._task_losses(images, views, training=training)
        means = [tf.reduce_mean(loss) for loss in losses]
    gradients = [
        np.float64(tape.gradient(mean, part)).reshape(len(part), -1)
        for mean, part in zip(means, images, strict=True)
    ]
    values = []
    for rows in zip(*gradients, strict=True):
        units = np.array([row / np.linalg.norm(row) for row in rows])
        values.append(np.linalg.slogdet(units @ units.T + 1e-5 * np.eye(3))[1])
    return np.array(values)


def test_objective_is_the_mean_of_six_losses_and_the_weighted_log_determinant():
    method, data = _compiled(), helpers.make_data()
    with contract.unmoved(method):
        views = helpers.views_of(method, data)
        perturbed = method.make_adversarial(views)["views_pretext"]
        clean_losses = _task_losses(method, views["stacked_views"], views, True)
        perturbed_losses = _task_losses(method, perturbed, views, True)
        penalty = _log_determinants(method, perturbed, views, True).mean()
    logs = method.train_step(data)
    for name, *losses in zip(method.term_names, clean_losses, perturbed_losses, strict=False):
        assert float(logs[name]) == pytest.approx(np.mean(losses), rel=2e-5), name
    assert float(logs["log_determinant"]) == pytest.approx(penalty, rel=1e-3)
    total = np.mean([*clean_losses, *perturbed_losses]) + 0.3 * penalty
    assert float(logs["loss"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.slow  # test_selfie.py has it, and its derivative is checked below.
def test_attack_beats_random_perturbations():
    method = _compiled()
    method.train_step(helpers.make_data((0, 1)))
    helpers.fit_statistics(method)
    method.config = CONFIG.replace(num_steps_pretext=4)
    views = helpers.views_of(method, helpers.make_data((0, 1)))

    def objective(stacked):
        losses = sum(_task_losses(method, stacked, views, False))
        return losses + 0.3 * _log_determinants(method, stacked, views, False)

    adversarial = method.make_adversarial(views)["views_pretext"]
    natural = views["stacked_views"]
    # Few random ones: the oracle is slow.
    gain = contract.attack_gain(objective, natural, adversarial, epsilon=8 / 255, num_random=3)
    assert gain > 0


def _attacked_determinant(weight):
    method = _compiled(dpe_weight=weight, num_steps_pretext=4)
    views = helpers.views_of(method, helpers.make_data((0, 1)))
    perturbed = method.make_adversarial(views)["views_pretext"]
    return _log_determinants(method, perturbed, views, False).mean()


@pytest.mark.slow  # Its derivative equals the oracle below.
def test_attack_raises_the_log_determinant_or_lowers_it_by_the_sign_of_its_weight():
    assert _attacked_determinant(1e4) > _attacked_determinant(-1e4) + 1e-3


@pytest.mark.slow  # The objective equals its oracle below.
def test_training_follows_the_log_determinant_by_the_sign_of_its_weight():
    after = {}
    for weight in (100.0, -100.0):
        method = _compiled(dpe_weight=weight, num_steps_pretext=0)
        compiled = helpers.compile_tiny(method, learning_rate=1e-4)
        views = helpers.views_of(method, helpers.make_data())
        compiled.train_step(helpers.make_data())
        after[weight] = _log_determinants(method, views["stacked_views"], views, True).mean()
    assert after[-100.0] > after[100.0]


@pytest.fixture
def float64_policy():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def test_derivative_of_the_attack_is_that_of_losses_and_log_determinant(
    monkeypatch, float64_policy
):
    objectives = []
    monkeypatch.setattr(base, "linf_pgd", lambda objective, *_, **__: objectives.append(objective))
    method = _compiled()
    views = helpers.views_of(method, helpers.make_data())
    method.make_adversarial(views)
    images, objective = views["stacked_views"], objectives[0]
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(objective(images))
    direction = np.random.default_rng(0).normal(size=images.shape)
    slope = np.sum(tape.gradient(total, images).numpy() * direction)
    sides = [tf.reduce_sum(objective(images + step * direction)) for step in (1e-7, -1e-7)]
    assert slope == pytest.approx(float(sides[0] - sides[1]) / 2e-7, rel=1e-4)


def test_weight_zero_computes_no_log_determinant():
    method = _compiled(dpe_weight=0.0)
    assert method.term_names == ("selfie_loss", "rotation_loss", "jigsaw_loss")
    logs = method.train_step(helpers.make_data())
    assert "log_determinant" not in logs and np.isfinite(float(logs["loss"]))


def test_versions_of_an_image_fit_their_labels():
    method = _compiled(weak_augmentation="none")
    data = helpers.make_data()
    views = helpers.views_of(method, data)
    images = data["images"].numpy() / np.float32(255)
    plain, turned, shuffled = np.split(views["stacked_views"].numpy(), 3)
    np.testing.assert_array_equal(plain, images)
    for i in range(6):
        quarters = int(views["turns"][i])
        np.testing.assert_array_equal(turned[i], np.rot90(images[i], quarters))
        order = method.jigsaw_table[int(views["jigsaw_classes"][i])]
        for place, source in enumerate(order):
            y, x, v, u = (2 * n for n in (*divmod(place, 4), *divmod(int(source), 4)))
            np.testing.assert_array_equal(
                shuffled[i, y : y + 2, x : x + 2], images[i, v : v + 2, u : u + 2]
            )


def test_starts_of_the_three_attacks_are_unrelated():
    method = _compiled(num_steps_pretext=0)
    views = helpers.views_of(method, helpers.make_data())
    start = method.make_adversarial(views)["views_pretext"]
    noise = np.split((start - views["stacked_views"]).numpy(), 3)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        inside = (np.abs(noise[a]) > 1e-6) & (np.abs(noise[b]) > 1e-6)
        assert abs(np.corrcoef(noise[a][inside], noise[b][inside])[0, 1]) < 0.15


@pytest.mark.slow  # Builds three networks.
def test_encoders_begin_with_weights_of_their_own():
    config = CONFIG.replace(width=1, num_attention_layers=1)
    method = factory.make_pretrain_method(config, num_classes=3, image_shape=(8, 8, 3))
    assert [method.parts[name].name for name in ENCODERS] == list(ENCODERS)
    kernels = [method.parts[name].stem_conv.kernel.numpy() for name in ENCODERS]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.any(kernels[a] != kernels[b])


def test_step_moves_all_but_the_clean_branch():
    # Eagerly: the comparison of replicas goes through `fit`, and that is slow to trace.
    everything, moved = contract.moved_variables(CONFIG)
    heads = {"patch_queries", "rotation_head", "jigsaw_head"}
    assert {path.split("/")[0] for path in everything} == heads | set(ENCODERS)
    assert moved == everything - contract.of_branch(everything, "clean")


def test_attack_runs_in_inference_mode_and_the_step_in_batch_mode():
    in_attacks, on_tape = contract.passes_of_step(CONFIG)
    assert {p for p in in_attacks if p[1]} == {(name, "adversarial", False) for name in ENCODERS}
    assert {p for p in on_tape if p[1]} == {(name, "adversarial", True) for name in ENCODERS}


def test_attack_moves_no_variable():
    method = _compiled()
    before = helpers.values(method)
    method.make_adversarial(helpers.views_of(method, helpers.make_data()))
    assert not helpers.changed(before, helpers.values(method))


# Long to trace; Selfie on replicas is in test_selfie.py.
@pytest.mark.slow
def test_one_and_two_replicas_agree():
    loss, gradient = contract.replica_difference(CONFIG, in_graph=True)
    assert loss < 1e-9 and gradient < 1e-7  # The log-determinant's ridge magnifies rounding.
