"""Branches of any Keras model: copies, the branch of a call, and what can have none."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.errors import ConfigError
from ascl_tf.models import BRANCHES, batch_norm_branch, with_dual_batch_norm
from ascl_tf.models.branches import BranchedBatchNormalization
from tests.common import random_images
from tests.models.own_networks import (
    SIZE,
    Subclassed,
    make_functional,
    make_mobile_net,
    make_sequential,
)


def _drawn(model):
    """Returns the model, built, with weights that no other has."""
    model(random_images(2, SIZE))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def _branched(model):
    return [m for m in model._flatten_layers() if isinstance(m, BranchedBatchNormalization)]


@pytest.fixture(scope="module")
def original():
    return _drawn(make_functional())


@pytest.fixture
def copy(original):
    return with_dual_batch_norm(original)


def _moved(model, function):
    before = {v.path: v.numpy() for v in model.variables}
    function()
    return {v.path for v in model.variables if np.any(v.numpy() != before[v.path])}


@pytest.mark.parametrize("make", [make_functional, make_sequential])
def test_every_branch_begins_with_the_weights_of_the_model(make):
    model, images = _drawn(make()), random_images(4, SIZE)
    copy = with_dual_batch_norm(model, "triple")
    assert len(_branched(copy)) == (2 if make is make_functional else 1)
    for branch in (*BRANCHES, "adversarial_ce"):
        with batch_norm_branch(branch):
            np.testing.assert_allclose(copy(images), model(images), rtol=1e-6)


def test_copy_keeps_the_settings_of_each_layer(copy):
    norm = next(m for m in _branched(copy) if m.name == "norm")
    parts = norm.branches.values()
    assert {(part.momentum, part.epsilon, part.synchronized) for part in parts} == {
        (0.5, 1e-3, True)
    }


def test_copy_is_another_model(copy, original):
    before = original.get_weights()
    with batch_norm_branch("clean"):
        copy(random_images(4, SIZE), training=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, original.get_weights(), strict=True))


@pytest.mark.parametrize("branch", BRANCHES)
def test_only_the_named_branch_moves_nested_models_included(copy, branch):
    @tf.function(autograph=False)
    def step(images):
        with batch_norm_branch(branch):
            copy(images, training=True)
            copy(images, training=False)

    moved = _moved(copy, lambda: step(random_images(4, SIZE)))
    assert len(moved) == 2 * 2
    assert all(f"/{branch}/moving_" in path for path in moved)


@pytest.mark.slow  # Half a hundred of them, as in any network.
def test_mobile_net_has_branches_in_every_batch_norm():
    copy = with_dual_batch_norm(make_mobile_net())
    assert len(_branched(copy)) == 52

    def passes():
        with batch_norm_branch("clean"):
            copy(random_images(2, 32), training=True)

    moved = _moved(copy, passes)
    assert len(moved) == 2 * 52 and all("/clean/moving_" in path for path in moved)


def test_call_without_a_branch_is_refused(copy):
    with pytest.raises(RuntimeError, match="batch norm norm: expected a branch, set by batch_norm"):
        copy(random_images(2, SIZE))


def test_branch_is_that_of_the_thread(copy):
    images, outputs = random_images(4, SIZE), {}
    for number, part in enumerate(_branched(copy)[0].branches.values()):
        part.beta.assign(part.beta + number)
    barrier = threading.Barrier(2, timeout=20)

    def run(branch):
        with batch_norm_branch(branch):
            barrier.wait()  # Both have set theirs before either calls.
            outputs[branch] = copy(images).numpy()

    threads = [threading.Thread(target=run, args=[branch]) for branch in BRANCHES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for branch in BRANCHES:
        with batch_norm_branch(branch):
            np.testing.assert_allclose(outputs[branch], copy(images), rtol=1e-6)
    assert np.abs(outputs["clean"] - outputs["adversarial"]).max() > 0.1


def test_outer_branch_holds_again_behind_an_inner_one(copy):
    with batch_norm_branch("clean"):
        with batch_norm_branch("adversarial"):
            pass
        moved = _moved(copy, lambda: copy(random_images(4, SIZE), training=True))
    assert all("/clean/" in path for path in moved) and moved


def test_function_that_is_traced_again_names_its_branch_itself(copy):
    images = tf.constant(random_images(4, SIZE))

    def inside(x):
        with batch_norm_branch("clean"):
            return copy(x)

    with tf.GradientTape() as tape, batch_norm_branch("clean"):
        tape.watch(images)
        outputs = tf.recompute_grad(lambda x: copy(x))(images)
    # Traced again by `gradient`, where no branch is set: not silently the default.
    with pytest.raises(RuntimeError, match="expected a branch"):
        tape.gradient(outputs, images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = tf.recompute_grad(inside)(images)
    assert np.abs(tape.gradient(outputs, images)).max() > 0


class Block(keras.layers.Layer):
    """A layer with a batch norm that Keras copies as a whole."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization(name="hidden")

    def call(self, images):
        return self.norm(images)


def _with(*layers):
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *layers])


@pytest.mark.parametrize(
    "make, found",
    [
        (lambda: _with(keras.layers.Flatten()), "found none in plain"),
        (Subclassed, "found norm in subclassed.*, a layer or model of its own class"),
        (lambda: _with(Block(name="block")), "found hidden in block, a layer or model of its"),
        (lambda: _with(Subclassed(name="inner")), "found norm in inner, a layer or model of"),
    ],
)
def test_what_can_have_no_branches_is_refused_in_one_line(make, found):
    model = make()
    model(random_images(2, SIZE))
    if isinstance(model, keras.Sequential):
        model.name = "plain"
    with pytest.raises(ConfigError, match=found) as caught:
        with_dual_batch_norm(model)
    line = str(caught.value)
    assert "`batch_norm=shared` trains the network as it is" in line and "\n" not in line
