"""Several classifiers as one: mean probability, gradients, hashes, and the program."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascl_tf import evaluate
from ascl_tf.attacks import linf_pgd
from ascl_tf.evaluation import evaluate_robustness
from ascl_tf.evaluation.model_ensemble import (
    describe_models,
    ensemble_sha256,
    mean_probability_logits,
    member_paths,
)
from ascl_tf.evaluation.records import model_sha256, read_records
from ascl_tf.losses import cross_entropy_loss
from tests.common import random_images
from tests.evaluation.models import tiny_network
from tests.program_lines import line_matches

SIZE = 8


def _members():
    return [tiny_network(seed=seed) for seed in range(3)]


def _softmax(row):
    exponents = np.exp(np.float64(row) - np.max(row))
    return exponents / exponents.sum()


def test_logits_are_the_log_of_the_mean_probability():
    members, images = _members(), random_images(5, SIZE)
    got = mean_probability_logits(members)(images).numpy()
    for i in range(5):
        probabilities = [_softmax(member(images)[i].numpy()) for member in members]
        np.testing.assert_allclose(got[i], np.log(np.mean(probabilities, axis=0)), atol=1e-5)


def test_softmax_of_the_logits_is_the_mean_probability():
    got = tf.nn.softmax(mean_probability_logits(_members())(random_images(5, SIZE)))
    np.testing.assert_allclose(
        got,
        np.mean([tf.nn.softmax(m(random_images(5, SIZE))) for m in _members()], axis=0),
        atol=1e-6,
    )


def test_members_of_extreme_confidence_give_finite_logits_and_gradients():
    sure = [lambda x, s=sign: s * 1e4 * tf.reduce_mean(x, axis=[1, 2]) for sign in (1, -1)]
    images = tf.constant(random_images(4, SIZE))
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = mean_probability_logits(sure)(images)
        loss = tf.reduce_sum(tf.reduce_logsumexp(logits, axis=1) - logits[:, 0])
    assert np.all(np.isfinite(logits)) and np.all(np.isfinite(tape.gradient(loss, images)))


def test_attack_goes_through_every_member():
    members, images = _members(), random_images(24, SIZE)
    logits_fn = mean_probability_logits(members)
    labels = np.argmax(logits_fn(images), axis=1)
    (record,) = evaluate_robustness(logits_fn, (images, labels), ["pgd20"], batch_size=24)
    assert record["standard_accuracy"] == 100.0
    # Adversarial images of one member alone hurt the ensemble less than its own ones do.
    one = tf.constant(_perturbed(members[0], images, labels))
    against_one = 100 * np.mean(np.argmax(logits_fn(one), axis=1) == labels)
    assert record["robust_accuracy"] < against_one


def _perturbed(logits_fn, images, labels):
    return linf_pgd(
        lambda x: cross_entropy_loss(logits_fn(x), labels),
        images,
        epsilon=8 / 255,
        step_size=2 / 255,
        num_steps=20,
    )


def test_members_with_other_numbers_of_classes_are_refused():
    members = [tiny_network(num_classes=4), tiny_network(num_classes=3)]
    with pytest.raises(ValueError, match="same number of classes; received 4, 3"):
        mean_probability_logits(members)(random_images(2, SIZE))


def test_no_member_is_refused():
    with pytest.raises(ValueError, match="`classifiers` must hold one or more.*none"):
        mean_probability_logits([])


def test_hash_covers_every_member_and_no_order():
    assert ensemble_sha256(["a", "b"]) == ensemble_sha256(["b", "a"])
    assert len({ensemble_sha256(h) for h in (["a"], ["a", "b"], ["a", "a", "b"], ["ab"])}) == 4


def test_path_with_a_comma_that_exists_stays_whole(tmp_path):
    odd = tmp_path / "a,b.keras"
    odd.write_text("x")
    assert member_paths(str(odd)) == [str(odd)]
    assert member_paths("a, b,,c") == ["a", "b", "c"]
    assert member_paths("") == member_paths(",") == []
    assert describe_models([odd]) == {"model_sha256": model_sha256(odd)}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of images, and three exported models that see one color channel each."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for label in range(3):
        for split in ("train", "test"):
            place = root / "images" / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 100, (SIZE, SIZE, 3), np.uint8)
                pixels[..., label] += 20
                Image.fromarray(pixels).save(place / f"{i}.png")
    models = []
    for channel in range(3):
        images = keras.Input((SIZE, SIZE, 3))
        scale = np.eye(3)[channel] * 20
        pooled = keras.layers.GlobalAveragePooling2D()(images)
        model = keras.Model(images, keras.layers.Rescaling(scale.tolist())(pooled))
        models.append(root / f"model{channel}")
        model.export(str(models[-1]), verbose=False)
    return root / "images", models


def _run(models, folder, output):
    flags = {"model": models, "dataset": f"folder:{folder}", "protocol": "standard,fgsm"}
    flags |= {"output": output, "evaluation_batch_size": 12}
    evaluate.main(["ascl-evaluate", *[f"--{name}={value}" for name, value in flags.items()]])
    return read_records(output)


def test_program_evaluates_models_separated_by_commas_as_one(world, tmp_path):
    folder, models = world
    together = _run(",".join(map(str, models)), folder, tmp_path / "all.json")
    hashes = [model_sha256(model) for model in models]
    for record in together:
        assert record["model_sha256"] == ensemble_sha256(hashes)
        assert record["ensemble_sha256"] == hashes
    alone = _run(models[0], folder, tmp_path / "one.json")
    assert "ensemble_sha256" not in alone[0]
    # One channel tells one class from the rest, all three tell them apart.
    assert together[0]["standard_accuracy"] > alone[0]["standard_accuracy"] + 20
    assert str(folder) not in (tmp_path / "all.json").read_text()


def test_missing_member_is_named(world, tmp_path):
    folder, models = world
    with line_matches(ValueError, "--model=absent: expected a SavedModel folder"):
        _run(f"{models[0]},absent", folder, tmp_path / "none.json")


def test_no_model_between_commas_is_refused():
    with pytest.raises(ValueError, match="--model: expected a SavedModel folder.*found none"):
        evaluate.main(["ascl-evaluate", "--model=,"])
