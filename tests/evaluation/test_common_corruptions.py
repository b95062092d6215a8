"""Accuracy under corruptions: against counts by hand, from every source, and its summary."""

import json

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf.data.corruptions import (
    BENCHMARK_CORRUPTIONS,
    CORRUPTIONS,
    FrostTextures,
    corrupt,
    weather,
)
from ascl_tf.errors import RunError
from ascl_tf.evaluation.common_corruptions import evaluate_corruptions, summarize_corruptions
from ascl_tf.evaluation.protocols import COMMON_CORRUPTIONS
from ascl_tf.evaluation.records import write_records
from tests.data.corrupted_sets import write_tfds_corruption
from tests.evaluation.models import tiny_network

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
# Dark images on one side, bright ones on the other, so that a threshold can tell them.
IMAGES = (IMAGES * np.linspace(0.6, 1, 11)[:, None, None, None]).astype(np.uint8)
THRESHOLD = float(np.median(IMAGES.mean(axis=(1, 2, 3))))
LABELS = (IMAGES.mean(axis=(1, 2, 3)) < THRESHOLD).astype(np.int64)
LABELS[2] = 1 - LABELS[2]


def by_brightness(images):
    """Says class 0 where an image is at least as bright as the threshold."""
    score = tf.reduce_mean(images, axis=[1, 2, 3]) - THRESHOLD / 255
    return 50 * tf.stack([score, -score], axis=1)


def percent_right(images, labels=LABELS):
    predictions = np.where(images.mean(axis=(1, 2, 3)) >= THRESHOLD, 0, 1)
    return 100 * np.mean(predictions == labels)


@pytest.mark.parametrize("batch_size", [1, 4, 250])
def test_accuracies_are_those_counted_by_hand(batch_size):
    measured = evaluate_corruptions(
        by_brightness,
        (IMAGES, LABELS),
        corruptions=["brightness", "contrast", "shot_noise"],
        severities=[1, 4],
        seed=5,
        batch_size=batch_size,
    )
    pairs = [(record["corruption"], record["severity"]) for record in measured]
    assert pairs == [(c, s) for c in ("brightness", "contrast", "shot_noise") for s in (1, 4)]
    for record in measured:
        corrupted = corrupt(IMAGES, record["corruption"], record["severity"], 5)
        assert record["robust_accuracy"] == pytest.approx(percent_right(corrupted))
        assert record["standard_accuracy"] == pytest.approx(percent_right(IMAGES))
        moved = np.abs(corrupted.astype(float) - IMAGES).mean()
        assert record["mean_difference"] == pytest.approx(moved)
    assert len({record["robust_accuracy"] for record in measured}) > 1


def test_same_images_whatever_the_batch_size():
    hashes = [
        evaluate_corruptions(
            by_brightness,
            (IMAGES, LABELS),
            corruptions=["snow"],
            severities=[2],
            batch_size=batch_size,
        )[0]["corrupted_sha256"]
        for batch_size in (3, 11)
    ]
    assert hashes[0] == hashes[1]


def test_records_are_whole_and_say_what_was_measured(tmp_path):
    network = tiny_network(num_classes=2, size=16)
    measured = evaluate_corruptions(
        network, (IMAGES, LABELS), corruptions=["fog"], severities=[3], num_images=7, seed=2**40
    )
    write_records(tmp_path / "records.json", measured)
    (record,) = measured
    assert (record["protocol"], record["epsilon"], record["source"]) == (
        "corruptions",
        "0",
        "generated",
    )
    assert (record["corruption"], record["severity"]) == ("fog", 3)
    assert (record["num_images"], record["seed"]) == (7, 2**40)
    assert record["frost_textures"] is None
    assert len(record["model_sha256"]) == len(record["data_sha256"]) == 64
    assert record["attack"]["kind"] == "none"
    assert {check["name"] for check in record["checks"]}.isdisjoint(record["checks_passed"])


def test_one_trace_serves_all_corruptions():
    def count_calls(corruptions):
        calls = []

        def logits_fn(images):
            calls.append(None)
            return by_brightness(images)

        evaluate_corruptions(
            logits_fn, (IMAGES, LABELS), corruptions=corruptions, severities=[1, 2], batch_size=4
        )
        return len(calls)

    assert count_calls(["contrast"]) == count_calls(["contrast", "brightness", "fog"])


