"""Whatever argument an attack, a sweep or a transfer gets: it is carried out or refused by name."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascl_tf.attacks import AutoAttack, apgd, fab_t, linf_pgd, square
from ascl_tf.evaluation.black_box import transfer_matrix
from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
from tests.properties.values import CHECK, NUMBERS, TEXT

IMAGES = tf.constant(0.5, shape=(2, 2, 2, 3))


def _four_logits(images):
    """Logits of four classes, linear in the pixels."""
    weights = tf.reshape(tf.range(48.0) % 7 - 3, [12, 4])
    return tf.reshape(images, [-1, 12]) @ weights


# Most are valid, so that many examples get past every check.
_SMALL_COUNTS = (
    st.just(1)
    | st.just(2)
    | st.sampled_from([1, 2, 0, -1, 2.5, True, math.nan, math.inf, "1", None])
)
_COUNTS = _SMALL_COUNTS | st.just(10**30)
_CHOICES = st.sampled_from(["linf", "l2", "ce", "dlr", "targeted_dlr", "", None, 3])
_SEEDS = st.sampled_from([[0, 1], [[0, 1], [2, 3]], None, 0, [0], [[0, 1]], "a", 0.5, [0, 10**30]])
# Most arguments are as they should be, so that each check is met alone.
_VALID = {
    apgd: {"epsilon": 0.1, "num_steps": 1, "num_restarts": 1, "seed": [0, 1], "norm": "linf"}
    | {"eot_iter": 1, "loss": "ce", "num_targets": 1},
    fab_t: {"epsilon": 0.1, "num_steps": 1, "num_restarts": 1, "seed": [0, 1], "norm": "linf"}
    | {"num_targets": 1},
    square: {"epsilon": 0.1, "num_queries": 1, "num_restarts": 1, "seed": [0, 1], "norm": "linf"},
}
_ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "epsilon": NUMBERS | TEXT,
        **dict.fromkeys(("norm", "loss"), _CHOICES),
        "seed": _SEEDS,
        **dict.fromkeys(
            ("num_steps", "num_restarts", "num_targets", "num_queries", "eot_iter"), _COUNTS
        ),
    },
)


@settings(CHECK, max_examples=30)
@given(epsilon=NUMBERS, step_size=NUMBERS, num_steps=st.integers(-2, 2))
def test_pgd_stays_in_ball_and_box_or_names_what_is_wrong(epsilon, step_size, num_steps):
    try:
        attacked = linf_pgd(
            lambda images: tf.reduce_sum(images, axis=[1, 2, 3]),
            IMAGES,
            epsilon=epsilon,
            step_size=step_size,
            num_steps=num_steps,
        )
    except ValueError as error:
        assert str(error).split("`")[1] in ("epsilon", "step_size", "num_steps")
    else:
        moved = np.abs(attacked - IMAGES).max()
        assert moved <= epsilon + 1e-6 and np.all((attacked >= 0) & (attacked <= 1))


@CHECK
@given(
    epsilon=NUMBERS,
    num_classes=NUMBERS,
    batch_size=NUMBERS,
    version=st.sampled_from(["standard", "fast", "", "custom"]),
    norm=st.sampled_from(["linf", "l2", "l1", ""]),
)
def test_autoattack_is_made_or_names_what_is_wrong(epsilon, num_classes, batch_size, version, norm):
    try:
        AutoAttack(
            lambda images: images[:, 0, 0],
            epsilon=epsilon,
            num_classes=num_classes,
            batch_size=batch_size,
            version=version,
            norm=norm,
        )
    except ValueError as error:
        assert str(error).startswith("`")
    else:
        assert 0 < epsilon < math.inf and num_classes >= 2 and batch_size >= 1


@settings(CHECK, max_examples=40)
@given(attack=st.sampled_from(list(_VALID)), changes=_ARGUMENTS)
def test_attacks_of_the_ensemble_stay_in_ball_and_box_or_name_what_is_wrong(attack, changes):
    valid = _VALID[attack]
    arguments = valid | {name: value for name, value in changes.items() if name in valid}
    try:
        attacked = attack(_four_logits, IMAGES, tf.constant([0, 1]), **arguments)
    except ValueError as error:
        assert str(error).split("`")[1].partition("=")[0] in {*valid, "num_restarts"}
    else:
        moved = np.abs(attacked - IMAGES).max()
        assert moved <= arguments["epsilon"] + 1e-6 and np.all((attacked >= 0) & (attacked <= 1))


@pytest.fixture(scope="module")
def _eagerly():
    """Traces nothing: most examples would have a graph of their own."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


_PAIR = (np.full((2, 2, 2, 3), 0.5, np.float32), np.array([0, 1]))
_RADII = st.sampled_from(["1/255", 0.1]) | NUMBERS | st.sampled_from(["8/255", "0", "x", None])


@pytest.mark.usefixtures("_eagerly")
@CHECK
@given(
    num_steps=_SMALL_COUNTS,
    step_size=_RADII,
    epsilons=st.lists(_RADII, max_size=2),
    batch_size=_COUNTS,
    num_images=_COUNTS,
)
def test_sweeps_give_a_record_for_each_point_or_name_what_is_wrong(
    num_steps, step_size, epsilons, batch_size, num_images
):
    common = {"step_size": step_size, "batch_size": batch_size, "num_images": num_images}
    curves = {
        sweep_steps: {"epsilon": epsilons[0] if epsilons else "8/255"},
        sweep_epsilons: {"epsilons": epsilons},
    }
    for sweep, more in curves.items():
        try:
            records = sweep(_four_logits, _PAIR, num_steps=num_steps, **common, **more)
        except ValueError as error:
            named = str(error).split("`")[1]
            assert named in {"num_steps", "epsilon", "epsilons", "step_size"} | set(common)
        else:
            expected = num_steps + 1 if sweep is sweep_steps else len(epsilons)
            assert len(records) == expected
            assert all(0 <= record["robust_accuracy"] <= 100 for record in records)


_LABELS = st.none() | st.just(["a", "b"]) | st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)


@pytest.mark.usefixtures("_eagerly")
@CHECK
@given(
    protocol=st.just("fgsm") | st.sampled_from(["standard", "autoattack", "pgd21", None, 3]),
    sources=_LABELS,
    targets=_LABELS,
    batch_size=_COUNTS,
)
def test_transfer_gives_every_pair_or_names_what_is_wrong(protocol, sources, targets, batch_size):
    models = {"a": _four_logits, "b": _four_logits}
    try:
        records = transfer_matrix(
            models,
            _PAIR,
            protocol=protocol,
            sources=sources,
            targets=targets,
            batch_size=batch_size,
        )
    except ValueError as error:
        assert str(error).split("`")[1] in (
            "protocol",
            "sources",
            "targets",
            "batch_size",
            "models",
        )
    else:
        found = {(record["source"], record["target"]) for record in records}
        assert found == {(s, t) for s in sources or models for t in targets or models if s != t}
