"""PGD against other packages: each stays in ball and box, and is compared by its median."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from tools.benchmarks import _autoattack_candidates, _pgd_peers, pgd

RNG = np.random.default_rng(0)
WEIGHTS = 0.2 * RNG.normal(size=(48, 2)).astype(np.float32)


def _logits(images):
    return tf.reshape(images, [-1, 48]) @ WEIGHTS


def _torch_network():
    import torch

    # PyTorch flattens channels first.
    weights = np.ascontiguousarray(WEIGHTS.reshape(4, 4, 3, 2).transpose(3, 2, 0, 1))
    layer = torch.nn.Linear(48, 2, bias=False)
    layer.weight.data = torch.from_numpy(weights.reshape(2, 48))
    return torch.nn.Sequential(torch.nn.Flatten(), layer)


@pytest.fixture
def task():
    images = RNG.uniform(size=(6, 4, 4, 3)).astype(np.float32)
    labels = np.argmax(_logits(images), axis=1)
    return _pgd_peers.Task(
        logits_fn=_logits,
        torch_network=_torch_network,
        images=tf.constant(images),
        labels=tf.constant(labels, tf.int32),
        num_classes=2,
        epsilon=8 / 255,
        step_size=2 / 255,
        num_steps=20,
    )


@pytest.mark.parametrize("package", ["ours", "cleverhans", "foolbox", "art", "torchattacks"])
def test_all_end_where_the_loss_of_the_true_labels_is_largest(task, package):
    if package == "ours":
        attacks = [pgd.make_candidates(task)[pgd.OURS]]
    else:
        pytest.importorskip(package, reason=f"the package {package} is not installed")
        attacks = getattr(_pgd_peers, f"_{package}")(task).values()
    # Of two classes and a linear network the loss is largest in one corner of ball and box.
    corners = np.clip(task.images.numpy() + 8 / 255 * np.sign(_gradient(task)), 0, 1)
    for attack in attacks:
        found = np.asarray(attack())
        np.testing.assert_allclose(found, corners, atol=1e-6)


def _gradient(task):
    with tf.GradientTape() as tape:
        tape.watch(task.images)
        values = tf.nn.sparse_softmax_cross_entropy_with_logits(task.labels, _logits(task.images))
    return tape.gradient(values, task.images).numpy()


def test_missing_packages_are_named(task, monkeypatch):
    def missing(task):
        raise ImportError("No module named 'art'")

    monkeypatch.setattr(_pgd_peers, "_art", missing)
    for name in ("_cleverhans", "_foolbox", "_torchattacks"):
        monkeypatch.setattr(_pgd_peers, name, lambda task, name=name: {name: None})
    peers, left_out = _pgd_peers.make_peers(task)
    assert list(peers) == ["_cleverhans", "_foolbox", "_torchattacks"]
    assert left_out == {"adversarial-robustness-toolbox": "No module named 'art'"}


def test_package_with_two_layouts_counts_once_with_the_faster():
    seconds = {
        pgd.OURS: [1.0, 1.0],
        pgd.BARE: [1.0, 1.0],
        "a (slow layout)": [9.0, 9.0],
        "a (fast layout)": [3.0, 4.0],
        "b": [2.0, 2.0],
        "c": [5.0, 6.0],
        pgd.PRODUCT: [0.1, 0.1],
    }
    found = pgd.derived(seconds)
    assert found[pgd.FASTEST] == [2.0, 2.0] and found[pgd.MEDIAN] == [3.0, 4.0]
    alone = {name: seconds[name] for name in (pgd.OURS, pgd.BARE)}
    assert pgd.derived(alone) == alone


def test_record_holds_ratios_and_what_each_attack_leaves(task, tmp_path, capsys):
    arguments = types.SimpleNamespace(
        subject=None, width=2, batch_size=6, matrix_size=1000, repeats=1, output=tmp_path
    )
    candidates = {pgd.OURS: lambda: task.images, "a": lambda: task.images.numpy()}
    seconds = {pgd.OURS: [1.0], pgd.BARE: [2.0], "a": [4.0], pgd.PRODUCT: [0.5]}
    path = pgd.report(arguments, task, 3e9, seconds, candidates, {"foolbox": "No module"})
    record = json.loads(path.read_text())
    assert [(row["value"], row["to_reach"]) for row in record["ratios"]] == [
        (0.5, 1.03),
        (0.25, 1.02),
    ]
    assert record["robust_accuracies"] == {pgd.OURS: 100.0, "a": 100.0}
    shares = {"gflops": 3.0, "limit_gflops": 4.0, "share": 0.75}
    assert record["shares_of_the_limit"] == {pgd.OURS: shares}
    assert record["missing"] == ["foolbox"] and path.name == "benchmark_pgd.json"
    assert "left out: foolbox (ascl-tf[bench]; found: No module)" in capsys.readouterr().out


def test_operations_of_the_small_network_by_hand():
    shapes = {"conv1": (3, 3, 3, 4), "conv2": (3, 3, 4, 5), "conv3": (3, 3, 5, 6)}
    weights = {f"{layer}/kernel": np.zeros(shape) for layer, shape in shapes.items()}
    by_hand = 2 * 9 * (6 * 6 * 3 * 4 + 3 * 3 * 4 * 5 + 2 * 2 * 5 * 6)
    assert _autoattack_candidates.forward_operations(weights, size=6) == by_hand


def test_missing_subject_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="--subject: expected a file of weights"):
        pgd.main([f"--subject={tmp_path / 'nowhere.npz'}", "--batch_size=2"])
