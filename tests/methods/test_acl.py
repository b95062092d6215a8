"""ACL in its three modes: objective, variables, passes, attack, replicas."""

import numpy as np
import pytest

from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import nt_xent_oracle
from tests.methods import contract, helpers

ACL = helpers.TINY.replace(method="acl")
MODES = ("ds", "a2a", "a2s")
EPSILON = 8 / 255


def _config(mode, **changes):
    return ACL.replace(acl_mode=mode, **changes)


def _projections(method, images, branch, *, training):
    return np.float64(method.projections(images, branch=branch, training=training))


def _loss(method, adversarial_views, stacked_views, *, training):
    """The terms of a mode and the loss, as float64 loops over the method's projections."""
    temperature = method.config.temperature
    perturbed = _projections(method, adversarial_views, ADVERSARIAL, training=training)
    if method.config.acl_mode == "a2a":
        loss = nt_xent_oracle(perturbed, temperature).mean()
        return {"adversarial_loss": loss, "loss": loss}
    if method.config.acl_mode == "a2s":
        second = stacked_views[len(stacked_views) // 2 :]
        second = _projections(method, second, CLEAN, training=training)
        loss = nt_xent_oracle(np.concatenate([perturbed, second]), temperature).mean()
        return {"adversarial_loss": loss, "loss": loss}
    clean = _projections(method, stacked_views, CLEAN, training=training)
    clean_loss = nt_xent_oracle(clean, temperature).mean()
    adversarial_loss = nt_xent_oracle(perturbed, temperature).mean()
    loss = (clean_loss + adversarial_loss) / 2
    return {"clean_loss": clean_loss, "adversarial_loss": adversarial_loss, "loss": loss}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batch_norm", ["separate", "shared"])
def test_objective_equals_float64_loops(mode, batch_norm):
    config = _config(mode, temperature=0.3, batch_norm=batch_norm)
    method = helpers.compile_tiny(helpers.make_method(config))
    data = helpers.make_data()
    before = [v.numpy() for v in helpers.state(method)]
    views = helpers.views_of(method, data)
    adversarial_views = method.make_adversarial(views)["views_cl"]
    expected = _loss(method, adversarial_views, views["stacked_views"], training=True)
    for variable, value in zip(helpers.state(method), before, strict=True):
        variable.assign(value)
    logs = method.train_step(data)
    assert set(logs) == set(expected) | {"gradient_norm", "update_norm", "projection_std"}
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value, rel=2e-5), name


def test_labels_change_nothing():
    losses = []
    for labels in [(0, 1, 0, 2, 1, 1), (-1,) * 6]:
        method = helpers.compile_tiny(helpers.make_method(ACL))
        losses.append(float(method.train_step(helpers.make_data(labels))["loss"]))
    assert losses[0] == losses[1] > 0


def test_dual_stream_trains_both_branches_of_encoder_and_head():
    everything, moved = contract.moved_variables(ACL)
    for part in ("encoder", "projection_head"):
        norms = contract.of_part(everything, part)
        assert contract.of_branch(norms, CLEAN) and contract.of_branch(norms, ADVERSARIAL)
    assert moved == everything
    assert {path.partition("/")[0] for path in everything} == {"encoder", "projection_head"}


def test_a2a_leaves_the_clean_branch_alone():
    everything, moved = contract.moved_variables(_config("a2a"))
    assert moved == everything - contract.of_branch(everything, CLEAN)


@pytest.mark.parametrize("mode", ["a2s", "ds"])
@pytest.mark.parametrize("batch_norm", ["separate", "shared"])
def test_other_modes_move_everything(mode, batch_norm):
    config = _config(mode, batch_norm=batch_norm)
    everything, moved = contract.moved_variables(config)
    assert moved == everything
    assert bool(contract.of_branch(everything, CLEAN)) == (batch_norm == "separate")


@pytest.mark.parametrize(
    "mode, in_attack, on_tape",
    [
        ("a2a", [ADVERSARIAL], [ADVERSARIAL]),
        ("a2s", [CLEAN, ADVERSARIAL], [ADVERSARIAL, CLEAN]),
        ("ds", [ADVERSARIAL], [ADVERSARIAL, CLEAN]),
    ],
)
def test_attack_infers_and_step_uses_batch_statistics_of_each_branch(mode, in_attack, on_tape):
    attack_passes, step_passes = contract.passes_of_step(_config(mode))
    parts = ("encoder", "projection_head")
    assert attack_passes == [(part, branch, False) for branch in in_attack for part in parts]
    assert step_passes == [(part, branch, True) for branch in on_tape for part in parts]


@pytest.mark.slow  # test_attacks.py has the like of ASCL.
@pytest.mark.parametrize("mode", [pytest.param("a2s", marks=pytest.mark.slow), "ds"])
def test_attack_raises_its_loss_more_than_random_perturbations(mode):
    method = contract.trained_method(_config(mode, num_steps_cl=5))
    views = helpers.views_of(method, helpers.make_data())
    adversarial_views = method.make_adversarial(views)["views_cl"]
    natural = views["stacked_views"][: len(adversarial_views)]
    assert len(natural) == (6 if mode == "a2s" else 12)

    def adversarial_loss(images):
        terms = _loss(method, images, views["stacked_views"], training=False)
        return terms["adversarial_loss"]

    gain = contract.attack_gain(adversarial_loss, natural, adversarial_views, epsilon=EPSILON)
    assert gain > 0


def test_both_views_are_perturbed_together():
    # With the other view unperturbed, the first one's perturbation would be another.
    method = helpers.make_method(ACL)
    helpers.compile_tiny(method)
    views = helpers.views_of(method, helpers.make_data())
    joint = method.make_adversarial(views)["views_cl"][:6].numpy()
    method.config = ACL.replace(acl_mode="a2s")
    single = method.make_adversarial(views)["views_cl"].numpy()
    assert np.abs(joint - single).max() > 0.01


@pytest.mark.slow  # test_replicas.py has ASCL, which gathers the same.
@pytest.mark.parametrize("mode", [pytest.param("a2s", marks=pytest.mark.slow), "ds"])
@contract.eagerly_and_in_graph
def test_replicas_agree(mode, in_graph):
    loss, gradient = contract.replica_difference(_config(mode), in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9
