"""Whatever measures a model says the same of it, and uses what is compiled already."""

import numpy as np
import pytest

from ascl_tf.data.image_dataset import ImageDataset
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.batch_attacks import CompiledAttacks
from ascl_tf.evaluation.black_box import transfer_matrix
from ascl_tf.evaluation.common_corruptions import evaluate_corruptions
from ascl_tf.evaluation.measurement import Measurement
from ascl_tf.evaluation.sweeps import sweep_epsilons, sweep_steps
from tests.evaluation import models

IMAGES = np.random.default_rng(2).integers(0, 256, (19, 16, 16, 3), dtype=np.uint8)
NETWORK = models.tiny_network(size=16)
LABELS = np.argmax(NETWORK(IMAGES / 255), axis=1).astype(np.int32)
LABELS[::5] = (LABELS[::5] + 1) % 4
DATA = ImageDataset("noise", IMAGES, LABELS, 4, ("a", "b", "c", "d"))
SETTINGS = {"batch_size": 8, "seed": 3, "num_images": 18}
MEASUREMENTS = {
    "sweep_steps": lambda model: sweep_steps(model, DATA, num_steps=1, **SETTINGS),
    "sweep_epsilon": lambda model: sweep_epsilons(model, DATA, epsilons=["0"], **SETTINGS),
    "transfer": lambda model: transfer_matrix(
        {"a": model, "b": model}, DATA, protocol="fgsm", **SETTINGS
    ),
    "corruptions": lambda model: evaluate_corruptions(
        model, DATA, corruptions=["fog"], severities=[1], **SETTINGS
    ),
}


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_says_the_same_of_a_model(name):
    (standard,) = evaluate_robustness(NETWORK, DATA, "standard", **SETTINGS)
    assert 0 < standard["standard_accuracy"] < 100 and len(standard["model_sha256"]) == 64
    same = ("standard_accuracy", "model_sha256", "data_set", "data_sha256", "num_images", "seed")
    for record in MEASUREMENTS[name](NETWORK):
        for field in (*same, "versions"):
            assert record[field] == standard[field], field


def test_clean_pass_is_compiled_once_for_all_measurements():
    calls = []

    def counted(images):
        calls.append(images.shape)
        return NETWORK(images)

    def calls_of(name, model):
        calls.clear()
        MEASUREMENTS[name](model)
        return len(calls)

    for name in ("sweep_epsilon", "corruptions"):
        compiled = CompiledAttacks(counted)
        evaluate_robustness(compiled, DATA, "standard", **SETTINGS)
        # Corrupted images are shown by the same graph.
        assert calls_of(name, compiled) == calls_of(name, CompiledAttacks(counted)) - 1


def test_batches_have_one_shape_and_belong_to_places():
    measurement = Measurement.of(NETWORK, DATA, **SETTINGS)
    rows = np.array([2, 3, 5, 7, 11, 13, 17, 0, 1, 4])
    whole = list(measurement.batches(rows))
    assert [batch.rows.tolist() for batch in whole] == [rows[:8].tolist(), rows[8:].tolist()]
    assert {batch.images.shape[0] for batch in whole} == {8}
    np.testing.assert_allclose(whole[0].images, IMAGES[rows[:8]] / 255, rtol=1e-6)
    (alone,) = measurement.batches(rows[9:])
    np.testing.assert_array_equal(alone.seeds[0], whole[1].seeds[1])
    (restarted,) = measurement.batches(rows[9:], restart=1)
    assert np.any(restarted.seeds[0] != alone.seeds[0])
