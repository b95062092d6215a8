"""Whole stages in a second, see worlds.py."""

import pytest

from tests.training.worlds import make_tiny_world


@pytest.fixture
def tiny_world(monkeypatch):
    """Stages of the returned config train the tiny encoder on synthetic images."""
    return make_tiny_world(monkeypatch)
