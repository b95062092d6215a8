"""What classifiers take images for: confusion matrices, the pictures that they are surest and wrong
about, and a few with and without attack."""

import base64
import io

import numpy as np
from PIL import Image

from ascl_tf.analysis.calibration import finite_logits, top_probabilities

# In a sheet, of each model with and without attack.
NUM_SHOWN = 24


def compare_confusion(logits_by_model, labels):
    """Returns the confusion matrices of several models on the same images.

    Args:
        logits_by_model: dictionary label -> {condition: logits [N, C]}, a condition being "clean",
            "attacked" or any other.
        labels: int [N].

    Returns:
        {"figure": "confusion", "parameters": {"num_images": int},
         "models": [{"label": str, "conditions": {condition:
             {"matrix": [[how many images of class row are taken for class column]],
              "accuracy": percent}}}]}.

    Raises:
        ValueError: if logits or labels are not as above.
    """
    return _document("confusion", logits_by_model, labels, _confusion)


def compare_mistakes(logits_by_model, images, labels, places, *, num_shown=NUM_SHOWN):
    """Returns the images that several models are surest about and wrong.

    Args:
        logits_by_model: as of `compare_confusion`.
        images: [N, H, W, 3], float in [0, 1], as they are without attack.
        labels: int [N].
        places: int [N], where the images stand in their split.
        num_shown: so many of each model and condition at most.

    Returns:
        {"figure": "mistakes", "parameters": {"num_images": int, "num_shown": int},
         "models": [{"label": str, "conditions": {condition:
             {"num_mistakes": int,
              "worst": [{"place": int, "label": int, "predicted": int, "confidence": percent,
                         "image_png": PNG in base64}], surest first}}}]}.

    Raises:
        ValueError: as `compare_confusion`.
    """

    def describe(logits, labels):
        return _mistakes(logits, labels, images, places, num_shown)

    document = _document("mistakes", logits_by_model, labels, describe)
    document["parameters"]["num_shown"] = num_shown
    return document


def compare_adversarial_examples(answers_by_model, images, labels, places):
    """Returns a few images, as they are and attacked, with what several models take them for.

    Args:
        answers_by_model: dictionary label -> {condition: (images [N, H, W, 3], logits [N, C])}.
        images: [N, H, W, 3], float in [0, 1], as they are without attack.
        labels: int [N].
        places: int [N], where the images stand in their split.

    Returns:
        {"figure": "adversarial_examples", "parameters": {"num_images": int},
         "images": [{"place": int, "label": int, "image_png": PNG in base64}],
         "models": [{"label": str, "conditions": {condition:
             [{"predicted": int, "confidence": percent, "image_png": PNG in base64}]}}]}.

    Raises:
        ValueError: as `compare_confusion`.
    """
    shown = {
        label: {condition: pixels for condition, (pixels, _) in conditions.items()}
        for label, conditions in answers_by_model.items()
    }
    logits = {
        label: {condition: rows for condition, (_, rows) in conditions.items()}
        for label, conditions in answers_by_model.items()
    }
    document = _document("adversarial_examples", logits, labels, _answers)
    for model in document["models"]:
        for condition, answers in model["conditions"].items():
            for answer, pixels in zip(answers, shown[model["label"]][condition], strict=True):
                answer["image_png"] = _as_png(pixels)
    rows = zip(places, labels, images, strict=True)
    document["images"] = [
        {"place": int(place), "label": int(label), "image_png": _as_png(pixels)}
        for place, label, pixels in rows
    ]
    return document


def _answers(logits, labels):
    confidences = 100 * top_probabilities(logits)
    pairs = zip(logits.argmax(axis=1), confidences, strict=True)
    return [{"predicted": int(row), "confidence": float(sure)} for row, sure in pairs]


def _document(figure, logits_by_model, labels, describe):
    if not logits_by_model:
        raise ValueError("`logits_by_model` must hold at least one model; received none.")
    models = [
        {
            "label": label,
            "conditions": {
                condition: describe(*finite_logits(logits, labels))
                for condition, logits in conditions.items()
            },
        }
        for label, conditions in logits_by_model.items()
    ]
    return {"figure": figure, "parameters": {"num_images": len(labels)}, "models": models}


def _confusion(logits, labels):
    size = max(logits.shape[1], int(labels.max()) + 1)
    matrix = np.zeros([size, size], int)
    np.add.at(matrix, (labels, logits.argmax(axis=1)), 1)
    accuracy = 100 * float(np.trace(matrix) / len(labels))
    return {"matrix": matrix.tolist(), "accuracy": accuracy}


def _mistakes(logits, labels, images, places, num_shown):
    predicted, sure = logits.argmax(axis=1), top_probabilities(logits)
    wrong = np.flatnonzero(predicted != labels)
    # Ties stand in the order of the images.
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:num_shown]
    return {
        "num_mistakes": len(wrong),
        "worst": [
            {
                "place": int(places[row]),
                "label": int(labels[row]),
                "predicted": int(predicted[row]),
                "confidence": 100 * float(sure[row]),
                "image_png": _as_png(images[row]),
            }
            for row in worst
        ],
    }


def _as_png(image):
    stream = io.BytesIO()
    Image.fromarray(np.rint(255 * np.asarray(image)).astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")
