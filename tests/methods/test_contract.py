"""The measuring functions themselves: each finds what is there, and misses what is not."""

import numpy as np
import pytest
import tensorflow as tf

from tests.methods import contract, helpers

AT = helpers.TINY.replace(method="at")


def test_moved_variables_are_those_of_the_used_branch():
    everything, moved = contract.moved_variables(AT)
    assert len(contract.of_branch(everything, "clean")) == 4
    assert moved == everything - contract.of_branch(everything, "clean")
    assert contract.of_part(moved, "linear_head") == {
        "linear_head/dense/kernel",
        "linear_head/dense/bias",
    }


def test_passes_of_attack_and_step_are_told_apart():
    in_attacks, on_tape = contract.passes_of_step(AT)
    assert in_attacks == [("encoder", "adversarial", False), ("linear_head", None, None)]
    assert on_tape == [("encoder", "adversarial", True), ("linear_head", None, None)]


def test_recorded_passes_change_no_result():
    method = helpers.make_method(AT)
    images = tf.constant(helpers.make_dataset(4).images / np.float32(255))
    want = method.logits(images, branch="clean", training=False)
    passes = contract.record_passes(method)
    np.testing.assert_array_equal(method.logits(images, branch="clean", training=False), want)
    assert passes == [("encoder", "clean", False), ("linear_head", None, None)]


NATURAL = np.full([2, 8, 8, 3], 0.5, np.float32)


def _brightness(images):
    return tf.reduce_mean(images, [1, 2, 3])


def test_gain_of_the_best_perturbation_is_positive_and_of_none_negative():
    best = contract.attack_gain(_brightness, NATURAL, NATURAL + 0.125, epsilon=0.125)
    # Signs of 384 pixels sum up to a few tens at best.
    assert 0.1 < best < 0.125
    assert contract.attack_gain(_brightness, NATURAL, NATURAL, epsilon=0.125) < 0


@pytest.mark.parametrize("adversarial", [NATURAL + 0.2, NATURAL * 0 + 1.01])
def test_gain_refuses_what_leaves_ball_or_box(adversarial):
    with pytest.raises(AssertionError):
        contract.attack_gain(_brightness, NATURAL, adversarial, epsilon=0.15)


@pytest.mark.slow  # test_replicas.py has standard training.
@contract.eagerly_and_in_graph
def test_replicas_of_a_supervised_method_agree(in_graph):
    loss, gradient = contract.replica_difference(AT, in_graph=in_graph)
    assert loss < 1e-9 and gradient < 1e-9
