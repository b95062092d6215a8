"""ASCL's objective against float64 loops, for every knob, with and without labels."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.losses.gather import global_mean
from ascl_tf.models import ADVERSARIAL, CLEAN
from tests.methods import helpers, oracles

LABELS, PARTLY_LABELED = (0, 1, 0, 2, 1, 1), (0, -1, 0, 2, -1, 1)
KNOBS = list(itertools.product(["joint", "clean", "adversarial"], ["cross", "all"]))
READINGS = (("joint", "cross"), ("clean", "all"), ("adversarial", "cross"))
CONFIG = helpers.TINY.replace(num_steps_at=1, num_steps_cl=1, num_steps_ascl=1)


def _passes(method, views, adversarial):
    """Returns clean projections, (natural, adversarial) logits and projections of the step."""
    clean = method.projections(views["stacked_views"], branch=CLEAN, training=True)
    natural = method.logits(views["images"], branch=ADVERSARIAL, training=True)
    sizes = [len(images) for images in adversarial.values()]
    rows = tf.concat(list(adversarial.values()), 0)
    features = method.encoder(rows, branch=ADVERSARIAL, training=True)
    features = dict(zip(adversarial, tf.split(features, sizes), strict=True))
    logits = natural.numpy(), method.linear_head(features["images_at"]).numpy()
    projected = [k for k in ("views_cl", "images_ascl") if k in adversarial]
    rows = tf.concat([features[k] for k in projected], 0)
    rows = method.projection_head(rows, branch=ADVERSARIAL, training=True)
    sizes = [len(features[k]) for k in projected]
    projections = dict(zip(projected, tf.split(rows, sizes), strict=True))
    return clean.numpy(), logits, {k: z.numpy() for k, z in projections.items()}


def _expected(method, data):
    """Returns the terms of the first step on `data` and their weighted sum."""
    views = helpers.views_of(method, data)
    clean, (natural, adversarial), projections = _passes(
        method, views, method.make_adversarial(views)
    )
    config, labels = method.config, data["labels"].numpy()
    outer = {
        "at": lambda: oracles.cross_entropy(adversarial, labels),
        "trades": lambda: oracles.trades(natural, adversarial, labels, config.trades_beta),
        "mart": lambda: oracles.mart(natural, adversarial, labels, config.mart_beta),
    }
    terms = {"at_loss": oracles.mean(outer[config.outer_loss]())}
    if config.lambda_1:
        terms["cl_loss"] = oracles.contrastive(projections["views_cl"], clean, config)
    if config.lambda_2:
        terms["ascl_loss"] = oracles.supervised(clean, projections["images_ascl"], labels, config)
    weights = {"at_loss": 1, "cl_loss": config.lambda_1, "ascl_loss": config.lambda_2}
    return {**terms, "loss": sum(weights[name] * value for name, value in terms.items())}


def _check(labels=PARTLY_LABELED, **changes):
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(**changes)))
    data = helpers.make_data(labels)
    before = [v.numpy() for v in helpers.state(method)]
    expected = _expected(method, data)
    # The passes above moved statistics; the step starts where they did.
    for variable, value in zip(helpers.state(method), before, strict=True):
        variable.assign(value)
    logs = method.train_step(data)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value, rel=2e-5, abs=1e-6), name
    assert expected["loss"] > 0


@pytest.mark.parametrize(
    "denominator, positives",
    [
        # Each value of both; all their combinations in the losses' own tests.
        pytest.param(*knobs, marks=() if knobs in READINGS else pytest.mark.slow)
        for knobs in KNOBS
    ],
)
def test_every_reading_of_the_supervised_term(denominator, positives):
    _check(ascl_denominator=denominator, ascl_positives=positives)


def test_every_label_known():
    _check(LABELS)


@pytest.mark.parametrize(
    "cl_mode, lambda_2",
    [
        ("a2a", 0.2),
        ("a2s", 0.2),
        ("ds", 0.2),
        # test_weights_of_the_terms_are_lambda_1_and_lambda_2 has other weights.
        *(pytest.param(mode, 0.0, marks=pytest.mark.slow) for mode in ("a2s", "ds")),
    ],
)
def test_every_mode_of_the_contrastive_term(cl_mode, lambda_2):
    _check(cl_mode=cl_mode, lambda_2=lambda_2, temperature=0.3)


@pytest.mark.parametrize("outer_loss", ["trades", "mart"])
def test_every_outer_loss(outer_loss):
    _check(outer_loss=outer_loss, trades_beta=4.0, mart_beta=3.0)


def test_weights_of_the_terms_are_lambda_1_and_lambda_2():
    _check(lambda_1=1.75, lambda_2=2.5)


def test_batch_without_any_label_trains_the_contrastive_term_only():
    method = helpers.compile_tiny(helpers.make_method(CONFIG))
    data = helpers.make_data((-1,) * 6)
    expected = _expected(method, data)
    logs = {k: float(v) for k, v in method.train_step(data).items()}
    assert np.isfinite(list(logs.values())).all()
    assert logs["at_loss"] == logs["ascl_loss"] == 0.0
    assert logs["loss"] == pytest.approx(CONFIG.lambda_1 * logs["cl_loss"], rel=1e-6)
    assert expected["cl_loss"] > 0 and logs["gradient_norm"] > 0
    assert all(np.isfinite(v).all() for v in helpers.values(method).values())


def test_unlabeled_rows_get_no_gradient_from_the_labeled_terms():
    method = helpers.compile_tiny(helpers.make_method(CONFIG.replace(lambda_1=0.0)))
    clean, projections = [], method.projections

    def keep_clean(images, *, branch, training):
        rows = projections(images, branch=branch, training=training)
        clean.extend([rows] if branch == CLEAN and training else [])
        return rows

    method.projections = keep_clean
    views = helpers.views_of(method, helpers.make_data(PARTLY_LABELED))
    adversarial = method.make_adversarial(views)
    with tf.GradientTape() as tape:
        outputs = method.forward(views, adversarial)
        total = sum(global_mean(t.per_row, t.mask) for t in outputs.terms.values())
    sources = [outputs.robust_logits, outputs.projections, clean[0]]
    logits, perturbed, clean_views = tape.gradient(total, sources)
    is_labeled = np.array(PARTLY_LABELED) >= 0
    for rows in (logits, perturbed, *tf.split(clean_views, 2)):
        sizes = np.abs(rows.numpy()).sum(axis=1)
        np.testing.assert_array_equal(sizes > 0, is_labeled)
