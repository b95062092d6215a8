"""cleverhans behind our signature: equal to ours where it must be, inside ball and box."""

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.attacks import linf_pgd
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.reference_attacks import KINDS, _rebound, cleverhans_attack
from tests.common import random_images
from tests.evaluation import models

EPSILON = 8 / 255
SEED = tf.constant([3, 4])
STEPS = {"epsilon": EPSILON, "step_size": 2 / 255, "num_steps": 5}
SETTINGS = {
    "fgm": {"epsilon": EPSILON, "step_size": EPSILON, "num_steps": 1},
    "bim": STEPS,
    "mim": STEPS | {"decay_factor": 1.0},
    "madry": STEPS | {"random_start": True, "seed": SEED},
    "pgd": STEPS | {"random_start": True, "seed": SEED},
}
LABELS = np.array([0, 1, 2, 3])


@pytest.fixture(scope="module")
def network():
    return models.tiny_network()


def _images():
    # Some pixels on the walls of the box, so that clipping has something to do.
    return tf.constant(np.clip(2 * random_images() - 0.5, 0, 1))


def _cross_entropy(network):
    return lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, network(x))


@pytest.mark.parametrize("random_start", [False, True])
def test_our_pgd_equals_cleverhans(network, random_start):
    settings = STEPS | {"random_start": random_start, "seed": SEED}
    ours = linf_pgd(_cross_entropy(network), _images(), **settings)
    theirs = cleverhans_attack("pgd", network, _images(), LABELS, **settings)
    assert np.abs(ours - _images()).max() > 0.9 * EPSILON
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_one_seed_per_image_starts_each_image_on_its_own(network):
    seeds = tf.stack([[1, i] for i in range(4)])
    whole = cleverhans_attack(
        "pgd", network, _images(), LABELS, **STEPS, random_start=True, seed=seeds
    )
    second = cleverhans_attack(
        "pgd", network, _images()[1:2], LABELS[1:2], **STEPS, random_start=True, seed=seeds[1:2]
    )
    np.testing.assert_allclose(whole[1:2], second, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_stays_in_ball_and_box_and_raises_the_loss(kind, network):
    images = _images()
    adversarial = cleverhans_attack(kind, network, images, LABELS, **SETTINGS[kind])
    assert adversarial.dtype == tf.float32
    assert np.abs(adversarial - images).max() <= EPSILON + 1e-6
    assert np.min(adversarial) >= 0 and np.max(adversarial) <= 1
    objective = _cross_entropy(network)
    assert np.all(objective(adversarial).numpy() > objective(images).numpy())


def test_global_random_state_is_neither_used_nor_moved(network):
    tf.random.set_seed(1)
    first = cleverhans_attack("madry", network, _images(), LABELS, **SETTINGS["madry"])
    drawn = tf.random.uniform([3])
    tf.random.set_seed(1)
    np.testing.assert_array_equal(drawn, tf.random.uniform([3]))
    again = cleverhans_attack("madry", network, _images(), LABELS, **SETTINGS["madry"])
    np.testing.assert_array_equal(first, again)


def test_iterates_match_a_float64_loop_of_the_momentum_method():
    images, labels, weights, bias = models.linear_problem(num_images=4)
    logits_fn = models.linear_logits(weights, bias)
    got = cleverhans_attack("mim", logits_fn, images, labels, **SETTINGS["mim"])
    # On a linear model the sign of the gradient never changes, so momentum changes nothing.
    sign = np.where(labels == 0, -1.0, 1.0)[:, None, None, None] * np.sign(weights)
    expected = images.astype(np.float64)
    for _ in range(5):
        moved = np.clip(expected + 2 / 255 * sign, images - EPSILON, images + EPSILON)
        expected = np.clip(moved, 0, 1)
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.slow  # test_robustness.py has their numbers.
def test_every_cleverhans_protocol_runs_in_a_graph(network):
    images = random_images(5)
    labels = np.argmax(network(images), axis=1)
    names = [f"cleverhans_{kind}" for kind in ("fgm", "bim", "mim", "madry", "pgd20")]
    records = evaluate_robustness(network, (images, labels), names, batch_size=4)
    for record in records:
        assert 0 < record["max_perturbation"] <= EPSILON + 1e-6
        assert record["attack"]["library"] == "cleverhans"


def test_cleverhans_keeps_its_own_random_numbers():
    from cleverhans.tf2.attacks import projected_gradient_descent as module

    before = module.random_lp_vector
    copy = _rebound(module.projected_gradient_descent, random_lp_vector=None)
    assert copy.__globals__["random_lp_vector"] is None
    assert module.random_lp_vector is before


def test_cleverhans_without_the_expected_inside_is_refused():
    with pytest.raises(ValueError, match=r"_rebound must use \['absent'\]; received a version"):
        _rebound(_rebound, absent=None)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("cw", {}, r"`kind` must be one of fgm, bim, mim, madry, pgd; received 'cw'"),
        (
            "pgd",
            {"step_size": 1.0},
            r"`step_size` must be above 0 and at most `epsilon`.*received 1",
        ),
        ("pgd", {"step_size": 0.0}, r"`step_size` must be above 0"),
        ("fgm", {}, r"`step_size` must equal `epsilon` and `num_steps` must be 1"),
        ("madry", {}, r"`random_start` must be True for 'madry'; received False"),
        ("bim", {"random_start": True}, r"`random_start` must be False for 'bim'"),
        ("pgd", {"random_start": True}, r"`random_start=True` needs a `seed`"),
        ("mim", {}, r"`decay_factor` must be given for 'mim'.*received None"),
        ("bim", {"decay_factor": 1.0}, r"`decay_factor` must be given for 'mim'.*for 'bim'"),
    ],
)
def test_setting_that_the_attack_does_not_have_is_named(kind, change, message, network):
    with pytest.raises(ValueError, match=message):
        cleverhans_attack(kind, network, _images(), LABELS, **(STEPS | change))


def test_attacks_left_out_still_fail_as_the_module_says(network):
    from cleverhans.tf2.attacks.carlini_wagner_l2 import CarliniWagnerL2
    from cleverhans.tf2.attacks.spsa import spsa

    class Adapted:
        def __init__(self, optimizer):
            self.variables = lambda: optimizer.variables
            self.apply_gradients = optimizer.apply_gradients

    attack = CarliniWagnerL2(network, max_iterations=2, binary_search_steps=1)
    with pytest.raises(TypeError, match="'list' object is not callable"):
        attack.attack(_images())
    attack = CarliniWagnerL2(network, max_iterations=2, binary_search_steps=2)
    attack.optimizer = Adapted(attack.optimizer)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        attack.attack(_images())
    with pytest.raises(ValueError, match="lr"):
        spsa(network, _images()[:1], LABELS[:1], EPSILON, 1, 0.0, 1.0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((4, 8, 8, 3), 128, np.uint8), r"floating point in \[0, 1\]; received dtype"),
        (2 * random_images() - 1, r"`images` must be in \[0, 1\]; received values from -"),
    ],
)
def test_images_out_of_the_box_are_named(network, images, message):
    with pytest.raises(ValueError, match=message):
        cleverhans_attack("bim", network, images, LABELS, **SETTINGS["bim"])
