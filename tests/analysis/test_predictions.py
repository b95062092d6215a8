"""Confusion matrices and sheets of mistakes, from logits to the picture."""

import base64
import io

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from ascl_tf.analysis import figures
from ascl_tf.analysis.predictions import (
    compare_adversarial_examples,
    compare_confusion,
    compare_mistakes,
)

LABELS = np.array([0, 0, 1, 2, 2])
PREDICTED = np.array([0, 1, 1, 0, 2])
CONFIDENCE = np.array([3.0, 1.0, 1.0, 5.0, 2.0])
LOGITS = CONFIDENCE[:, None] * np.eye(3)[PREDICTED]
IMAGES = np.arange(5).reshape(5, 1, 1, 1) * np.ones([1, 4, 4, 3]) / 255
PLACES = np.array([1, 4, 5, 7, 9])
MORE = {"class_names": ["cat", "$dog$", "a bird of a long name"], "data_set": "x", "num_images": 5}


def _mistakes(**settings):
    by_model = {"AT": {"clean": LOGITS, "attacked": 9 * np.eye(3)[LABELS]}}
    return compare_mistakes(by_model, IMAGES, LABELS, PLACES, **settings)


def _texts(document):
    figure = figures.draw(document | MORE)
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_matrix_counts_what_each_class_is_taken_for():
    document = compare_confusion({"AT": {"clean": LOGITS}}, LABELS)
    found = document["models"][0]["conditions"]["clean"]
    expected = np.zeros([3, 3], int)
    for label, predicted in zip(LABELS, PREDICTED, strict=True):
        expected[label, predicted] += 1
    assert found["matrix"] == expected.tolist() and found["accuracy"] == 60
    texts = _texts(document)
    assert {"cat", "$dog$", "a bird of a \N{HORIZONTAL ELLIPSIS}", "1"} <= set(texts)
    assert "AT, clean\n60.00 % right" in texts


def test_worst_mistakes_come_first_with_their_pictures():
    document = _mistakes()
    clean, attacked = document["models"][0]["conditions"].values()
    assert (clean["num_mistakes"], attacked["num_mistakes"], attacked["worst"]) == (2, 0, [])
    first, second = clean["worst"]
    assert [first[k] for k in ("place", "label", "predicted")] == [7, 2, 0]
    assert [second[k] for k in ("place", "label", "predicted")] == [4, 0, 1]
    assert first["confidence"] == pytest.approx(100 * np.exp(5) / (np.exp(5) + 2))
    with Image.open(io.BytesIO(base64.b64decode(first["image_png"]))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.full([4, 4, 3], 3))
    assert len(_mistakes(num_shown=1)["models"][0]["conditions"]["clean"]["worst"]) == 1


def test_sheet_says_what_each_picture_is_and_is_taken_for():
    document = _mistakes()
    texts = _texts(document)
    assert "a bird of a \N{HORIZONTAL ELLIPSIS}\n\N{RIGHTWARDS ARROW} cat\n99 %" in texts
    assert {"AT, clean: 2 mistakes", "AT, attacked: no mistakes"} <= set(texts)
    figure = figures.draw(document | MORE)
    assert sum(len(axes.images) for axes in figure.axes) == 2


def test_matrix_of_many_classes_has_neither_numbers_nor_names():
    labels = np.arange(30)
    document = compare_confusion({"AT": {"clean": np.eye(30)}}, labels)
    names = [f"name {i}" for i in labels]
    figure = figures.draw(document | MORE | {"class_names": names})
    (axes,) = figure.axes
    assert not axes.texts and len(axes.images) == 1
    assert "name 3" not in [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("logits", [np.eye(4), np.full([5, 3], np.nan)])
def test_logits_that_do_not_fit_are_refused(logits):
    with pytest.raises(ValueError, match=r"must be finite|labels"):
        compare_confusion({"AT": {"clean": logits}}, LABELS)


def test_examples_show_each_picture_with_what_it_is_taken_for():
    attacked = np.clip(IMAGES + 8 / 255, 0, 1)
    answers = {"AT": {"clean": (IMAGES, LOGITS), "attacked": (attacked, 9 * np.eye(3)[LABELS])}}
    document = compare_adversarial_examples(answers, IMAGES, LABELS, PLACES)
    assert [(image["place"], image["label"]) for image in document["images"]] == [
        *((1, 0), (4, 0), (5, 1), (7, 2), (9, 2))
    ]
    clean, under_attack = document["models"][0]["conditions"].values()
    assert [answer["predicted"] for answer in clean] == PREDICTED.tolist()
    assert clean[3]["confidence"] == pytest.approx(100 * np.exp(5) / (np.exp(5) + 2))
    with Image.open(io.BytesIO(base64.b64decode(under_attack[3]["image_png"]))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.full([4, 4, 3], 11))
    document["parameters"]["attack"] = {"epsilon": 8 / 255, "num_steps": 20}
    texts = _texts(document)
    assert "What each model takes an image for, PGD-20 of 8/255\n5 images of x" in texts
    assert {"\N{CHECK MARK} cat\n91 %", "\N{MULTIPLICATION X} $dog$\n58 %"} <= set(texts)
