"""Benchmarks: chosen by name, timed in turn, recorded with ratios; AutoAttack's in particular."""

import json
import types

import numpy as np
import pytest

from tools import benchmark
from tools.benchmarks import _autoattack_candidates as candidates
from tools.benchmarks import autoattack, common

RNG = np.random.default_rng(0)


def test_every_module_is_a_benchmark():
    assert {"autoattack", "pgd", "views"} <= set(benchmark.names())
    assert not any(name.startswith("_") or name == "common" for name in benchmark.names())


@pytest.mark.parametrize("argv", [[], ["speed"]])
def test_unknown_benchmark_is_one_line_and_status_2(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmark.main(argv)
    line = capsys.readouterr().err
    assert "expected the name of a benchmark (autoattack" in line and line.count("\n") == 1


def test_candidates_take_turns_after_an_untimed_round(monkeypatch):
    calls = []
    monkeypatch.setattr(common, "PAUSE", 0.5)
    monkeypatch.setattr(common.time, "sleep", lambda seconds: calls.append(f"{seconds} s"))
    monkeypatch.setattr(common, "timed", lambda name: (calls.append(name) or len(calls), None))
    seconds = common.interleaved({"a": "a", "b": "b"}, 2)
    rounds = [calls[i : i + 4] for i in (0, 4, 8)]
    forwards, backwards = ["0.5 s", "a", "0.5 s", "b"], ["0.5 s", "b", "0.5 s", "a"]
    assert rounds == [backwards, forwards, backwards]
    assert seconds == {"a": [6, 12], "b": [8, 10]}


def test_of_a_short_call_the_second_counts(monkeypatch):
    monkeypatch.setattr(common.time, "sleep", lambda _: None)
    spans = iter([0.9, 0.3, 2.0, 0.8, 0.2])
    monkeypatch.setattr(common, "timed", lambda _: (next(spans), None))
    assert common.interleaved({"a": None}, 2) == {"a": [2.0, 0.2]}
    assert not list(spans)


def test_ratios_are_those_of_medians(tmp_path, capsys):
    arguments = types.SimpleNamespace(width=2, batch_size=4, repeats=3, output=tmp_path)
    seconds = {"a": [9.0, 1.0, 2.0], "b": [4.0, 4.0, 100.0]}
    path = common.report_ratios(arguments, "pgd", seconds, {"a / b": ("a", "b", 1.05)})
    assert path == tmp_path / "benchmark_pgd.json"
    record = json.loads(path.read_text())
    assert record["ratios"] == [{"ratio": "a / b", "value": 0.5, "to_reach": 1.05}]
    assert record["seconds"] == seconds and "tensorflow" in record["versions"]
    assert "0.500" in capsys.readouterr().out


class _Candidate:
    """Fools a third of what it gets, and notes how many that was."""

    def __init__(self):
        self.sizes = []

    def attack(self, name, images, labels):
        self.sizes.append(len(images))
        return np.arange(len(labels)) % 3 > 0


def test_all_candidates_go_on_with_what_resisted_the_official_attack():
    found = {name: _Candidate() for name in (autoattack.OURS, autoattack.OFFICIAL)}
    seconds, robust = autoattack.measure(
        found, ["apgd-ce", "square"], np.zeros((9, 2, 2, 3)), np.zeros(9, int), 2
    )
    for name, candidate in found.items():
        assert candidate.sizes == [9, 6, 9, 6]
        assert robust[name] == {"apgd-ce": [6, 6], "square": [4, 4]}
        assert {attack: len(rounds) for attack, rounds in seconds[name].items()} == {
            "apgd-ce": 2,
            "square": 2,
        }


def test_record_holds_ratios_to_both_official_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(autoattack, "_torch_versions", lambda: {"torch": "0"})
    arguments = types.SimpleNamespace(num_images=9, repeats=1, output=tmp_path)
    seconds = {
        autoattack.OURS: {"fab-t": [1.0], "square": [3.0]},
        autoattack.OFFICIAL: {"fab-t": [4.0], "square": [6.0]},
        autoattack.CHANNELS_LAST: {"fab-t": [2.0], "square": [3.0]},
    }
    record = json.loads(autoattack.report(arguments, seconds, {}).read_text())
    assert [row["attack"] for row in record["ratios"]] == ["fab-t", "square", "total"]
    assert [row["value"] for row in record["ratios"]] == [0.25, 0.5, 0.4]
    assert [row["against_channels_last"] for row in record["ratios"]] == [0.5, 1.0, 0.8]
    assert record["versions"]["torch"] == "0" and record["num_images"] == 9


def _weights():
    shapes = {
        "conv1/kernel": (3, 3, 3, 4),
        "conv2/kernel": (3, 3, 4, 6),
        "conv3/kernel": (3, 3, 6, 8),
        "dense/kernel": (8, 5),
    }
    weights = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    weights |= {f"{name[:5]}/bias": RNG.normal(size=shape[-1]) for name, shape in shapes.items()}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def _subjects(folder):
    np.savez(folder / "robust.npz", **_weights())
    images = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(folder / "images_128.npz", images=images, labels=np.arange(6) % 5)


def test_missing_package_is_one_line_that_names_the_extra(tmp_path, monkeypatch):
    def missing(*arguments, **settings):
        raise ImportError("No module named 'pyautoattack'")

    _subjects(tmp_path)
    monkeypatch.setattr(autoattack, "OfficialCandidate", missing)
    with pytest.raises(SystemExit, match=r"ascl-tf\[bench\].*found: No module named 'pyauto"):
        autoattack.main([f"--subjects={tmp_path}"])


def test_missing_subjects_are_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"expected robust\.npz .* --subjects=.*nowhere; found:"):
        autoattack.main([f"--subjects={tmp_path / 'nowhere'}"])


def test_our_candidate_attacks_the_network_of_the_weights():
    weights, images = _weights(), RNG.uniform(size=(6, 8, 8, 3)).astype(np.float32)
    candidate = candidates.OurCandidate(weights)
    labels = np.argmax(candidate._logits(images), axis=1)
    labels[0] = (labels[0] + 1) % 5
    robust = candidate.attack("apgd-ce", images, labels)
    assert robust.shape == (6,) and robust.dtype == bool and not robust[0]


def test_both_candidates_have_the_same_network():
    torch = pytest.importorskip("torch", reason="the package torch is not installed")
    weights, images = _weights(), RNG.uniform(size=(6, 8, 8, 3)).astype(np.float32)
    network = candidates._torch_network(torch, weights).eval()
    with torch.no_grad():
        want = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(candidates.OurCandidate(weights)._logits(images), want, atol=1e-4)
