"""Which images share batch statistics in a step, and in which order moving statistics move.

Against training passes that are written out in float64: a whole step's gradients and moving
statistics. The same images in common passes, or in another order, give other numbers.
"""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.config import Config
from ascl_tf.losses import classification, contrastive, multi_view
from ascl_tf.models import ADVERSARIAL, ADVERSARIAL_CE, CLEAN
from tests.methods import contract, helpers
from tests.methods.tiny_network import TinyNetwork

LABELS = np.array([0, 1, 0, 2, 1, 1], np.int32)
CLUSTERS = np.array([[0, 4], [1, 0], [1, 2], [0, 3], [0, 1], [1, 2]], np.int32)


# How batches of one branch pass: (batches -> outputs, batches) -> one output for each batch.


def apart(run, batches):
    """A pass each, in order."""
    return [run(batch) for batch in batches]


def backwards(run, batches):
    """A pass each, the last batch first."""
    return apart(run, batches[::-1])[::-1]


def together(run, batches):
    """One pass."""
    return tf.split(run(tf.concat(batches, axis=0)), [len(batch) for batch in batches], axis=0)


# Objectives: (network, views, adversarial, config, way to pass) -> scalar.


def _outer_loss(name, natural, perturbed, labels, config):
    if name == "mart":
        losses = classification.mart_loss(natural, perturbed, labels, beta=config.mart_beta)
    else:
        losses = classification.trades_loss(natural, perturbed, labels, beta=config.trades_beta)
    return tf.reduce_mean(losses)


def _encode(network, branch):
    return lambda images: network.encode(images, branch)


def _classifier(name="trades", head="linear_head"):
    def objective(network, views, adversarial, config, passes):
        images = [views["images"], adversarial["images_at"]]
        features = passes(_encode(network, ADVERSARIAL), images)
        natural, perturbed = [network.classify(rows, head) for rows in features]
        return _outer_loss(name, natural, perturbed, views["labels"], config)

    return objective


def _ascl(network, views, adversarial, config, passes):
    clean = network.project(views["stacked_views"], CLEAN)
    everything = [adversarial[name] for name in ("images_at", "views_cl", "images_ascl")]
    batches = [views["images"], tf.concat(everything, axis=0)]
    natural, perturbed = passes(_encode(network, ADVERSARIAL), batches)
    for_at, *others = tf.split(perturbed, [len(images) for images in everything])
    natural, for_at = network.classify(natural), network.classify(for_at)
    rows = network.project_features(tf.concat(others, axis=0), ADVERSARIAL)
    labels, temperature = views["labels"], config.temperature
    cl_loss = contrastive.nt_xent_loss(rows[: 2 * len(labels)], temperature=temperature)
    ascl_loss = contrastive.adversarial_supervised_contrastive_loss(
        clean, rows[2 * len(labels) :], labels, temperature=temperature
    )
    return (
        _outer_loss(config.outer_loss, natural, for_at, labels, config)
        + config.lambda_1 * tf.reduce_mean(cl_loss)
        + config.lambda_2 * tf.reduce_mean(ascl_loss)
    )


def _advcl(network, views, adversarial, config, passes):
    perturbed = network.project(adversarial["images_cl"], ADVERSARIAL)
    features = network.encode(adversarial["images_ce"], ADVERSARIAL_CE)
    logits = [network.classify(features, f"pseudo_label_heads/head_{m}") for m in range(2)]
    ce_loss = multi_view.clustering_loss(logits, views["pseudo_labels"])
    clean_views = [*tf.split(views["stacked_views"], 2), views["high_frequency"]]
    clean = passes(lambda images: network.project(images, CLEAN), clean_views)
    cl_loss = multi_view.multi_view_contrastive_loss(
        tf.concat([perturbed, *clean], axis=0), num_views=4, temperature=config.temperature
    )
    return tf.reduce_mean(cl_loss) + config.advcl_ce_weight * tf.reduce_mean(ce_loss)


class Case(NamedTuple):
    config: Config
    objective: object
    perturbed: tuple = ("images_at",)
    finetune: bool = False


PERTURBED = ("images_at", "views_cl", "images_ascl")
ADVCL = helpers.TINY.replace(
    method="advcl", batch_norm="triple", num_clusters="2,5", advcl_ce_weight=0.3
)
ASCL = helpers.TINY.replace(method="ascl", outer_loss="trades")
TRADES = helpers.TINY.replace(method="trades")
CASES = {
    "trades": Case(TRADES, _classifier()),
    "mart": Case(TRADES.replace(method="mart"), _classifier("mart")),
    "trades-awp": Case(TRADES.replace(awp_gamma=0.125), _classifier()),
    "faf": Case(TRADES.replace(finetune="faf"), _classifier(), finetune=True),
    "dynacl_pp": Case(TRADES.replace(method="dynacl_pp"), _classifier(head="pseudo_label_head")),
    "ascl-trades": Case(ASCL, _ascl, PERTURBED),
    "ascl-mart": Case(ASCL.replace(outer_loss="mart"), _ascl, PERTURBED),
    "ascl-trades-shared": Case(ASCL.replace(batch_norm="shared"), _ascl, PERTURBED),
    "advcl": Case(ADVCL, _advcl, ("images_cl", "images_ce")),
    "advcl-shared": Case(ADVCL.replace(batch_norm="shared"), _advcl, ("images_cl", "images_ce")),
}