def test_progress_counts_the_images_of_all_corruptions():
    calls = []

    def progress(name, num_done, num_to_do, note):
        calls.append((name, num_done, num_to_do, note))

    evaluate_corruptions(
        by_brightness,
        (IMAGES, LABELS),
        corruptions=["contrast", "fog"],
        severities=[2],
        batch_size=8,
        progress=progress,
    )
    assert [call[1] for call in calls] == [8, 11, 19, 22]
    assert calls[0] == ("corruptions", 8, 22, "contrast 2") and calls[-1][3] == "fog 2"


def test_substitute_for_frost_is_marked():
    def only_frost(**settings):
        chosen = {"corruptions": ["frost", "fog"], "severities": [1]}
        return evaluate_corruptions(by_brightness, (IMAGES, LABELS), **chosen, **settings)

    substitute = only_frost(frost_textures=weather.procedural_frost())
    assert [record["frost_textures"] for record in substitute] == ["frost_procedural", None]
    names = [[check["name"] for check in record["checks"]] for record in substitute]
    assert "frost_procedural" in names[0] and "frost_procedural" not in names[1]
    photographs = FrostTextures("folder", (np.full((40, 40, 3), 90, np.uint8),))
    record = only_frost(frost_textures=photographs)[0]
    assert record["frost_textures"] == "folder"
    assert "frost_procedural" not in [check["name"] for check in record["checks"]]
    assert record["mean_difference"] == pytest.approx(18, abs=1)


def _write_files(folder):
    np.save(folder / "labels.npy", np.tile(LABELS, 5))
    rng = np.random.default_rng(1)
    files = rng.integers(0, 256, (5, *IMAGES.shape), dtype=np.uint8)
    np.save(folder / "spatter.npy", files.reshape(-1, *IMAGES.shape[1:]))
    return files


def test_published_files_take_the_place_of_generated_images(tmp_path):
    files = _write_files(tmp_path)
    measured = evaluate_corruptions(
        by_brightness,
        (IMAGES, LABELS),
        corruptions=["spatter"],
        source=str(tmp_path),
        batch_size=4,
        num_images=10,
    )
    assert [record["severity"] for record in measured] == [1, 2, 3, 4, 5]
    for record, images in zip(measured, files, strict=True):
        assert record["source"] == "files" and str(tmp_path) not in json.dumps(record)
        assert record["robust_accuracy"] == pytest.approx(percent_right(images[:10], LABELS[:10]))


def test_files_of_other_images_are_refused(tmp_path):
    _write_files(tmp_path)
    with pytest.raises(RunError, match=r"labels\.npy to begin with the 11 labels of arrays"):
        evaluate_corruptions(by_brightness, (IMAGES, 1 - LABELS), source=tmp_path)
    with pytest.raises(RunError, match=r"spatter\.npy: expected images of shape \(12, 12, 3\)"):
        evaluate_corruptions(
            by_brightness,
            (IMAGES[:, :12, :12], LABELS),
            corruptions=["spatter"],
            source=tmp_path,
        )


def test_tfds_brings_its_own_order_and_labels(tmp_path):
    images = np.random.default_rng(2).integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(11) % 2
    write_tfds_corruption(tmp_path, "snow_3", images, labels)
    (record,) = evaluate_corruptions(
        by_brightness,
        (images[::-1], labels[::-1]),
        corruptions=["snow"],
        severities=[3],
        source="tfds",
        data_dir=tmp_path,
    )
    assert record["source"] == "tfds" and record["mean_difference"] is None
    assert record["robust_accuracy"] == pytest.approx(percent_right(images, labels))
    assert record["robust_accuracy"] == record["standard_accuracy"]


