"""The benchmark of corruptions: turns, ratios, and a package that is not there."""

import json
import sys
import types

import numpy as np
import pytest

from ascl_tf.data.corruptions import SEVERITIES
from tools import benchmark
from tools.benchmarks import corruptions

FAKE_PACKAGE = """
def get_corruption_names(subset):
    return ["fog", "contrast", "brightness"]

def corrupt(image, corruption_name, severity):
    print("noise on the standard output")
    if corruption_name == "fog":
        raise AttributeError("no fog today\\nsecond line")
    return image
"""


@pytest.fixture
def peer(tmp_path, monkeypatch):
    (tmp_path / "imagecorruptions.py").write_text(FAKE_PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    np.save(tmp_path / "images.npy", np.zeros((2, 32, 32, 3), np.uint8))
    with corruptions.PeerProcess(sys.executable, tmp_path / "images.npy") as process:
        yield process


def test_benchmark_is_listed():
    assert "corruptions" in benchmark.names()


def test_peer_says_what_it_can_run_and_measures_itself(peer):
    assert peer.able == ["contrast", "brightness"]
    assert peer.unable == {"fog": "no fog today"}
    assert peer.versions["numpy"] == np.__version__
    assert 0 < peer.seconds("contrast", 2) < 10


def test_record_holds_the_ratio_of_all_types_together(peer, tmp_path, capsys):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    seconds = corruptions.measure(images, peer, 2)
    for candidate in (corruptions.OURS, corruptions.PEER):
        assert {name: len(rounds) for name, rounds in seconds[candidate].items()} == {
            "contrast": 2,
            "brightness": 2,
        }
    seconds = {
        corruptions.OURS: {"contrast": [1.0, 1.0, 9.0], "brightness": [2.0]},
        corruptions.PEER: {"contrast": [4.0], "brightness": [8.0, 8.0]},
    }
    arguments = types.SimpleNamespace(num_images=2, repeats=2, output=tmp_path)
    record = json.loads(corruptions.report(arguments, seconds, peer).read_text())
    assert [row["value"] for row in record["ratios"]] == [0.25, 0.25, 0.25]
    assert record["ratios"][-1] == {"corruption": "total", "value": 0.25, "to_reach": 0.25}
    assert record["severities"] == list(SEVERITIES) and record["peer_unable"] == peer.unable
    assert "cannot run fog: no fog today" in capsys.readouterr().out


def test_missing_package_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "imagecorruptions.py").write_text("raise ImportError('no pkg_resources')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SystemExit, match="expected the package imagecorruptions with setuptools"):
        corruptions.main([f"--peer_python={sys.executable}", "--num_images=1"])
    with pytest.raises(SystemExit, match=r"--peer_python=nowhere: No such file"):
        corruptions.main(["--peer_python=nowhere", "--num_images=1"])
