"""Classification terms weighted by class: the weights, the terms, and none of it by default."""

import numpy as np
import pytest

from ascl_tf.losses.classification import weighted_by_class
from ascl_tf.methods.class_weights import class_weights
from tests.methods import contract, helpers, oracles

WEIGHTS = np.array([0.5, 2.0, 0.25])
LABELS = (0, 1, -1, 2, 1, 1)


def test_each_class_has_as_much_weight_and_the_mean_over_the_images_is_one():
    labels = np.repeat([0, 1, 2, -1], [12, 3, 9, 4])
    dataset = helpers.make_dataset(len(labels), labels=labels)
    weights = class_weights("balanced", dataset)
    np.testing.assert_allclose(weights * [12, 3, 9], 8)
    assert np.mean(weights[labels[labels >= 0]]) == pytest.approx(1)
    assert class_weights("none", dataset) is None


def test_classes_without_an_image_and_sets_without_labels_have_no_weight():
    dataset = helpers.make_dataset(4, labels=np.array([0, 0, 0, 2]))
    np.testing.assert_allclose(class_weights("balanced", dataset), [2 / 3, 0, 2])
    assert class_weights("balanced", helpers.make_dataset(4, labels=np.full(4, -1))) is None


def test_loss_of_an_image_is_multiplied_by_the_weight_of_its_class():
    losses = np.array([1.0, 3.0, 7.0, 5.0], np.float32)
    found = weighted_by_class(losses, [2, 1, -1, 0], WEIGHTS)
    np.testing.assert_array_equal(found, np.float32([0.25, 6, 0, 2.5]))
    assert weighted_by_class(losses, [2, 1, -1, 0], None) is losses


CONFIGS = {
    "standard": {"method": "standard"},
    "at": {"method": "at"},
    "trades": {"method": "trades"},
    "mart": {"method": "mart"},
    "rotation_at": {"method": "rotation_at"},
    "wscat": {"method": "wscat"},
    "ascl": {"method": "ascl"},
}
# The term that a class weighs in; all others stay.
TERMS = {"standard": "standard_loss", "wscat": "standard_loss"}


def _terms(method, data):
    """Returns the loss of each image of each term, for the same adversarial images."""
    views = helpers.views_of(method, data)
    outputs = method.forward(views, method.make_adversarial(views))
    return {name: term.per_row.numpy() for name, term in outputs.terms.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_classification_term_of_pre_training_is_weighted_and_no_other(name):
    config, data = helpers.TINY.replace(**CONFIGS[name]), helpers.make_data(LABELS)
    plain = helpers.make_method(config)
    weights = [variable.numpy() for variable in helpers.state(plain)]
    weighted = helpers.make_method(config, weights=weights)
    weighted.class_weights = WEIGHTS
    for method in (plain, weighted):
        helpers.compile_tiny(method)
    before, after = _terms(plain, data), _terms(weighted, data)
    own = TERMS.get(name, "at_loss")
    scale = np.where(np.array(LABELS) >= 0, WEIGHTS[np.array(LABELS)], 0)
    np.testing.assert_allclose(after.pop(own), before.pop(own) * scale, rtol=1e-6)
    for other, losses in before.items():
        np.testing.assert_array_equal(after[other], losses)


@pytest.mark.parametrize("mode", ["lsf", "laf", "faf"])
def test_loss_of_fine_tuning_is_weighted_and_divided_by_the_images(mode):
    config = helpers.TINY.replace(finetune=mode, finetune_loss="ce")
    method = helpers.compile_tiny(helpers.make_method(config, finetune=True))
    method.class_weights = WEIGHTS
    data = helpers.make_data((0, 1, 2, 2, 1, 1))
    views = helpers.views_of(method, data)
    with contract.unmoved(method):
        images = method.make_adversarial(views).get("images_at", views["images"])
        logits = method.logits(images, branch="adversarial", training=mode == "faf").numpy()
    losses = oracles.cross_entropy(np.float64(logits), (0, 1, 2, 2, 1, 1))
    expected = np.mean(np.array(losses) * WEIGHTS[[0, 1, 2, 2, 1, 1]])
    assert float(method.train_step(data)["loss"]) == pytest.approx(expected, rel=1e-5)
