"""RoCL: objective, instance-wise attack, stop-gradient, what a step moves, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses.gather import global_mean
from tests.losses.contrastive_oracles import nt_xent_oracle
from tests.methods import contract, helpers

CONFIG = helpers.TINY.replace(method="rocl", rocl_lambda=0.3, temperature=0.4)
EPSILON = float(CONFIG.epsilon)
ENCODER_AND_HEAD = ["encoder", "projection_head"]


def _three_way(rows, temperature):
    """Mean over the 3N anchors of the sum over their two positives."""
    num_images, total = len(rows) // 3, 0.0
    for i, anchor in enumerate(rows):
        others = [a for a in range(len(rows)) if a != i]
        below = sum(np.exp(np.dot(anchor, rows[a]) / temperature) for a in others)
        for a in others:
            if a % num_images == i % num_images:
                total -= np.dot(anchor, rows[a]) / temperature - np.log(below)
    return total / len(rows)


def _first_step(config):
    """Returns the projections of v1, v2 and v1 + d in one batch, and the step's logs."""
    method = helpers.compile_tiny(helpers.make_method(config))
    data = helpers.make_data()
    with contract.unmoved(method):
        views = helpers.views_of(method, data)
        perturbed = method.make_adversarial(views)["views_cl"]
        images = tf.concat([views["stacked_views"], perturbed], axis=0)
        rows = method.projections(images, branch="adversarial", training=True).numpy()
    return np.float64(rows), {k: float(v) for k, v in method.train_step(data).items()}


def test_objective_is_the_three_way_term_and_lambda_times_the_pair():
    rows, logs = _first_step(CONFIG)
    three_way = _three_way(rows, 0.4)
    pair = nt_xent_oracle(np.concatenate([rows[12:], rows[6:12]]), 0.4).mean()
    assert logs["contrastive_loss"] == pytest.approx(three_way, rel=2e-5)
    assert logs["adversarial_loss"] == pytest.approx(pair, rel=2e-5)
    assert logs["loss"] == pytest.approx(three_way + 0.3 * pair, rel=2e-5)


def test_lambda_zero_leaves_the_pair_out():
    rows, logs = _first_step(CONFIG.replace(rocl_lambda=0.0))
    assert "adversarial_loss" not in logs
    assert logs["loss"] == pytest.approx(_three_way(rows, 0.4), rel=2e-5)


def _gradient_of_projections(method, views, adversarial):
    """Returns the gradient of the objective with respect to the rows of the one pass."""
    passes, projections = [], method.projections

    def keep(images, **settings):
        passes.append(projections(images, **settings))
        return passes[-1]

    method.projections = keep
    with tf.GradientTape() as tape:
        outputs = method.forward(views, adversarial)
        loss = sum(t.weight * global_mean(t.per_row) for t in outputs.terms.values())
    (rows,) = passes
    return rows.numpy().astype(np.float64), tape.gradient(loss, rows).numpy()


def _pull_and_push(rows, anchor, others, positives):
    """Gradient of an anchor's loss with respect to the anchor, all other rows constant."""
    weights = np.exp([np.dot(rows[anchor], rows[a]) / 0.4 for a in others])
    push = np.dot(weights / weights.sum(), rows[others])
    return sum(push - rows[p] for p in positives) / 0.4


def test_no_gradient_flows_through_the_rows_that_an_anchor_meets():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    views = helpers.views_of(method, helpers.make_data())
    rows, gradient = _gradient_of_projections(method, views, method.make_adversarial(views))
    want, everyone, pair = np.zeros_like(rows), range(18), range(6, 18)
    for i in everyone:
        others = [a for a in everyone if a != i]
        positives = [a for a in others if a % 6 == i % 6]
        want[i] = _pull_and_push(rows, i, others, positives) / 18
    for i in pair:
        others = [a for a in pair if a != i]
        positives = [a for a in others if a % 6 == i % 6]
        want[i] += 0.3 * _pull_and_push(rows, i, others, positives) / 12
    np.testing.assert_allclose(gradient, want, rtol=0, atol=2e-6)
    assert np.abs(want).max() > 0.05


@pytest.mark.slow  # The objective equals its oracle.
def test_attack_raises_the_pairs_loss_above_random_perturbations():
    method = contract.trained_method(CONFIG.replace(num_steps_cl=10))
    views = helpers.views_of(method, helpers.make_data())
    first, second = tf.split(views["stacked_views"], 2)

    def project(images):
        return method.projections(images, branch="adversarial", training=False).numpy()

    def objective(images):
        return nt_xent_oracle(np.concatenate([project(images), project(second)]), 0.4)

    adversarial = method.make_adversarial(views)["views_cl"]
    gain = contract.attack_gain(objective, first, adversarial, epsilon=EPSILON)
    assert gain > 0.01


def test_attack_perturbs_the_first_view_by_up_to_epsilon():
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(num_steps_cl=4)))
    views = helpers.views_of(method, helpers.make_data())
    perturbation = method.make_adversarial(views)["views_cl"] - views["stacked_views"][:6]
    assert 0.9 * EPSILON < np.abs(perturbation).max() <= EPSILON + 1e-6


def test_attack_sees_no_label_and_only_the_second_view():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    views = helpers.views_of(method, helpers.make_data())
    assert set(views) == {"stacked_views", "seed_cl"}
    first, second = tf.split(views["stacked_views"], 2)
    other = {**views, "stacked_views": tf.concat([first, second[::-1]], axis=0)}
    attacks = [method.make_adversarial(v)["views_cl"].numpy() for v in (views, views, other)]
    np.testing.assert_array_equal(attacks[0], attacks[1])
    assert np.any(attacks[0] != attacks[2])


@pytest.mark.parametrize("batch_norm", ["separate", "shared"])
def test_step_moves_the_one_set_of_statistics_that_is_used(batch_norm):
    everything, moved = contract.moved_variables(CONFIG.replace(batch_norm=batch_norm))
    assert moved == everything - contract.of_branch(everything, "clean")
    assert {path.split("/")[0] for path in everything} == set(ENCODER_AND_HEAD)


def test_attack_runs_in_inference_mode_and_the_step_in_one_pass_of_batch_mode():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    passes = contract.record_passes(method)
    views = helpers.views_of(method, helpers.make_data())
    adversarial = method.make_adversarial(views)
    assert set(passes) == {(part, "adversarial", False) for part in ENCODER_AND_HEAD}
    passes.clear()
    method.forward(views, adversarial)
    assert passes == [(part, "adversarial", True) for part in ENCODER_AND_HEAD]


@pytest.mark.slow  # The replicas of ACL gather in an attack and in the loss, too.
@contract.eagerly_and_in_graph
def test_one_and_two_replicas_agree(in_graph):
    loss, gradient = contract.replica_difference(CONFIG, in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9
