"""What every method must keep, measured on the tiny encoder: one function per promise.

moved_variables      which variables a step moves
passes_of_step       branch and mode of every pass (record_passes: of what one calls oneself)
attack_gain          by how much an attack beats random perturbations
replica_difference   by how much two replicas differ from one
"""

import contextlib
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data.pipeline import training_batches
from tests.common import two_replicas, weak_views_for_strong
from tests.methods import helpers

ONE_STEP = dict.fromkeys(("num_steps_at", "num_steps_cl", "num_steps_ascl", "num_steps_pretext"), 1)
# What every method runs with: at most one step of an attack, one attention layer.
SMALL = helpers.TINY.replace(
    **ONE_STEP,
    num_attention_layers=1,
    num_clusters="2,3",
    high_frequency_radius=2,
    dpe_weight=0.3,
)
# The clusters of six images in as many clusterings as the method has.
_CLUSTERS = {"advcl": [[0, 2], [1, 0], [0, 1], [1, 2], [0, 0], [1, 1]]}
_CLUSTERS["dynacl_pp"] = [row[:1] for row in _CLUSTERS["advcl"]]

# One row without a label, so that two replicas hold different numbers of labels.
LABELS = np.where(np.arange(24) == 4, -1, np.arange(24) % helpers.NUM_CLASSES)


# Eagerly in the default run: two replicas take ten times as long to trace as to run a step.
eagerly_and_in_graph = pytest.mark.parametrize(
    "in_graph", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["eager", "graph"]
)


def data_of(name):
    """Returns one batch as the method of this name takes it."""
    data = helpers.make_data()
    if name in _CLUSTERS:
        data["pseudo_labels"] = tf.constant(_CLUSTERS[name], tf.int32)
    return data


def moved_variables(config, *, finetune=False, dataset=None):
    """Returns (every path, the paths that one eager step moved), without the model's name."""
    dataset = helpers.make_dataset() if dataset is None else dataset
    method = helpers.compile_tiny(helpers.make_method(config, finetune=finetune))
    before = helpers.values(method)
    method.train_step(_first_batch(dataset, config))
    moved = helpers.changed(before, helpers.values(method))
    return {short(path) for path in before}, {short(path) for path in moved}


def _first_batch(dataset, config):
    batches = training_batches(
        dataset, global_batch_size=config.global_batch_size, seed=config.seed
    )
    return next(iter(batches))


def short(path):
    """Returns a variable's path from its part on, such as "encoder/bn/clean/gamma"."""
    return path.partition("/")[2].removeprefix("classifier/")


def of_branch(paths, branch):
    """Returns those of `paths` that belong to a batch-norm branch."""
    return {path for path in paths if f"/{branch}/" in path}


def of_part(paths, part):
    """Returns those of `paths` that belong to a part such as "encoder"."""
    return {path for path in paths if path.startswith(f"{part}/")}


@contextlib.contextmanager
def unmoved(method):
    """Puts every variable back at the end: what is computed inside moves no statistic."""
    before = [v.numpy() for v in helpers.state(method)]
    yield
    for variable, value in zip(helpers.state(method), before, strict=True):
        variable.assign(value)


def record_passes(method):
    """Returns a list that every later call of a part adds (part, branch, training) to.

    None stands where a part knows no branch or mode, such as the linear head.
    """
    passes = []
    for name, part in method.parts.items():
        part.call = _recording(name, part.call, passes)
    return passes


