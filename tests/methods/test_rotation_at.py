"""Rotation adversarial training: objective, attack, moves, branches, replicas."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import contract, helpers, oracles

CONFIG = helpers.TINY.replace(method="rotation_at", rotation_weight=0.7)
LABELS = (0, 1, -1, 2, 1, 1)


def _logits(method, images, *, training):
    """Logits of classifier and rotation head on arrays, in one pass of the encoder."""
    features = method.encoder(tf.constant(images), branch="adversarial", training=training)
    heads = (method.linear_head, method.rotation_head)
    return [np.float64(head(features).numpy()) for head in heads]


def _losses(method, images, labels, *, training):
    """Cross-entropies of the labeled images, and the mean rotation loss of every image."""
    turned = np.concatenate([np.rot90(images, k, axes=(1, 2)) for k in range(4)])
    logits, turn_logits = _logits(method, turned, training=training)
    at_losses = oracles.cross_entropy(logits[: len(images)], labels)
    rotation_losses = []
    for i in range(len(images)):
        rows = [turn_logits[k * len(images) + i] for k in range(4)]
        rotation_losses.append(np.mean(oracles.cross_entropy(rows, range(4))))
    return at_losses, rotation_losses


def test_objective_is_cross_entropy_plus_weighted_rotation_loss_of_the_turned_images():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    data = helpers.make_data(LABELS)
    with contract.unmoved(method):
        images = method.make_adversarial(helpers.views_of(method, data))["images_at"].numpy()
        at_losses, rotation_losses = _losses(method, images, LABELS, training=True)
    assert (len(at_losses), len(rotation_losses)) == (5, 6)  # One image has no label.
    logs = method.train_step(data)
    assert float(logs["at_loss"]) == pytest.approx(np.mean(at_losses), rel=1e-5)
    assert float(logs["rotation_loss"]) == pytest.approx(np.mean(rotation_losses), rel=1e-5)
    total = np.mean(at_losses) + 0.7 * np.mean(rotation_losses)
    assert float(logs["loss"]) == pytest.approx(total, rel=1e-5)


@pytest.mark.slow  # The objective equals its oracle.
def test_attack_beats_random_perturbations_on_both_losses_together():
    config = CONFIG.replace(num_steps_at=6)
    method = contract.trained_method(config)
    views = helpers.views_of(method, helpers.make_data())
    labels = views["labels"].numpy()

    def objective(images):
        at_losses, rotation_losses = _losses(method, images.numpy(), labels, training=False)
        return np.array(at_losses) + 0.7 * np.array(rotation_losses)

    adversarial = method.make_adversarial(views)["images_at"]
    natural = views["images"]
    assert contract.attack_gain(objective, natural, adversarial, epsilon=8 / 255) > 0


def _attacked(weight):
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(rotation_weight=weight)))
    images = method.make_adversarial(helpers.views_of(method, helpers.make_data()))["images_at"]
    _, rotation_losses = _losses(method, images.numpy(), LABELS, training=False)
    return np.mean(rotation_losses)


def test_heavier_rotation_loss_is_attacked_harder():
    assert _attacked(50.0) > _attacked(0.0) + 1e-3


def test_image_without_label_is_attacked_by_its_rotation_loss_alone():
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(num_steps_at=4)))
    views = helpers.views_of(method, helpers.make_data((-1,) * 6))
    images = method.make_adversarial(views)["images_at"].numpy()
    perturbed = _losses(method, images, [-1] * 6, training=False)[1]
    natural = _losses(method, views["images"].numpy(), [-1] * 6, training=False)[1]
    assert np.mean(perturbed) > np.mean(natural)


def test_step_moves_all_but_the_clean_branch():
    everything, moved = contract.moved_variables(CONFIG)
    assert contract.of_part(everything, "rotation_head")
    assert moved == everything - contract.of_branch(everything, "clean")


def test_attack_runs_in_inference_mode_and_the_step_in_batch_mode():
    in_attacks, on_tape = contract.passes_of_step(CONFIG)
    assert ("encoder", "adversarial", False) in in_attacks
    assert ("encoder", "adversarial", True) in on_tape
    encoder_passes = {p for p in (*in_attacks, *on_tape) if p[0] == "encoder"}
    assert len(encoder_passes) == 2


# Long to trace; supervised methods on replicas are in test_contract.py.
@pytest.mark.slow
def test_one_and_two_replicas_agree():
    loss, gradient = contract.replica_difference(CONFIG, in_graph=True)
    assert loss < 1e-9 and gradient < 1e-9
