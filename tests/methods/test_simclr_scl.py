"""SimCLR and SCL: objectives, what a step moves, branches, labels, replicas."""

import numpy as np
import pytest

from tests.losses.contrastive_oracles import nt_xent_oracle, supervised_oracle
from tests.methods import contract, helpers

SIMCLR = helpers.TINY.replace(method="simclr", temperature=0.4)
SCL = SIMCLR.replace(method="scl")
BOTH = pytest.mark.parametrize("config", [SIMCLR, SCL], ids=["simclr", "scl"])
LABELS, PARTLY_LABELED = (0, 1, 0, 2, 1, 1), (0, -1, 0, 2, -1, 1)


def _first_step(config, labels):
    """Returns the projections of the two views in batch mode, and the step's logs."""
    method = helpers.compile_tiny(helpers.make_method(config))
    data = helpers.make_data(labels)
    with contract.unmoved(method):
        images = helpers.views_of(method, data)["stacked_views"]
        rows = method.projections(images, branch="adversarial", training=True).numpy()
    return np.float64(rows), method.train_step(data)


def test_simclr_is_the_mean_of_nt_xent_over_both_views():
    rows, logs = _first_step(SIMCLR, LABELS)
    want = nt_xent_oracle(rows, 0.4).mean()
    assert float(logs["loss"]) == pytest.approx(want, rel=2e-5)
    assert float(logs["contrastive_loss"]) == pytest.approx(want, rel=2e-5)


@pytest.mark.parametrize("labels", [LABELS, PARTLY_LABELED])
def test_scl_is_the_mean_of_the_supervised_loss_over_labeled_views(labels):
    rows, logs = _first_step(SCL, labels)
    both = np.tile(labels, 2)
    want = supervised_oracle(rows, both, 0.4)[both >= 0].mean()
    assert float(logs["loss"]) == pytest.approx(want, rel=2e-5)


def test_scl_on_a_batch_without_labels_is_zero_and_finite():
    _, logs = _first_step(SCL, (-1,) * 6)
    assert float(logs["loss"]) == 0.0
    assert all(np.isfinite(float(value)) for value in logs.values())


def test_simclr_sees_no_label():
    first, second = [_first_step(SIMCLR, labels)[1] for labels in (LABELS, (-1,) * 6)]
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}


@BOTH
def test_step_moves_all_but_the_clean_branch(config):
    everything, moved = contract.moved_variables(config)
    assert len(contract.of_branch(everything, "clean")) == 8
    assert moved == everything - contract.of_branch(everything, "clean")
    # No classifier on the labels is trained along.
    assert {path.split("/")[0] for path in everything} == {"encoder", "projection_head"}


@BOTH
def test_one_set_of_statistics_moves_as_a_whole(config):
    everything, moved = contract.moved_variables(config.replace(batch_norm="shared"))
    assert moved == everything


@BOTH
def test_both_views_go_through_the_adversarial_branch_in_batch_mode(config):
    in_attacks, on_tape = contract.passes_of_step(config)
    assert in_attacks == []
    assert on_tape == [("encoder", "adversarial", True), ("projection_head", "adversarial", True)]


# Of the two, SCL gathers the labels besides.
@pytest.mark.slow  # test_replicas.py has ASCL, which gathers the same.
@pytest.mark.parametrize(
    "config",
    [pytest.param(SIMCLR, id="simclr", marks=pytest.mark.slow), pytest.param(SCL, id="scl")],
)
@contract.eagerly_and_in_graph
def test_one_and_two_replicas_agree(config, in_graph):
    loss, gradient = contract.replica_difference(config, in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9


def test_views_are_cropped_from_the_area_of_the_settings():
    data = helpers.make_data()

    def views(**changes):
        method = helpers.compile_tiny(helpers.make_method(SIMCLR.replace(**changes)))
        return helpers.views_of(method, data)["stacked_views"].numpy()

    default = views()
    assert default.shape == (12, *helpers.IMAGE_SHAPE)
    assert np.abs(default[:6] - default[6:]).max() > 0.1
    np.testing.assert_array_equal(default, views(min_crop_area=0.2))
    assert np.abs(default - views(min_crop_area=0.9)).max() > 0.1