def _recording(name, call, passes):
    signature = inspect.signature(call)

    def recorded(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        settings = bound.arguments
        passes.append((name, settings.get("branch"), settings.get("training")))
        return call(*args, **kwargs)

    recorded.__signature__ = signature
    return recorded


def passes_of_step(config, data=None):
    """Returns the passes of the attacks and those on the tape, each kind once, as two lists."""
    method = helpers.compile_tiny(helpers.make_method(config))
    passes = record_passes(method)
    views = helpers.views_of(method, helpers.make_data() if data is None else data)
    adversarial = method.make_adversarial(views)
    in_attacks = list(dict.fromkeys(passes))
    passes.clear()
    method.forward(views, adversarial)
    return in_attacks, list(dict.fromkeys(passes))


def trained_method(config, *, num_steps=4, dataset=None):
    """Returns a method after a few steps of `fit`, its moving statistics those of more images.

    Six images a step leave statistics under which whole layers may be dead. Attacks of these steps
    are short; those of the method that is returned are as long as `config` has them.
    """
    method = helpers.compile_tiny(helpers.make_method(config), **ONE_STEP)
    dataset = helpers.make_dataset() if dataset is None else dataset
    helpers.fit(method, dataset, num_steps, eagerly=True)
    helpers.fit_statistics(method)
    method.config = config
    return method


def attack_gain(objective, natural, adversarial, *, epsilon, num_random=6):
    """Returns by how much an attack beats the best random perturbation, in units of the objective.

    Args:
        objective: images -> losses [...]; the mean is compared.
        natural: [N, H, W, 3] in [0, 1], what was attacked.
        adversarial: the attack's result; inside ball and box, or this raises.
        epsilon: radius; random perturbations are +epsilon or -epsilon in each pixel.
        num_random: how many of them.
    """
    natural, adversarial = np.asarray(natural), np.asarray(adversarial)
    assert np.abs(adversarial - natural).max() <= epsilon + 1e-6
    assert adversarial.min() >= 0.0 and adversarial.max() <= 1.0
    rng = np.random.default_rng(0)
    best = -np.inf
    for _ in range(num_random):
        noise = epsilon * rng.choice([-1.0, 1.0], natural.shape)
        noisy = np.clip(natural + noise, 0.0, 1.0).astype(natural.dtype)
        best = max(best, _mean_of(objective, noisy))
    return _mean_of(objective, adversarial) - best


def _mean_of(objective, images):
    return float(np.mean(objective(tf.constant(images))))


def replica_difference(config, *, finetune=False, dataset=None, in_graph=False):
    """Returns (difference of the loss, largest difference of a gradient), one replica against two.

    After one step in float64, where attacks cannot differ by the sign of a rounding error:
    on one replica eagerly, on two through `fit`, eagerly too or `in_graph`. The rate is 1 and
    there is neither momentum nor decay, so that variables differ as gradients do; moving
    statistics are compared along with them. Views are weak ones.
    """
    config = config.replace(
        optimizer="sgd", learning_rate=1.0, momentum=0.0, nesterov=False, weight_decay=0.0
    )
    dataset = helpers.make_dataset(labels=LABELS) if dataset is None else dataset
    with float64_policy(), weak_views_for_strong():
        start = [v.numpy() for v in helpers.state(helpers.make_method(config, finetune=finetune))]
        one, one_loss = _step_on_one(start, config, finetune, dataset)
        two, two_loss = _step_on_two(start, config, finetune, dataset, in_graph)
    differences = [np.abs(a - b).max() for a, b in zip(one, two, strict=True)]
    assert any(np.any(a != b) for a, b in zip(one, start, strict=True))
    return abs(one_loss - two_loss), max(differences)


def _step_on_one(start, config, finetune, dataset):
    method = helpers.make_method(config, finetune=finetune, weights=start)
    helpers.compile_tiny(method)
    logs = method.train_step(_first_batch(dataset, config))
    return [v.numpy() for v in helpers.state(method)], float(logs["loss"])


def _step_on_two(start, config, finetune, dataset, in_graph):
    with two_replicas().scope():
        method = helpers.make_method(config, finetune=finetune, weights=start)
        helpers.compile_tiny(method)
    logs = helpers.fit(method, dataset, eagerly=not in_graph)
    return [v.numpy() for v in helpers.state(method)], logs["loss"]


@contextlib.contextmanager
def float64_policy():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
