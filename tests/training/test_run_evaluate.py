"""The evaluation of a run leaves what it has finished, whatever ends it."""

import numpy as np
import pytest

from ascl_tf.config import Config
from ascl_tf.data import ImageDataset
from ascl_tf.errors import RunError
from ascl_tf.evaluation import records
from ascl_tf.evaluation.protocols import get_protocol
from ascl_tf.training import trained
from ascl_tf.training.workdir import WorkDirectory
from tests.evaluation import models


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Classifiers of the checkpoints of a run in `tmp_path`, by name; may be changed."""
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    labels = np.arange(6, dtype=np.int32) % 4
    test = ImageDataset("toy", images, labels, 4, ("a", "b", "c", "d"))
    found = {name: models.tiny_network(seed=seed) for seed, name in enumerate(("best", "last"))}
    monkeypatch.setattr(trained, "load_test_data", lambda config: test)
    monkeypatch.setattr(trained.run_data, "explain_seen", lambda *known, **settings: "")
    monkeypatch.setattr(trained, "load_classifier", lambda config, workdir, test, name: found[name])
    (tmp_path / "checkpoints" / "pretrain" / "best").mkdir(parents=True)
    return found


def _evaluate(folder, names=("standard", "fgsm")):
    config = Config(dataset="bundled", method="at", evaluation_batch_size=4)
    trained.evaluate(config, WorkDirectory(folder), [get_protocol(name) for name in names])


def _measured(folder):
    found = records.read_records(folder / "results" / "evaluate_pretrain.json")
    return [(record["checkpoint"], record["protocol"]) for record in found]


def test_both_checkpoints_are_recorded(networks, tmp_path, capsys):
    _evaluate(tmp_path)
    pairs = [(name, protocol) for name in ("best", "last") for protocol in ("standard", "fgsm")]
    assert _measured(tmp_path) == pairs
    assert capsys.readouterr().out.count("fgsm") >= 2


def test_other_protocols_are_added_to_those_of_before(networks, tmp_path, capsys):
    _evaluate(tmp_path, ["standard"])
    assert "notice:" not in capsys.readouterr().out
    networks["last"] = models.tiny_network(seed=7)
    _evaluate(tmp_path, ["fgsm"])
    assert _measured(tmp_path) == [("best", "standard"), ("best", "fgsm"), ("last", "fgsm")]
    said = capsys.readouterr().out
    assert "earlier records kept: standard; dropped (another model" in said


def test_equal_weights_are_measured_once(networks, tmp_path, monkeypatch):
    networks["last"] = networks["best"]
    calls, evaluate = [], trained.evaluate_robustness
    monkeypatch.setattr(
        trained, "evaluate_robustness", lambda *a, **k: calls.append(a) or evaluate(*a, **k)
    )
    _evaluate(tmp_path)
    assert len(calls) == 1 and len(_measured(tmp_path)) == 4


def test_a_checkpoint_that_fails_leaves_the_one_before(networks, tmp_path):
    weights = [np.full_like(w, np.nan) for w in networks["last"].get_weights()]
    networks["last"].set_weights(weights)
    with pytest.raises(RunError, match="expected finite logits"):
        _evaluate(tmp_path)
    assert _measured(tmp_path) == [("best", "standard"), ("best", "fgsm")]