def test_too_small_a_tfds_set_is_refused(tmp_path):
    write_tfds_corruption(tmp_path, "snow_3", np.zeros((2, 32, 32, 3), np.uint8), [0, 1])
    with pytest.raises(RunError, match=r"snow_3: expected at least 11 images of .*; found 2 of"):
        evaluate_corruptions(
            by_brightness,
            (IMAGES, LABELS),
            corruptions=["snow"],
            severities=[3],
            source="tfds",
            data_dir=tmp_path,
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"corruptions": ["rain"]}, r"`corruptions` must be one or more of .*received rain"),
        ({"corruptions": []}, r"`corruptions` must be .*received none"),
        ({"severities": [1, 6]}, r"`severities` must be one or more of 1, 2.*received 1, 6"),
        ({"severities": [2, 2]}, r"each once; received 2, 2"),
        ({"batch_size": 0}, r"`batch_size` must be an integer >= 1; received 0"),
        ({"dataset": (IMAGES / 255, LABELS)}, r"`dataset` must hold uint8 images; .*float64"),
        ({"dataset": (IMAGES, LABELS + 1)}, r"`labels` must be below the 2 classes.*received 2"),
    ],
)
def test_what_does_not_fit_is_named(settings, message):
    arguments = {"dataset": (IMAGES, LABELS)} | settings
    with pytest.raises(ValueError, match=message):
        evaluate_corruptions(by_brightness, **arguments)


def test_logits_that_are_not_finite_stop_the_evaluation():
    def broken(images):
        return by_brightness(images) / tf.cast(tf.reduce_mean(images) < 0.9, tf.float32)

    bright = np.full((4, 16, 16, 3), 220, np.uint8)
    with pytest.raises(RunError, match="protocol corruptions: expected finite logits"):
        evaluate_corruptions(
            broken, (bright, np.zeros(4, int)), corruptions=["brightness"], severities=[5]
        )


def _records(corruptions, **changes):
    return [
        {
            "protocol": "corruptions",
            "corruption": corruption,
            "severity": severity,
            "robust_accuracy": float(number + 10 * severity),
            "standard_accuracy": 90.0,
            "model_sha256": "a",
            "data_sha256": "b",
            "num_images": 7,
            "seed": 0,
            "source": "generated",
            "frost_textures": "folder" if corruption == "frost" else None,
            **changes,
        }
        for number, corruption in enumerate(corruptions)
        for severity in (1, 2, 3, 4, 5)
    ]


def test_summary_takes_means_over_severities_then_over_types():
    others = [{"protocol": "pgd20"}]
    summary = summarize_corruptions([*others, *_records(CORRUPTIONS)])
    assert summary["per_corruption"] == {name: 30.0 + i for i, name in enumerate(CORRUPTIONS)}
    assert summary["mean_15"] == pytest.approx(30 + 7) and summary["mean_19"] == 30 + 9
    assert summary["severities"] == [1, 2, 3, 4, 5] and summary["frost_textures"] == "folder"
    assert summary["standard_accuracy"] == 90 and summary["num_images"] == 7
    json.dumps(summary, allow_nan=False)


def test_means_of_incomplete_sets_are_left_out():
    summary = summarize_corruptions(_records(BENCHMARK_CORRUPTIONS))
    assert summary["mean_15"] == 37 and summary["mean_19"] is None
    assert summarize_corruptions(_records(["fog"]))["mean_15"] is None


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ([{"protocol": "pgd20"}], "must hold records of corruptions; received none"),
        (_records(["fog"])[:3] + _records(["snow"]), r"severities \[1, 2, 3\] .*of snow"),
        (_records(["fog"]) * 2, "each corruption and severity once; received fog 1 twice"),
        (
            _records(["fog"]) + _records(["snow"], model_sha256="c"),
            r"of one `model_sha256`; received \['a', 'c'\]",
        ),
        (_records(["fog"]) + _records(["snow"], seed=1), "of one `seed`"),
    ],
)
def test_records_that_do_not_belong_together_are_refused(measured, message):
    with pytest.raises(ValueError, match=message):
        summarize_corruptions(measured)


def test_summary_and_evaluation_agree_on_the_name_of_the_protocol():
    measured = evaluate_corruptions(by_brightness, (IMAGES, LABELS), corruptions=["contrast"])
    summary = summarize_corruptions(measured)
    assert measured[0]["protocol"] == COMMON_CORRUPTIONS
    mean = np.mean([record["robust_accuracy"] for record in measured])
    assert summary["per_corruption"] == {"contrast": pytest.approx(mean)}