def _prepared(case):
    """Returns a method, and views and perturbed images as its step might make them.

    Perturbations are as large as the images, so that statistics differ.
    """
    method = helpers.compile_tiny(helpers.make_method(case.config, finetune=case.finetune))
    rng = np.random.default_rng(1)
    images = {"images": rng.random((6, 8, 8, 3)), "stacked_views": rng.random((12, 8, 8, 3))}
    sources = {name: "stacked_views" if "views" in name else "images" for name in case.perturbed}
    adversarial = {k: images[v] + rng.normal(size=images[v].shape) for k, v in sources.items()}
    images["high_frequency"] = images["images"] - images["images"].mean(axis=(1, 2), keepdims=True)
    dtype = method.pixel_dtype
    views = {name: tf.constant(value, dtype) for name, value in images.items()}
    views |= {"labels": tf.constant(LABELS), "pseudo_labels": tf.constant(CLUSTERS)}
    return method, views, {name: tf.constant(x, dtype) for name, x in adversarial.items()}


def _values(method):
    return {contract.short(path): value for path, value in helpers.values(method).items()}


def _found(method, views, adversarial):
    """Returns the step's gradients by path; its moving statistics move."""
    variables = method.step_variables()
    gradients = method._outputs_and_gradients(views, adversarial, variables)[-1]
    return {contract.short(v.path): g for v, g in zip(variables, gradients, strict=True)}


def _gradients(values, loss_of):
    """Returns the gradients of a loss by path, and the moving statistics after its passes."""
    network = TinyNetwork(values)
    with tf.GradientTape() as tape:
        tape.watch(network.values)
        loss = loss_of(network)
    gradients = tape.gradient(loss, network.values)
    reached = {path: g.numpy() for path, g in gradients.items() if g is not None}
    return reached, {path: statistic.numpy() for path, statistic in network.moving.items()}


def _expected(case, values, views, adversarial, passes):
    """Returns gradients and moving statistics by path, where the case has it at moved weights."""

    def loss_of(network):
        return case.objective(network, views, adversarial, case.config, passes)

    gamma = case.config.awp_gamma
    if not gamma:
        return _gradients(values, loss_of)
    worse = dict(values)
    for path, gradient in _gradients(values, loss_of)[0].items():
        if gradient.ndim > 1:
            share = np.linalg.norm(values[path]) / np.linalg.norm(gradient)
            worse[path] = values[path] + gamma * share * gradient
    return _gradients(worse, loss_of)


def _distance(gradients, others):
    """Returns the norm of the difference by that of `gradients`, over all variables."""
    squares = sum(np.sum((g - others[path]) ** 2) for path, g in gradients.items())
    return np.sqrt(squares / sum(np.sum(g**2) for g in gradients.values()))


def _largest_difference(values, others):
    return max(np.abs(value - others[path]).max() for path, value in values.items())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_step_is_that_of_the_passes_written_out(case):
    with contract.float64_policy():
        method, *images = _prepared(case)
        before = _values(method)
        found = _found(method, *images)
    gradients, moving = _expected(case, before, *images, apart)
    assert set(found) == set(gradients) and _distance(gradients, found) < 1e-9
    assert _largest_difference(moving, _values(method)) < 1e-9
    # What would go unnoticed if statistics were the same in any case.
    in_common, _ = _expected(case, before, *images, together)
    assert _distance(gradients, in_common) > 0.1
    in_other_order, moved_otherwise = _expected(case, before, *images, backwards)
    assert _distance(gradients, in_other_order) < 1e-9
    assert _largest_difference(moving, moved_otherwise) > 0.01


@pytest.mark.parametrize("name", ["trades-awp", "advcl"])
def test_compiled_passes_move_statistics_in_the_same_order(name):
    # In float32, whose batch norm is another operation.
    method, *images = _prepared(CASES[name])
    before = _values(method)
    found = tf.function(lambda: _found(method, *images), autograph=False)()
    images = [_float64(tensors) for tensors in images]
    gradients, moving = _expected(CASES[name], before, *images, apart)
    assert _distance(gradients, found) < 1e-4
    assert _largest_difference(moving, _values(method)) < 1e-5


def _float64(tensors):
    return {k: tf.cast(v, tf.float64) if v.dtype == tf.float32 else v for k, v in tensors.items()}
