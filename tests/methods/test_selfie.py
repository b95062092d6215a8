"""Selfie: objective by loops, attack, moves, branches, replicas, what hides where."""

import numpy as np
import pytest

from ascl_tf.methods import factory
from tests.methods import contract, helpers, oracles

CONFIG = helpers.TINY.replace(
    method="selfie", num_attention_layers=1, num_steps_pretext=2, num_patches_masked=5
)


def _oracle(method, images, views, training):
    orders = views["patch_orders"].numpy()
    return oracles.patches(method, images.numpy(), orders, num_masked=5, training=training)


def test_objective_is_half_the_natural_and_half_the_adversarial_loss():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    data = helpers.make_data()
    with contract.unmoved(method):
        views = helpers.views_of(method, data)
        images = method.make_adversarial(views)["images_pretext"]
        clean = _oracle(method, views["images"], views, True).mean()
        perturbed = _oracle(method, images, views, True).mean()
    logs = method.train_step(data)
    assert float(logs["clean_loss"]) == pytest.approx(clean, rel=1e-5)
    assert float(logs["adversarial_loss"]) == pytest.approx(perturbed, rel=1e-5)
    assert float(logs["loss"]) == pytest.approx((clean + perturbed) / 2, rel=1e-5)


@pytest.mark.slow  # DPE's attack contains it.
def test_attack_beats_random_perturbations():
    method = contract.trained_method(CONFIG.replace(num_steps_pretext=6))
    views = helpers.views_of(method, helpers.make_data())
    adversarial = method.make_adversarial(views)["images_pretext"]
    gain = contract.attack_gain(
        lambda images: _oracle(method, images, views, False),
        views["images"],
        adversarial,
        epsilon=8 / 255,
        num_random=6,  # The oracle is slow.
    )
    assert gain > 0


def test_hidden_patches_do_not_reach_the_queries():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    seen = []
    call = method.patch_queries.call
    method.patch_queries.call = lambda features, positions: (
        seen.append((features, positions)) or call(features, positions)
    )
    views = helpers.views_of(method, helpers.make_data())
    method.forward(views, {"images_pretext": views["images"]})
    features, positions = seen[0]
    assert features.shape[:2] == (6, 11) and positions.shape == (6, 5)
    np.testing.assert_array_equal(positions, views["patch_orders"][:, :5])


def test_images_hide_patches_of_their_own_that_change_from_step_to_step():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    first = helpers.views_of(method, helpers.make_data())["patch_orders"].numpy()
    assert len({tuple(row) for row in first}) == 6
    method.train_step(helpers.make_data())
    second = helpers.views_of(method, helpers.make_data())["patch_orders"].numpy()
    assert np.any(first != second)


def test_step_moves_all_but_the_clean_branch():
    everything, moved = contract.moved_variables(CONFIG)
    assert {path.split("/")[0] for path in everything} == {"encoder", "patch_queries"}
    assert moved == everything - contract.of_branch(everything, "clean")


def test_attack_runs_in_inference_mode_and_the_step_in_batch_mode():
    in_attacks, on_tape = contract.passes_of_step(CONFIG)
    assert in_attacks == [("encoder", "adversarial", False), ("patch_queries", None, None)]
    assert on_tape == [("encoder", "adversarial", True), ("patch_queries", None, None)]


def test_attack_moves_no_variable():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    before = helpers.values(method)
    method.make_adversarial(helpers.views_of(method, helpers.make_data()))
    assert not helpers.changed(before, helpers.values(method))


def test_labels_do_not_count():
    logs = []
    for labels in ((0, 1, 0, 2, 1, 1), (-1,) * 6):
        method = helpers.compile_tiny(helpers.make_method(CONFIG))
        logs.append(method.train_step(helpers.make_data(labels)))
    assert {k: float(v) for k, v in logs[0].items()} == {k: float(v) for k, v in logs[1].items()}


@pytest.mark.slow  # No image needs another: test_contract.py has such a method's replicas.
@contract.eagerly_and_in_graph
def test_one_and_two_replicas_agree(in_graph):
    loss, gradient = contract.replica_difference(CONFIG, in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9


def test_images_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="`method=selfie`: .*multiples of 4; found 10 x 10"):
        factory.make_pretrain_method(
            CONFIG.replace(width=1), num_classes=3, image_shape=(10, 10, 3)
        )
