"""`--precision=bfloat16`: what the layers compute in, and what stays float32, in every method."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.config import FINETUNE_MODES, method_names
from ascl_tf.losses.classification import cross_entropy_loss
from ascl_tf.losses.contrastive import nt_xent_loss
from ascl_tf.models import ADVERSARIAL
from ascl_tf.training.strategy import layers_in
from tests.methods import helpers
from tests.methods.contract import SMALL, data_of


def _make_method(config, precision="bfloat16", **settings):
    with layers_in(precision):
        return helpers.compile_tiny(helpers.make_method(config, **settings))


def _variables(method):
    return helpers.state(method) + method.optimizer.variables


def _check_step(method, data):
    """Makes a step eagerly; what passes from function to function must be float32."""
    caught = []
    for name in ("make_views", "make_adversarial", "forward"):
        setattr(method, name, _catching(getattr(method, name), caught))
    logs = method.train_step(data)
    views, adversarial, *_, outputs = caught
    tensors = {**views, **adversarial} | {k: t.per_row for k, t in outputs.terms.items()}
    # The features of a frozen encoder are its own result; what is computed of them is not.
    tensors.pop("features", None)
    kinds = {name: tensor.dtype for name, tensor in tensors.items() if tensor.dtype.is_floating}
    assert kinds and set(kinds.values()) == {tf.float32}, kinds
    assert all(np.isfinite(value) for value in logs.values()), logs


def _catching(function, caught):
    def call(*args):
        caught.append(function(*args))
        return caught[-1]

    return call


# A step of each passes the same layers; these have all kinds of parts.
_IN_DEFAULT_RUN = ("ascl", "advcl", "rocl", "wscat")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n in _IN_DEFAULT_RUN else pytest.mark.slow)
        for n in method_names()
    ],
)
def test_every_method_computes_in_bfloat16_and_keeps_the_rest_in_float32(name):
    method = _make_method(SMALL.replace(method=name))
    assert method.encoder.conv.compute_dtype == "bfloat16"
    before = helpers.values(method)
    _check_step(method, data_of(name))
    assert {v.dtype for v in _variables(method)} <= {"float32", "int64", "int32"}
    moved = helpers.changed(before, helpers.values(method))
    assert any("moving_variance" in path for path in moved)


@pytest.mark.parametrize("mode", FINETUNE_MODES)
def test_every_fine_tuning_computes_in_bfloat16(mode):
    method = _make_method(SMALL.replace(finetune=mode), finetune=True)
    _check_step(method, helpers.make_data())


def test_weight_perturbation_computes_in_bfloat16():
    _check_step(_make_method(SMALL.replace(method="at", awp_gamma=0.01)), helpers.make_data())


def test_policy_is_put_back_also_after_an_error():
    with pytest.raises(KeyError), layers_in("bfloat16"):
        assert keras.layers.Dense(1).compute_dtype == "bfloat16"
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
    with layers_in("float32"):
        assert keras.layers.Dense(1).compute_dtype == "float32"


def _input_gradients(precision, scale):
    """Gradients of cross-entropy and of NT-Xent by the pixels, [2, 64, 8, 8, 3]."""
    method = _make_method(helpers.TINY, precision)
    method.linear_head.dense.kernel.assign(scale * method.linear_head.dense.kernel.value)
    dataset = helpers.make_dataset(64)
    images = tf.constant(dataset.images / np.float32(255))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        logits = method.logits(images, branch=ADVERSARIAL, training=False)
        projections = method.projections(images, branch=ADVERSARIAL, training=False)
        losses = [
            cross_entropy_loss(logits, dataset.labels),
            nt_xent_loss(projections, temperature=0.5),
        ]
    gradients = [tape.gradient(loss, images) for loss in losses]
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    return np.stack(gradients)


@pytest.mark.parametrize("scale", [1.0, 100.0], ids=["usual logits", "confident logits"])
def test_attack_finds_no_more_zero_gradients_than_in_float32(scale):
    half, full = (_input_gradients(precision, scale) for precision in ("bfloat16", "float32"))
    axes = (1, 2, 3, 4)
    shares = np.mean(half == 0, axes), np.mean(full == 0, axes)
    np.testing.assert_allclose(*shares, atol=0.01)
    # Eight bits turn round the signs of small gradients only.
    assert np.mean(np.sign(half) == np.sign(full)) > 0.9


def test_perturbation_and_its_steps_are_those_of_float32():
    config = helpers.TINY.replace(method="at", num_steps_at=1)
    found = []
    for precision in ("bfloat16", "float32"):
        method = _make_method(config, precision)
        views = helpers.views_of(method, helpers.make_data())
        found.append(method.make_adversarial(views)["images_at"].numpy())
    # The same bits wherever the gradient points the same way.
    assert found[0].dtype == np.float32 and np.mean(found[0] == found[1]) > 0.9


def test_weights_of_both_precisions_are_one_checkpoint():
    half, full = (_make_method(helpers.TINY, precision) for precision in ("bfloat16", "float32"))
    paths = [[v.path.partition("/")[2] for v in helpers.state(method)] for method in (half, full)]
    assert paths[0] == paths[1]
    full = helpers.make_method(weights=[v.numpy() for v in helpers.state(half)])
    images = tf.constant(helpers.make_dataset(6).images / np.float32(255))
    rounded, exact = (
        m.logits(images, branch=ADVERSARIAL, training=False).numpy() for m in (half, full)
    )
    assert rounded.dtype == exact.dtype == np.float32 and np.any(rounded != exact)
    np.testing.assert_allclose(rounded, exact, rtol=0.1, atol=0.1)
