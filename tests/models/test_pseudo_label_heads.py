"""Heads on clusterings: one matrix each, their own sizes, zero at first."""

import numpy as np

from ascl_tf.models.heads import PseudoLabelHeads

FEATURES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def _heads(counts=(2, 3, 3)):
    heads = PseudoLabelHeads(counts, name="pseudo_label_heads")
    heads.build((None, 4))
    return heads


def test_each_head_is_an_affine_map_of_its_own_width():
    heads = _heads()
    rng = np.random.default_rng(1)
    for variable in heads.weights:
        variable.assign(rng.normal(size=variable.shape))
    logits = heads(FEATURES)
    assert [rows.shape for rows in logits] == [(5, 2), (5, 3), (5, 3)]
    values = [variable.numpy() for variable in heads.weights]
    for rows, kernel, bias in zip(logits, values[::2], values[1::2], strict=True):
        np.testing.assert_allclose(rows, FEATURES @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_every_variable_is_trained_starts_at_zero_and_has_a_path_of_its_own():
    heads = _heads()
    assert len(heads.trainable_variables) == len(heads.weights) == 6
    assert len({variable.path for variable in heads.weights}) == 6
    assert not any(np.any(variable.numpy()) for variable in heads.weights)


def test_comes_back_from_its_config():
    assert PseudoLabelHeads.from_config(_heads().get_config()).cluster_counts == (2, 3, 3)
