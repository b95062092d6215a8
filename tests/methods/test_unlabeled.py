"""Images without a label: every attack moves them, and changes nothing where all have one."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import config as cfg
from ascl_tf.attacks import linf_pgd
from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.losses.contrastive import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    nt_xent_loss,
)
from ascl_tf.methods.unlabeled import cross_entropy_or_divergence, with_label_free_loss
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.losses.contrastive_oracles import ascl_oracle, nt_xent_oracle, supervised_oracle
from tests.losses.helpers import join_views, run_on_two_replicas, unit_rows
from tests.methods import contract, helpers, oracles

LABELS, HALF = (0, 1, 0, 2, 1, 1), (0, -1, 0, -1, -1, 1)
IS_UNLABELED = np.array(HALF) < 0
SOURCES = ("attack_source_at", "attack_source_cl", "attack_source_ascl")
BALL = {"epsilon": 8 / 255, "step_size": 2 / 255}


# Wide enough that no row stands where every ReLU is 0.
CONFIG = helpers.TINY.replace(
    projection_hidden_dim=32,
    num_steps_at=1,
    num_steps_cl=1,
    num_steps_ascl=1,
    finetune_num_steps=1,
)


@pytest.fixture(scope="module")
def ascl():
    """One method for many configs: what an attack raises changes no variable of it."""
    return helpers.compile_tiny(helpers.make_method(CONFIG))


@pytest.fixture(scope="module")
def all_views(ascl):
    """Views of one batch, with what eq. 8 takes beside what eq. 9 takes."""
    ascl.config = CONFIG.replace(ascl_loss="adversarial_pair")
    return helpers.views_of(ascl, helpers.make_data(HALF))


def _attack(method, views):
    return {name: images.numpy() for name, images in method.make_adversarial(views).items()}


def _attack_ascl(ascl, all_views, labels=HALF, **changes):
    """Returns the views under a config, and what its attacks make of them in one step."""
    ascl.config = CONFIG.replace(**changes)
    seeds = all_views["seed_ascl"]
    seeds = seeds if ascl.perturbs_pair else seeds[: len(labels)]
    views = {**all_views, "labels": tf.constant(labels), "seed_ascl": seeds}
    return views, _attack(ascl, views)


_STARTS = {}


def _start(views, name, num_images):
    """Where an attack begins: a uniform point of the ball, drawn once for all tests."""
    images = _natural(views, name, num_images)
    seeds = views["seed_" + name.partition("_")[2]][:num_images]
    key = images.tobytes() + seeds.numpy().tobytes()
    if key not in _STARTS:
        _STARTS[key] = _pgd(None, images, seeds, num_steps=0)
    return _STARTS[key]


def _is_unlabeled(images):
    return np.tile(IS_UNLABELED, len(images) // len(HALF))


def _check_every_row_moves(views, attacked):
    for name, images in attacked.items():
        moved = np.abs(images - _start(views, name, len(images))).mean(axis=(1, 2, 3))
        # One step is 2/255; pixels at the border of the ball or the box move less.
        assert moved.min() > 0.5 / 255, name


def _logits(method, images):
    return np.float64(method.logits(tf.constant(images), branch=ADVERSARIAL, training=False))


def _projections(method, images, branch=ADVERSARIAL):
    return np.float64(method.projections(tf.constant(images), branch=branch, training=False))


def _natural(views, name, num_images):
    key = "stacked_views" if name.startswith("views") else "images"
    return views[key][:num_images].numpy()


def _divergences(method, views, name, images):
    natural = _logits(method, _natural(views, name, len(images)))
    return np.array(oracles.divergence(natural, _logits(method, images)))[_is_unlabeled(images)]


def _contrasts(method, views, name, images):
    perturbed = _projections(method, images)
    if len(images) == len(HALF):
        clean = _projections(method, views["stacked_views"], CLEAN)
        own = clean[len(HALF) :] if name == "views_cl" else clean[: len(HALF)]
        perturbed = np.concatenate([perturbed, own])
    return nt_xent_oracle(perturbed, method.config.temperature)


def _check_unlabeled_rows_raise_their_loss(method, views, source, attacked):
    own_loss = _divergences if source == "ce" else _contrasts
    for name, images in attacked.items():
        start = _start(views, name, len(images))
        # The rows with a label stay where they started.
        moved = np.where(_is_unlabeled(images)[:, None, None, None], images, start)
        before, after = (own_loss(method, views, name, x) for x in (start, moved))
        assert after.mean() > before.mean(), name


MODES = [
    {"cl_mode": "a2a"},
    {"cl_mode": "a2s"},
    {"cl_mode": "ds"},
    {"cl_mode": "a2a", "ascl_loss": "adversarial_pair"},
    {"cl_mode": "a2a", "ascl_loss": "adversarial_pair_clean"},
    {"cl_mode": "a2s", "ascl_loss": "adversarial_pair"},
    {"cl_mode": "a2s", "shared_perturbation": "ascl"},
    {"cl_mode": "a2s", "shared_perturbation": "all"},
]


def _name(changes):
    return "-".join(map(str, changes.values()))


_IN_DEFAULT_RUN = ({"cl_mode": "a2a"}, {"cl_mode": "a2s", "shared_perturbation": "ascl"})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, marks=() if changes in _IN_DEFAULT_RUN else pytest.mark.slow)
        for changes in MODES
    ],
    ids=_name,
)
@pytest.mark.parametrize("source", cfg.ATTACK_SOURCES)
def test_every_row_moves_and_raises_its_loss(ascl, all_views, source, changes):
    views, attacked = _attack_ascl(ascl, all_views, **dict.fromkeys(SOURCES, source), **changes)
    num_shared = {"ascl": 1, "all": 2}.get(changes.get("shared_perturbation"), 0)
    assert len(attacked) == 3 - num_shared
    _check_every_row_moves(views, attacked)
    _check_unlabeled_rows_raise_their_loss(ascl, views, source, attacked)


OTHERS = [
    {"method": "at"},
    {"method": "at", "unlabeled_kl_weight": 2.0},
    {"method": "trades"},
    {"method": "mart"},
    {"method": "rotation_at"},
    {"outer_loss": "mart"},
    {"at_attack": "fgsm_rs", "shared_perturbation": "all", "cl_mode": "a2s"},
]


@pytest.mark.parametrize("changes", OTHERS, ids=_name)
def test_every_row_moves_whatever_the_classification_term(changes):
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(**changes)))
    views = helpers.views_of(method, helpers.make_data(HALF))
    attacked = {"images_at": _attack(method, views)["images_at"]}
    _check_every_row_moves(views, attacked)
    if changes.get("method") != "rotation_at":  # tests/methods/test_rotation_at.py
        _check_unlabeled_rows_raise_their_loss(method, views, "ce", attacked)


@pytest.mark.parametrize("finetune", ["laf", "faf"])
def test_every_row_moves_in_fine_tuning(finetune):
    config = CONFIG.replace(finetune=finetune, finetune_loss="ce")
    method = helpers.compile_tiny(helpers.make_method(config, finetune=True))
    views = helpers.views_of(method, helpers.make_data(HALF))
    attacked = _attack(method, views)
    _check_every_row_moves(views, attacked)
    _check_unlabeled_rows_raise_their_loss(method, views, "ce", attacked)


@pytest.mark.parametrize("name", ["at", "trades", "mart"])
def test_weight_of_images_without_a_label_adds_their_divergence_and_changes_no_other_term(name):
    config = CONFIG.replace(method=name, unlabeled_kl_weight=2.0)
    method = helpers.compile_tiny(helpers.make_method(config))
    plain = helpers.compile_tiny(helpers.make_method(config.replace(unlabeled_kl_weight=0.0)))
    views = helpers.views_of(method, helpers.make_data(HALF))
    images = method.make_adversarial(views)["images_at"]
    with contract.unmoved(method):
        natural, perturbed = (
            np.float64(method.logits(x, branch=ADVERSARIAL, training=True))
            for x in (views["images"], images)
        )
        terms = method.forward(views, {"images_at": images}).terms
    want = plain.forward(views, {"images_at": images}).terms["at_loss"].per_row
    np.testing.assert_allclose(terms["at_loss"].per_row, want, rtol=1e-5)
    term = terms["unlabeled_loss"]
    divergences = oracles.divergence(natural, perturbed)
    np.testing.assert_allclose(term.per_row, divergences, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(term.mask, IS_UNLABELED)
    assert term.weight == 2.0 and plain.term_names == ("at_loss",)
    logs = method.train_step(helpers.make_data(HALF))
    assert np.isfinite(float(logs["unlabeled_loss"]))


# One source against another: whose attack it is, bit for bit.


def test_rows_with_a_label_are_attacked_as_if_the_others_were_not_there(ascl, all_views):
    views, attacked = _attack_ascl(ascl, all_views, **dict.fromkeys(SOURCES, "ascl"))
    found, expected = attacked["images_ascl"], _plain(ascl, views, "ascl")["images_ascl"]
    np.testing.assert_array_equal(found[~IS_UNLABELED], expected[~IS_UNLABELED])
    assert np.all(np.any(found != expected, axis=(1, 2, 3)) == IS_UNLABELED)


@pytest.mark.parametrize("cl_mode", ["a2a", "a2s"])
def test_without_any_label_the_source_ascl_is_the_source_cl(ascl, all_views, cl_mode):
    settings = {"labels": (-1,) * 6, "cl_mode": cl_mode, "lambda_2": 0.0}
    by_ascl, by_cl = (
        _attack_ascl(ascl, all_views, **settings, **dict.fromkeys(SOURCES, source))[1]
        for source in ("ascl", "cl")
    )
    for name in by_cl:
        np.testing.assert_array_equal(by_ascl[name], by_cl[name])


# Where every image has a label: the plain losses, written out.


def _pgd(objective, images, seed, num_steps=1):
    return linf_pgd(
        objective, images, num_steps=num_steps, random_start=True, seed=seed, **BALL
    ).numpy()


def _z(method, images):
    return method.projections(images, branch=ADVERSARIAL, training=False)


def _ce(method, images, labels):
    logits = method.logits(images, branch=ADVERSARIAL, training=False)
    return cross_entropy_loss(logits, labels)


def _eq9(method, images, clean, labels):
    return adversarial_supervised_contrastive_loss(
        clean, _z(method, images), labels, temperature=0.5
    )


def _eq8(method, stacked_views, clean, labels):
    return adversarial_pair_supervised_contrastive_loss(
        _z(method, stacked_views), labels, temperature=0.5, clean_projections=clean
    )


def _plain(method, views, source):
    """Attacks by the plain losses."""
    images, stacked_views, labels = (views[k] for k in ("images", "stacked_views", "labels"))
    clean = method.projections(stacked_views, branch=CLEAN, training=False)

    def of_image(x):
        return _ce(method, x, labels) if source == "ce" else _eq9(method, x, clean, labels)

    def of_views(x):
        if source == "ce":
            return _ce(method, x, tf.tile(labels, [2]))
        if method.perturbs_pair:
            return _eq8(method, x, clean, labels)
        return sum(_eq9(method, half, clean, labels) for half in tf.split(x, 2))

    of_ascl = (
        {"views_ascl": _pgd(of_views, stacked_views, views["seed_ascl"])}
        if method.perturbs_pair
        else {"images_ascl": _pgd(of_image, images, views["seed_ascl"])}
    )
    return {
        "images_at": _pgd(of_image, images, views["seed_at"]),
        "views_cl": _pgd(of_views, stacked_views, views["seed_cl"]),
        **of_ascl,
    }


@pytest.mark.parametrize(
    "source, ascl_loss",
    [
        ("ce", "clean_adversarial"),
        ("ascl", "clean_adversarial"),
        ("ascl", "adversarial_pair_clean"),
    ],
)
def test_with_every_label_attacks_are_those_of_the_plain_losses(ascl, all_views, source, ascl_loss):
    changes = {"ascl_loss": ascl_loss, **dict.fromkeys(SOURCES, source)}
    views, found = _attack_ascl(ascl, all_views, LABELS, **changes)
    expected = _plain(ascl, views, source)
    assert set(found) == set(expected)
    for name, images in expected.items():
        np.testing.assert_array_equal(found[name], images, err_msg=name)


@pytest.fixture
def passes(monkeypatch):
    calls, call = [], helpers.TinyEncoder.call

    def counting(*args, **kwargs):
        calls.append(kwargs)
        return call(*args, **kwargs)

    monkeypatch.setattr(helpers.TinyEncoder, "call", counting)
    return calls


@pytest.mark.parametrize("source, all_known, some_missing", [("ce", 3, 5), ("ascl", 4, 4)])
def test_natural_images_pass_only_where_a_label_is_missing(
    ascl, all_views, passes, source, all_known, some_missing
):
    for labels, expected in ((LABELS, all_known), (HALF, some_missing)):
        passes.clear()
        _attack_ascl(ascl, all_views, labels, **dict.fromkeys(SOURCES, source))
        assert len(passes) == expected


# The two functions, against loops in float64.


def test_cross_entropy_or_divergence_equals_loops():
    rng = np.random.default_rng(0)
    natural, perturbed = rng.normal(0, 2, (2, 6, 3))
    found = cross_entropy_or_divergence(perturbed, natural, tf.constant(HALF)).numpy()
    expected = np.array(oracles.divergence(natural, perturbed))
    expected[~IS_UNLABELED] = oracles.cross_entropy(perturbed, HALF)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e4])
def test_gradient_is_finite_at_the_ends(size):
    logits = tf.constant(size * np.eye(6, 3), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = cross_entropy_or_divergence(logits, -logits, tf.constant(HALF))
    assert np.isfinite(losses).all() and np.isfinite(tape.gradient(losses, logits)).all()


def _nt_xent(rows):
    return nt_xent_loss(rows, temperature=0.5)


def _slopes(function, rows, step=1e-6):
    """Central differences of a scalar function of an array."""
    slopes = np.zeros_like(rows)
    for place in np.ndindex(rows.shape):
        shift = np.zeros_like(rows)
        shift[place] = step
        slopes[place] = (function(rows + shift) - function(rows - shift)) / (2 * step)
    return slopes


def _gradient(losses_of, rows, label_free_loss, labels):
    rows = tf.constant(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        losses = with_label_free_loss(losses_of(rows), label_free_loss, rows, tf.constant(labels))
    return losses.numpy(), tape.gradient(losses, rows).numpy()


def test_each_row_climbs_its_own_loss_against_clean_views():
    clean, perturbed = unit_rows(12, seed=1), unit_rows(6, seed=2)
    losses, gradient = _gradient(
        lambda rows: adversarial_supervised_contrastive_loss(
            tf.constant(clean), rows, tf.constant(HALF), temperature=0.5
        ),
        perturbed,
        lambda rows: _nt_xent(tf.concat([rows, clean[:6]], axis=0)),
        HALF,
    )

    def supervised(rows):
        return ascl_oracle(clean, rows, HALF, 0.5, "joint", "cross")

    def contrast(rows):
        return nt_xent_oracle(np.concatenate([rows, clean[:6]]), 0.5)

    np.testing.assert_allclose(losses, supervised(perturbed) + contrast(perturbed), rtol=1e-10)
    with_label = _slopes(lambda rows: supervised(rows).sum(), perturbed)
    without = _slopes(lambda rows: contrast(rows).sum(), perturbed)
    expected = np.where(IS_UNLABELED[:, None], without, with_label)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_each_row_climbs_its_own_loss_among_perturbed_views():
    stacked, labels = unit_rows(12, seed=3), np.tile(HALF, 2)
    _, gradient = _gradient(
        lambda rows: adversarial_pair_supervised_contrastive_loss(
            rows, tf.constant(HALF), temperature=0.5
        ),
        stacked,
        _nt_xent,
        HALF,
    )
    with_label = _slopes(lambda rows: supervised_oracle(rows, labels, 0.5).sum(), stacked)
    without = _slopes(lambda rows: nt_xent_oracle(rows, 0.5).sum(), stacked)
    expected = np.where(labels[:, None] < 0, without, with_label)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


@pytest.mark.slow  # The step that tests/methods/test_replicas.py tries has such an image too.
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_replicas_agree_on_images_without_a_label(in_graph):
    config = helpers.TINY.replace(lambda_1=0.0, num_steps_at=1, num_steps_ascl=1)
    labels = np.where(np.arange(24) % 2, -1, np.arange(24) % helpers.NUM_CLASSES)
    dataset = helpers.make_dataset(labels=labels)
    difference = contract.replica_difference(config, dataset=dataset, in_graph=in_graph)
    assert max(difference) < 1e-9


def test_two_replicas_climb_as_one_where_the_first_misses_no_label():
    stacked, labels = unit_rows(12, seed=3), np.array([0, 1, 0, -1, -1, 1])

    def gradient(rows, labels):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            losses = with_label_free_loss(_nt_xent(rows), _nt_xent, rows, labels)
        return tape.gradient(losses, rows)

    want = gradient(tf.constant(stacked), tf.constant(labels))
    got = join_views(run_on_two_replicas(gradient, (stacked, 2), (labels, 1)), 2)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


# A branch inside of a loop, whose gradient is taken.
IN_GRAPH = {"attack_source_cl": "ascl", "lambda_2": 0.0, "cl_mode": "a2s"}


@pytest.fixture(scope="module")
def traced():
    method = helpers.make_method(CONFIG.replace(**IN_GRAPH))
    return tf.function(method.make_adversarial, autograph=False)


@pytest.mark.slow  # test_step.py traces the step of ASCL.
@pytest.mark.parametrize("labels", [LABELS, HALF], ids=["all", "half"])
def test_in_a_graph_as_eagerly(ascl, all_views, traced, labels):
    views, eager = _attack_ascl(ascl, all_views, labels, **IN_GRAPH)
    found = traced(views)
    assert set(found) == {"images_at", "views_cl"}
    for name in found:
        # The sign of a gradient that is nearly 0 may differ.
        assert np.mean(np.abs(found[name].numpy() - eager[name]) > 1e-6) < 0.01
