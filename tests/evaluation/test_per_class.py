"""Accuracies of single classes: in records, and on the screen."""

import io

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from ascl_tf.data import ImageDataset
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.display import print_records
from ascl_tf.evaluation.per_class import accuracies_by_class
from ascl_tf.evaluation.verdicts import verdicts_of


def _means(images):
    return 20 * tf.reduce_mean(images, axis=[1, 2])


@pytest.fixture(scope="module")
def measured():
    """Records of 12 images, and their labels; the third class has none."""
    rng = np.random.default_rng(0)
    images = rng.random([12, 4, 4, 3]) * 0.2 + 0.4
    labels = np.array([0, 1] * 6)
    images[:8, ..., 0] += np.linspace(0, 0.2, 8)[:, None, None]
    dataset = ImageDataset.from_arrays(images, labels, class_names=["cat", "[b]dog", "owl"])
    return evaluate_robustness(_means, dataset, ["standard", "fgsm"]), labels


def test_records_hold_what_the_verdicts_say_of_each_class(measured):
    records, labels = measured
    for record in records:
        right, robust = (verdicts_of(record, name) for name in ("standard", "robust"))
        names = [entry["class"] for entry in record["per_class"]]
        assert names == ["cat", "[b]dog"]
        for label, entry in enumerate(record["per_class"]):
            chosen = labels == label
            assert entry["num_images"] == 6
            assert entry["standard_accuracy"] == pytest.approx(100 * right[chosen].mean())
            assert entry["robust_accuracy"] == pytest.approx(100 * robust[chosen].mean())
    found = {entry["robust_accuracy"] for record in records for entry in record["per_class"]}
    assert len(found) > 1


def test_class_without_a_name_is_called_by_its_number():
    flags = np.array([True, False])
    found = accuracies_by_class(np.array([4, 0]), flags, flags, ["cat"])
    assert [(entry["class"], entry["num_images"]) for entry in found] == [("cat", 1), ("4", 1)]


def _printed(records, width=80):
    stream = io.StringIO()
    print_records(records, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_table_shows_each_class_under_the_strongest_attack(measured, width):
    records, _ = measured
    lines = _printed(records, width).splitlines()
    begin = next(i for i, line in enumerate(lines) if "by class (fgsm)" in line)
    rows = [line.split() for line in lines[begin:] if line.strip().startswith(("cat", "[b]dog"))]
    expected = [
        [e["class"], "6", f"{e['standard_accuracy']:.2f}", f"{e['robust_accuracy']:.2f}"]
        for e in records[1]["per_class"]
    ]
    assert rows == expected


def test_of_many_classes_the_best_and_worst_five_are_shown(measured):
    record = dict(measured[0][1])
    record["per_class"] = [
        {"class": f"c{i}", "num_images": 1, "standard_accuracy": 90.0, "robust_accuracy": float(i)}
        for i in range(30)
    ]
    text = _printed([record])
    assert "best and worst 5 of 30" in " ".join(text.split())
    shown = [line.split()[0] for line in text.splitlines() if line.strip().startswith("c")][1:]
    assert shown == ["c29", "c28", "c27", "c26", "c25", "c4", "c3", "c2", "c1", "c0"]


def test_of_two_checkpoints_the_first_is_shown(measured):
    records = [record | {"checkpoint": c} for c in ("best", "last") for record in measured[0]]
    assert _printed(records).count("by class (best, fgsm)") == 1
    assert "by class (last" not in _printed(records)


def test_records_of_older_versions_have_no_such_table(measured):
    old = [{k: v for k, v in record.items() if k != "per_class"} for record in measured[0]]
    assert "by class" not in _printed(old)
