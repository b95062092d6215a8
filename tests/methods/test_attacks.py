"""The attacks inside a step: what they raise, where they stay, and what they depend on."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.methods import base
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import ascl_oracle, nt_xent_oracle
from tests.methods import helpers, oracles

EPSILON = 8 / 255
# Every attack from every source; none knows the source of another.
SOURCES = [
    [cfg.ATTACK_SOURCES[(first + i) % len(cfg.ATTACK_SOURCES)] for i in range(3)]
    for first in range(len(cfg.ATTACK_SOURCES))
]


@pytest.fixture(scope="module")
def ascl():
    """One method for many configs: attack sources and steps change no variable of it."""
    return helpers.compile_tiny(helpers.make_method())


@pytest.fixture(scope="module")
def views(ascl):
    return helpers.views_of(ascl, helpers.make_data())


def _attack(method, views, **changes):
    method.config = helpers.TINY.replace(**changes)
    return method.make_adversarial(views)


def _natural(views, name, num_images):
    return views["stacked_views" if name == "views_cl" else "images"][:num_images]


def _check_ball_and_box(views, adversarial):
    for name, images in adversarial.items():
        images = images.numpy()
        perturbation = images - _natural(views, name, len(images)).numpy()
        # More than the start alone: some pixels stand on the border of the ball.
        assert 0.9 * EPSILON < np.abs(perturbation).max() <= EPSILON + 1e-6
        assert images.min() >= 0.0 and images.max() <= 1.0


@pytest.mark.parametrize("at, cl, ascl_source", SOURCES)
def test_every_source_stays_in_ball_and_box(ascl, views, at, cl, ascl_source):
    sources = {"attack_source_at": at, "attack_source_cl": cl, "attack_source_ascl": ascl_source}
    adversarial = _attack(ascl, views, **sources)
    assert set(adversarial) == {"images_at", "views_cl", "images_ascl"}
    assert [len(a) for a in adversarial.values()] == [6, 12, 6]
    _check_ball_and_box(views, adversarial)


@pytest.mark.parametrize("source", cfg.ATTACK_SOURCES)
def test_one_perturbed_view_under_a2s(ascl, views, source):
    adversarial = _attack(ascl, views, cl_mode="a2s", attack_source_cl=source)
    assert len(adversarial["views_cl"]) == 6
    _check_ball_and_box(views, adversarial)


@pytest.mark.parametrize("name", ["ascl", "at", "trades", "mart", "rotation_at", "wscat"])
def test_attack_moves_no_variable(name):
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(method=name)))
    before = helpers.values(method)
    method.make_adversarial(helpers.views_of(method, helpers.make_data()))
    assert not helpers.changed(before, helpers.values(method))


def _logits(method, images):
    return method.logits(images, branch=ADVERSARIAL, training=False).numpy()


def _projections(method, images, branch=ADVERSARIAL):
    return np.float64(method.projections(images, branch=branch, training=False))


def _objectives(method, views, adversarial):
    """Returns what each default attack is to raise, in inference mode, by float64 loops."""
    labels, temperature = views["labels"].numpy(), helpers.TINY.temperature
    clean = _projections(method, views["stacked_views"], CLEAN)
    perturbed = _projections(method, adversarial["images_ascl"])
    return {
        "at": oracles.cross_entropy(_logits(method, adversarial["images_at"]), labels),
        "cl": nt_xent_oracle(_projections(method, adversarial["views_cl"]), temperature),
        "ascl": ascl_oracle(clean, perturbed, labels, temperature, "joint", "cross"),
    }


STEPS = ("num_steps_at", "num_steps_cl", "num_steps_ascl")


def test_each_attack_raises_its_own_loss_above_the_random_start(ascl, views):
    start = _objectives(ascl, views, _attack(ascl, views, **dict.fromkeys(STEPS, 0)))
    attacked = _objectives(ascl, views, _attack(ascl, views, **dict.fromkeys(STEPS, 6)))
    for name in start:
        assert np.mean(attacked[name]) > np.mean(start[name]) * 1.005, name


def test_source_cl_raises_the_similarity_loss_of_image_and_first_clean_view(ascl, views):
    anchors = _projections(ascl, views["stacked_views"][:6], CLEAN)

    def loss(**changes):
        images = _attack(ascl, views, attack_source_at="cl", **changes)["images_at"]
        return nt_xent_oracle(np.concatenate([_projections(ascl, images), anchors]), 0.5).mean()

    assert loss(num_steps_at=6) > loss(num_steps_at=0) * 1.005


def test_under_trades_the_attack_raises_the_divergence():
    method = helpers.compile_tiny(helpers.make_method(helpers.TINY.replace(outer_loss="trades")))
    views = helpers.views_of(method, helpers.make_data())
    natural = _logits(method, views["images"])

    def divergence(num_steps):
        images = _attack(method, views, outer_loss="trades", num_steps_at=num_steps)["images_at"]
        return np.mean(oracles.divergence(natural, _logits(method, images)))

    assert divergence(6) > divergence(0) * 1.005


def _with_other_labels(views):
    return {**views, "labels": tf.constant([2, 2, 1, 0, 0, 2])}


ALL_CL = {"attack_source_at": "cl", "attack_source_cl": "cl", "attack_source_ascl": "cl"}
ALL_CE = dict.fromkeys(ALL_CL, "ce")


@pytest.mark.parametrize("cl_mode", ["a2a", "a2s"])
def test_label_free_source_does_not_see_labels(ascl, views, cl_mode):
    first = _attack(ascl, views, cl_mode=cl_mode, **ALL_CL)
    second = _attack(ascl, _with_other_labels(views), cl_mode=cl_mode, **ALL_CL)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("sources", [ALL_CE, dict.fromkeys(ALL_CL, "ascl")], ids=["ce", "ascl"])
def test_label_based_sources_see_labels(ascl, views, sources):
    first = _attack(ascl, views, **sources)
    second = _attack(ascl, _with_other_labels(views), **sources)
    assert all(np.any(first[name] != second[name]) for name in first)


def _count(monkeypatch, owner, name):
    calls, function = [], getattr(owner, name)

    def counting(*args, **kwargs):
        calls.append(kwargs)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, counting)
    return calls


@pytest.mark.parametrize(
    "lambda_1, lambda_2, terms, num_steps",
    [
        (0.5, 0.2, ("at_loss", "cl_loss", "ascl_loss"), [4, 3, 2]),
        (0.5, 0.0, ("at_loss", "cl_loss"), [4, 3]),
        (0.0, 0.2, ("at_loss", "ascl_loss"), [4, 2]),
        (0.0, 0.0, ("at_loss",), [4]),
    ],
)
def test_term_of_weight_zero_is_neither_attacked_nor_computed(
    monkeypatch, lambda_1, lambda_2, terms, num_steps
):
    config = helpers.TINY.replace(lambda_1=lambda_1, lambda_2=lambda_2)
    config = config.replace(num_steps_at=4, num_steps_cl=3, num_steps_ascl=2)
    method = helpers.compile_tiny(helpers.make_method(config))
    attacks = _count(monkeypatch, base, "linf_pgd")
    passes = _count(monkeypatch, method, "projections")
    views = helpers.views_of(method, helpers.make_data())
    outputs = method.forward(views, method.make_adversarial(views))
    assert [call["num_steps"] for call in attacks] == num_steps
    assert tuple(outputs.terms) == method.term_names == terms
    clean = [call for call in passes if call["branch"] == CLEAN]
    # Once as constant anchors of the attack, once in the loss; neither without L_ASCL.
    assert [call["training"] for call in clean] == ([False, True] if lambda_2 else [])


def test_attacks_of_one_step_start_from_unrelated_points(ascl, views):
    start = _attack(ascl, views, **dict.fromkeys(STEPS, 0))
    noise = [start[k].numpy() - views["images"].numpy() for k in ("images_at", "images_ascl")]
    both = np.split(start["views_cl"].numpy() - views["stacked_views"].numpy(), 2)
    for a, b in itertools.combinations([*noise, *both], 2):
        inside = (np.abs(a) > 1e-6) & (np.abs(b) > 1e-6)
        assert abs(np.corrcoef(a[inside], b[inside])[0, 1]) < 0.15
