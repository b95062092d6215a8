"""Augmentation as one graph for all tests: eagerly it takes half the time of a tiny step."""

import pytest
import tensorflow as tf

from ascl_tf.data.views import strong_view, weak_view
from ascl_tf.methods import views

_STRONG, _WEAK = (tf.function(view, autograph=False) for view in (strong_view, weak_view))


@pytest.fixture(autouse=True)
def _traced_views(monkeypatch):
    """The views themselves are tests/data/test_views.py's."""
    monkeypatch.setattr(views, "strong_view", _STRONG)
    monkeypatch.setattr(views, "weak_view", _WEAK)
