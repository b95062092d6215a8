"""From settings to parts: the projection head that the flags describe."""

import pytest

from ascl_tf.methods import factory
from tests.methods import helpers


def _head(**changes):
    head = factory.make_projection_head(helpers.TINY.replace(**changes), feature_dim=6)
    head.build((None, 6))
    return head


def _shapes(head):
    return [tuple(v.shape) for v in head.weights if "_bn/" not in v.path]


def test_default_head_is_as_wide_as_the_features():
    head = _head(projection_dim=4)
    assert _shapes(head) == [(6, 6), (6, 4), (4,)]
    assert list(head.hidden_bn[0].branches) == ["clean", "adversarial"]


def test_layers_and_widths_are_those_of_the_settings():
    head = _head(projection_layers=3, projection_hidden_dim=5, projection_dim=4)
    assert _shapes(head) == [(6, 5), (5, 5), (5, 4), (4,)]


@pytest.mark.parametrize(
    "value, num_norms, has_output_norm",
    [("hidden", 1, False), ("hidden_shared", 1, False), ("all", 1, True), ("none", 0, False)],
)
def test_batch_norm_stands_where_the_setting_says(value, num_norms, has_output_norm):
    head = _head(projection_batch_norm=value)
    assert len(head.hidden_bn) == num_norms
    assert (head.output_bn is not None) == has_output_norm


@pytest.mark.parametrize("batch_norm", ["separate", "shared", "triple"])
def test_sets_follow_the_encoder_unless_the_head_shares_one(batch_norm):
    own = _head(batch_norm=batch_norm).hidden_bn[0]
    shared = _head(batch_norm=batch_norm, projection_batch_norm="hidden_shared").hidden_bn[0]
    assert own.batch_norm == batch_norm
    assert list(shared.branches) == ["shared"]
