"""What tests of tools share: no benchmark waits for sleeping threads."""

import pytest

from tools.benchmarks import common
from tools.reproduction import data_sets


@pytest.fixture(scope="session", autouse=True)
def _data_is_there():
    """Steps that are fake need none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_sets, "find_absent", lambda nodes, data_dir: [])
        yield


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """Nothing is concluded from these times."""
    monkeypatch.setattr(common, "PAUSE", 0.0)
