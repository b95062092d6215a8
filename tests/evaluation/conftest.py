"""What tests of measurements share: attacks of their own, and graphs that run step by step."""

import pytest
import tensorflow as tf

from ascl_tf.evaluation.batch_attacks import ATTACKS
from ascl_tf.evaluation.protocols import Protocol


@pytest.fixture
def protocol_of(monkeypatch):
    """Returns a function that makes a protocol of an attack, a function as in `ATTACKS`."""

    def make(attack, **settings):
        monkeypatch.setitem(ATTACKS, "test", attack)
        return Protocol(**{"name": "mine", "kind": "test", "epsilon": "8/255", **settings})

    return make


@pytest.fixture
def eagerly():
    """Lets an attack see the values of its images."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
