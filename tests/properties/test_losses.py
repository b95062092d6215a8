"""Whatever shapes and numbers a loss is given: finite values, or a ValueError that names one."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from ascl_tf.losses import (
    adversarial_pair_supervised_contrastive_loss,
    adversarial_supervised_contrastive_loss,
    mart_loss,
    nt_xent_loss,
    supervised_contrastive_loss,
    trades_loss,
)
from tests.properties.values import CHECK

_SHAPE = st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=3)
_ROWS = _SHAPE | st.sampled_from([[2, 3], [4, 3], [4, 3]])
_SCALE = st.sampled_from([0.5, 1.0, 1e4])
_NUMBER = st.sampled_from([0.5, 1.0, 6, 0, -1, float("nan"), float("inf"), "0.5", None])
_DTYPE = st.sampled_from([np.int32, np.int64, np.float32])


def _draw(shape, scale, dtype=np.float32):
    values = np.random.default_rng(len(shape)).normal(size=shape) * scale
    return values.astype(dtype)


def _normalized(shape):
    return tf.math.l2_normalize(_draw(shape, 1.0), axis=-1)


def _try(loss, names, num_values):
    """Calls the loss: a vector of finite values, or an error that names an argument."""
    try:
        values = loss()
    except ValueError as error:
        assert str(error).split("`")[1] in names, error
        return
    assert values.shape == (num_values,) and np.all(np.isfinite(values))


@CHECK
@given(views=_ROWS, adversarial=_ROWS, labels=_SHAPE, dtype=_DTYPE, temperature=_NUMBER)
def test_contrastive_losses_are_finite_or_name_what_is_wrong(
    views, adversarial, labels, dtype, temperature
):
    ids = np.zeros(labels, dtype)
    clean, attacked = _normalized(views), _normalized(adversarial)
    names = {"projections", "clean_projections", "adversarial_projections", "labels", "temperature"}
    for loss in (
        lambda: nt_xent_loss(clean, temperature=temperature),
        lambda: supervised_contrastive_loss(clean, ids, temperature=temperature),
        lambda: adversarial_supervised_contrastive_loss(
            clean, attacked, ids, temperature=temperature
        ),
        lambda: adversarial_pair_supervised_contrastive_loss(clean, ids, temperature=temperature),
    ):
        _try(loss, names, views[0])


@CHECK
@given(clean=_ROWS, adversarial=_ROWS, labels=_SHAPE, dtype=_DTYPE, beta=_NUMBER, scale=_SCALE)
def test_classification_losses_are_finite_or_name_what_is_wrong(
    clean, adversarial, labels, dtype, beta, scale
):
    ids = np.zeros(labels, dtype)
    names = {"clean_logits", "adversarial_logits", "labels", "beta"}
    for loss in (trades_loss, mart_loss):
        _try(
            lambda loss=loss: loss(_draw(clean, scale), _draw(adversarial, scale), ids, beta=beta),
            names,
            clean[0],
        )
