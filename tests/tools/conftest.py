"""What tests of tools share: no benchmark waits for sleeping threads."""

import pytest

from tools.benchmarks import common


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """Nothing is concluded from these times."""
    monkeypatch.setattr(common, "PAUSE", 0.0)
