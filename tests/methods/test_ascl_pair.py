"""Eq. 8 in place of eq. 9, and ASCL's knobs on two replicas."""

import numpy as np
import pytest

from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import paper_eq8_oracle, supervised_oracle
from tests.methods import contract, helpers, oracles

PAIR, PAIR_CLEAN = "adversarial_pair", "adversarial_pair_clean"
both_denominators = pytest.mark.parametrize("ascl_loss", [PAIR, PAIR_CLEAN])
PARTLY_LABELED = (0, -1, 0, 2, -1, 1)
# The third term alone, beside the classification that is always there.
CONFIG = helpers.TINY.replace(lambda_1=0.0, lambda_2=1.5, num_steps_at=1)


def _method(ascl_loss, **changes):
    return helpers.compile_tiny(helpers.make_method(CONFIG.replace(ascl_loss=ascl_loss, **changes)))


def _pair(method, perturbed, clean, labels):
    """Eq. 8 per perturbed view, by loops."""
    labels, temperature = np.asarray(labels), method.config.temperature
    if method.config.ascl_loss == PAIR:
        return supervised_oracle(perturbed, np.tile(labels, 2), temperature)
    return paper_eq8_oracle(perturbed, clean, labels, temperature)


def _projections(method, images, *, branch, training):
    return np.float64(method.projections(images, branch=branch, training=training))


@both_denominators
def test_objective_equals_the_loops_over_the_perturbed_views(ascl_loss):
    method, data = _method(ascl_loss), helpers.make_data(PARTLY_LABELED)
    views = helpers.views_of(method, data)
    adversarial = method.make_adversarial(views)
    assert set(adversarial) == {"images_at", "views_ascl"}
    before = [v.numpy() for v in helpers.state(method)]
    clean = _projections(method, views["stacked_views"], branch=CLEAN, training=True)
    everything = np.concatenate([adversarial["images_at"], adversarial["views_ascl"]])
    features = method.encoder(everything, branch=ADVERSARIAL, training=True)
    perturbed = np.float64(method.projection_head(features[6:], branch=ADVERSARIAL, training=True))
    logits = method.linear_head(features[:6]).numpy()
    for variable, value in zip(helpers.state(method), before, strict=True):
        variable.assign(value)
    is_labeled = np.tile(np.array(PARTLY_LABELED) >= 0, 2)
    expected = np.mean(_pair(method, perturbed, clean, PARTLY_LABELED)[is_labeled])
    outer = oracles.mean(oracles.cross_entropy(logits, PARTLY_LABELED))
    logs = method.train_step(data)
    assert float(logs["ascl_loss"]) == pytest.approx(expected, rel=2e-5)
    assert float(logs["loss"]) == pytest.approx(outer + 1.5 * expected, rel=2e-5)
    assert expected > 0


@pytest.mark.slow  # test_attacks.py has that of eq. 9.
@pytest.mark.parametrize("ascl_loss", [PAIR, pytest.param(PAIR_CLEAN, marks=pytest.mark.slow)])
def test_attack_raises_the_pair_loss_above_random_perturbations(ascl_loss):
    config = CONFIG.replace(ascl_loss=ascl_loss, num_steps_ascl=6)
    method = contract.trained_method(config)
    views = helpers.views_of(method, helpers.make_data())
    clean = _projections(method, views["stacked_views"], branch=CLEAN, training=False)

    def objective(images):
        perturbed = _projections(method, images, branch=ADVERSARIAL, training=False)
        return _pair(method, perturbed, clean, views["labels"].numpy())

    adversarial = method.make_adversarial(views)["views_ascl"]
    gain = contract.attack_gain(
        objective, views["stacked_views"], adversarial, epsilon=float(config.epsilon)
    )
    assert gain > 0


@pytest.mark.parametrize("source", ["ce", "cl", "ascl"])
def test_every_source_perturbs_both_views_in_ball_and_box(source):
    method = _method(PAIR, attack_source_ascl=source)
    views = helpers.views_of(method, helpers.make_data())
    images = method.make_adversarial(views)["views_ascl"].numpy()
    perturbation = np.abs(images - views["stacked_views"].numpy())
    assert images.shape == (12, 8, 8, 3)
    assert 0.9 * 8 / 255 < perturbation.max() <= 8 / 255 + 1e-6
    assert images.min() >= 0.0 and images.max() <= 1.0


def test_starts_of_the_two_views_are_unrelated():
    method = _method(PAIR, num_steps_ascl=0)
    views = helpers.views_of(method, helpers.make_data())
    noise = method.make_adversarial(views)["views_ascl"] - views["stacked_views"]
    a, b = np.split(noise.numpy(), 2)
    inside = (np.abs(a) > 1e-6) & (np.abs(b) > 1e-6)
    assert abs(np.corrcoef(a[inside], b[inside])[0, 1]) < 0.15


def test_passes_go_through_the_adversarial_branch_and_clean_ones_serve_the_denominator():
    for ascl_loss, clean_modes in ((PAIR, []), (PAIR_CLEAN, [True])):
        _, passes = contract.passes_of_step(CONFIG.replace(ascl_loss=ascl_loss))
        encoder = [(branch, training) for part, branch, training in passes if part == "encoder"]
        assert ("adversarial", True) in encoder
        assert [training for branch, training in encoder if branch == CLEAN] == clean_modes


def test_clean_branch_is_trained_for_the_clean_denominator_only():
    everything, moved = contract.moved_variables(CONFIG.replace(ascl_loss=PAIR))
    assert moved == everything - contract.of_branch(everything, CLEAN)
    everything, moved = contract.moved_variables(CONFIG.replace(ascl_loss=PAIR_CLEAN))
    assert moved == everything


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"cl_mode": "a2s", "ascl_loss": PAIR},
        {"cl_mode": "ds", "ascl_loss": PAIR_CLEAN, "batch_norm": "shared"},
    ],
    ids=lambda changes: "-".join(changes.values()),
)
def test_knobs_on_two_replicas_equal_those_on_one(changes):
    config = helpers.TINY.replace(num_steps_at=0, num_steps_cl=1, num_steps_ascl=1, **changes)
    assert max(contract.replica_difference(config, in_graph=True)) < 1e-5
