"""The number of replicas changes nothing: views, attacks, losses, gradients, weights, metrics."""

import contextlib

import keras
import numpy as np
import pytest

from tests.common import two_replicas, weak_views_for_strong
from tests.methods import helpers
from tests.methods.contract import ONE_STEP

# One row without a label, so that the two replicas hold different numbers of labels.
LABELS = np.where(np.arange(24) == 4, -1, np.arange(24) % helpers.NUM_CLASSES)


@pytest.fixture
def float64_policy():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def _train(strategy, weights, config, *, finetune, num_steps, eagerly):
    """Returns the state, the momenta and the logs after `num_steps` on the strategy."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        method = helpers.make_method(config, finetune=finetune, weights=weights)
        helpers.compile_tiny(method)
    dataset = helpers.make_dataset(labels=LABELS)
    logs = helpers.fit(method, dataset, num_steps=num_steps, eagerly=eagerly)
    momenta = {v.path: v.numpy() for v in method.optimizer.variables}
    return {**helpers.values(method), **momenta}, logs


def _check_one_and_two(config, *, tolerance, num_steps, finetune=False, in_graph=False):
    start = [v.numpy() for v in helpers.state(helpers.make_method(config, finetune=finetune))]
    settings = {"finetune": finetune, "num_steps": num_steps}
    one, one_logs = _train(None, start, config, eagerly=True, **settings)
    two, two_logs = _train(two_replicas(), start, config, eagerly=not in_graph, **settings)
    for (name, a), b in zip(one.items(), two.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=name)
    return one_logs, two_logs


def _check_logs(one, two, **tolerance):
    # The spread of projections is each replica's own: a diagnostic, not part of the step.
    names = set(one) - {"projection_std"}
    assert names == set(two) - {"projection_std"} and "gradient_norm" in names
    for name in names:
        assert one[name] == pytest.approx(two[name], **tolerance), name


def test_one_step_of_ascl_with_its_attacks_in_float32():
    # Momentum is 0 before the first step, so that equal momenta are equal gradients.
    with weak_views_for_strong():
        config = helpers.TINY.replace(**ONE_STEP)
        logs = _check_one_and_two(config, tolerance=1e-4, num_steps=1)
    _check_logs(*logs, rel=1e-4)


# Those with views and attacks take a minute to trace; in test_cluster_fit.py two workers do.
@pytest.mark.parametrize(
    "method",
    ["standard", *(pytest.param(x, marks=pytest.mark.slow) for x in ("scl", "acl", "ascl"))],
)
def test_three_steps_in_a_graph_of_float64(float64_policy, method):
    config = helpers.TINY.replace(method=method)
    with weak_views_for_strong():
        logs = _check_one_and_two(config, tolerance=1e-9, num_steps=3, in_graph=True)
    _check_logs(*logs, rel=1e-6)


@pytest.mark.slow  # test_finetune.py has a step of fine-tuning.
@pytest.mark.parametrize("finetune, changes", [(False, {"method": "trades"}), (True, {})])
def test_three_steps_of_trades_and_fine_tuning_in_float64(float64_policy, finetune, changes):
    config = helpers.TINY.replace(finetune="faf", **changes)
    logs = _check_one_and_two(config, tolerance=1e-9, num_steps=3, finetune=finetune)
    _check_logs(*logs, rel=1e-6)


def test_views_and_starts_belong_to_positions_in_the_global_batch():
    with weak_views_for_strong():
        _check_positions()


def _check_positions():
    method = helpers.compile_tiny(helpers.make_method())
    data = helpers.make_data()
    whole = helpers.views_of(method, data)
    strategy = two_replicas()

    def part(context):
        rows = slice(3 * context.replica_id_in_sync_group, 3 * context.replica_id_in_sync_group + 3)
        return {name: values[rows] for name, values in data.items()}

    parts = strategy.experimental_distribute_values_from_function(part)
    with strategy.scope():
        method = helpers.compile_tiny(helpers.make_method(weights=_weights(method)))
    views = strategy.run(lambda x: helpers.views_of(method, x), args=(parts,))
    for name in ("images", "stacked_views", "seed_at", "seed_cl", "seed_ascl"):
        num_views = 2 if name in ("stacked_views", "seed_cl") else 1
        halves = [np.split(p, num_views) for p in strategy.experimental_local_results(views[name])]
        joined = np.concatenate([np.concatenate(rows) for rows in zip(*halves, strict=True)])
        np.testing.assert_allclose(joined, whole[name], rtol=0, atol=1e-6, err_msg=name)


def _weights(method):
    return [variable.numpy() for variable in helpers.state(method)]
