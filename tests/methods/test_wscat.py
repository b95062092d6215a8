"""WSCAT: objective, attack, moves, branches, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from tests.losses.contrastive_oracles import supervised_oracle
from tests.methods import contract, helpers, oracles

CONFIG = helpers.TINY.replace(
    method="wscat", wscat_weight=3.0, wscat_contrastive_weight=0.4, temperature=0.3
)
LABELS = (0, 1, -1, 2, 1, -1)


def _pass(method, images, projection, *, training):
    """Logits and unit projections of one pass, float64."""
    features = method.encoder(tf.constant(images), branch="adversarial", training=training)
    rows = np.float64(features) @ np.float64(projection.kernel) + np.float64(projection.bias)
    logits = np.float64(method.linear_head(features))
    return logits, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _bracket(method, natural, images, *, training):
    """KL of each image, and the contrastive loss of each natural and each perturbed row."""
    logits, rows = _pass(method, natural, method.natural_projection, training=training)
    perturbed_logits, perturbed = _pass(
        method, images, method.adversarial_projection, training=training
    )
    classes = list(np.argmax(logits, axis=1)) * 2
    losses = supervised_oracle(
        np.concatenate([rows, perturbed]), classes, method.config.temperature
    )
    return np.array(oracles.divergence(logits, perturbed_logits)), np.array(losses), logits


def _smoothed(logits, label):
    """Cross-entropy against 0.9 at the label and 0.1 spread over all classes."""
    target = np.full(len(logits), 0.1 / len(logits))
    target[label] += 0.9
    return -np.sum(target * np.log(oracles.softmax(logits)))


def test_objective_is_smoothed_cross_entropy_plus_weighted_divergence_and_contrast():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    data = helpers.make_data(LABELS)
    views = helpers.views_of(method, data)
    with contract.unmoved(method):
        images = method.make_adversarial(views)["images_at"].numpy()
        natural = views["images"].numpy()
        divergences, contrasts, logits = _bracket(method, natural, images, training=True)
    smoothed = [
        _smoothed(row, label) for row, label in zip(logits, LABELS, strict=True) if label >= 0
    ]
    logs = method.train_step(data)
    assert float(logs["standard_loss"]) == pytest.approx(np.mean(smoothed), rel=1e-5)
    assert float(logs["kl_loss"]) == pytest.approx(np.mean(divergences), rel=1e-4)
    assert float(logs["contrastive_loss"]) == pytest.approx(np.mean(contrasts), rel=1e-4)
    total = np.mean(smoothed) + 3.0 * (np.mean(divergences) + 0.4 * np.mean(contrasts))
    assert float(logs["loss"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.slow  # The objective equals its oracle.
def test_attack_beats_random_perturbations_on_divergence_and_contrast_together():
    method = contract.trained_method(CONFIG.replace(num_steps_at=6))
    views = helpers.views_of(method, helpers.make_data())
    natural = views["images"].numpy()

    def objective(images):
        divergences, contrasts, _ = _bracket(method, natural, images.numpy(), training=False)
        return divergences + 0.4 * (contrasts[: len(natural)] + contrasts[len(natural) :]) / 2

    adversarial = method.make_adversarial(views)["images_at"]
    assert contract.attack_gain(objective, views["images"], adversarial, epsilon=8 / 255) > 0


def _contrast_after_attack(weight):
    config = CONFIG.replace(wscat_contrastive_weight=weight, num_steps_at=4)
    method = helpers.compile_tiny(helpers.make_method(config))
    views = helpers.views_of(method, helpers.make_data())
    images = method.make_adversarial(views)["images_at"].numpy()
    return _bracket(method, views["images"].numpy(), images, training=False)[1].mean()


@pytest.mark.slow  # The objective equals its oracle.
def test_heavier_contrast_is_attacked_harder():
    assert _contrast_after_attack(100.0) > _contrast_after_attack(0.0) + 1e-3


def test_labels_do_not_change_the_attack():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    found = [
        method.make_adversarial(helpers.views_of(method, helpers.make_data(labels)))["images_at"]
        for labels in (LABELS, (-1,) * 6)
    ]
    np.testing.assert_array_equal(*found)


def test_step_moves_all_but_the_clean_branch():
    everything, moved = contract.moved_variables(CONFIG)
    for part in ("natural_projection", "adversarial_projection"):
        assert contract.of_part(everything, part)
    assert moved == everything - contract.of_branch(everything, "clean")


def test_attack_runs_in_inference_mode_and_the_step_in_batch_mode():
    in_attacks, on_tape = contract.passes_of_step(CONFIG)
    assert {p for p in in_attacks if p[0] == "encoder"} == {("encoder", "adversarial", False)}
    assert {p for p in on_tape if p[0] == "encoder"} == {("encoder", "adversarial", True)}


# Long to trace; contrastive terms and their attacks on replicas are in test_replicas.py.
@pytest.mark.slow
def test_one_and_two_replicas_agree():
    loss, gradient = contract.replica_difference(CONFIG, in_graph=True)
    assert loss < 1e-9 and gradient < 1e-9
