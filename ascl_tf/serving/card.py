"""What stands beside an exported model: `card.json`, `README.md` and `assets/labels.txt`."""

import json
import pathlib
from typing import Any

from ascl_tf.errors import RunError
from ascl_tf.process.files import write_text

CARD, README, LABELS = "card.json", "README.md", "assets/labels.txt"
# Of a record what the card repeats: no time, so that equal models give equal cards.
_OF_RECORD = (
    *("protocol", "epsilon", "attack", "num_images", "standard_accuracy", "robust_accuracy"),
    *("data_set", "data_sha256", "model_sha256", "checks_passed"),
)
# What a card says of the files themselves; all else is of the training.
STRUCTURE = (
    *("format", "class_names", "image_size", "pixels", "resize", "resize_filter", "files"),
)
_RULES = {
    "stretch": "each side is stretched to the model's, and the aspect ratio is not kept",
    "crop": "the shorter side becomes the model's, and the longer one is cut to its center",
    "pad": "the longer side becomes the model's, and black borders fill the rest",
}


def make_card(*, class_names, image_shape, how, details, files) -> dict[str, Any]:
    """Returns the card, plain values.

    Args:
        class_names: one per class.
        image_shape: (H, W, 3).
        how: "stretch", "crop" or "pad".
        details: what is known of the training, plain values by name.
        files: file -> what was found when it was checked.
    """
    # What is said of the files is never one of the details.
    return {
        **details,
        "format": 1,
        "class_names": list(class_names),
        "image_size": list(image_shape[:2]),
        "pixels": "RGB, float32 in [0, 1]",
        "resize": how,
        "resize_filter": "bilinear, antialiased, rounded to 8 bits",
        "files": files,
    }


def of_records(found):
    """Returns what the card says of records of an evaluation."""
    return [{name: r[name] for name in _OF_RECORD if name in r} for r in found]


def write_card(folder, card):
    """Writes the three files into a folder."""
    folder = pathlib.Path(folder)
    text = json.dumps(card, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(folder / CARD, text)
    lines = [" ".join(name.splitlines()) for name in card["class_names"]]
    write_text(folder / LABELS, "".join(f"{line}\n" for line in lines))
    write_text(folder / README, _readme(card))


def describe_files(card):
    """Returns a line on each file: what was found when it was checked."""
    return [f"{name}: {_found(found)}" for name, found in card["files"].items()]


def read_card(model):
    """Returns the card beside a model's file, or in its folder; None where there is none.

    Raises:
        RunError: if it is damaged.
    """
    path = pathlib.Path(model)
    file = (path if path.is_dir() else path.parent) / CARD
    if not file.is_file():
        return None
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        is_whole = {"class_names", "image_size", "resize", "files"} <= set(card)
    except (OSError, ValueError, RecursionError, TypeError):
        is_whole = False
    if not is_whole:
        raise RunError(place=file, expected="the card of an exported model", found="another file")
    # A model of others may lie in the same folder.
    return card if path.is_dir() or path.name in card["files"] else None


def _readme(card):
    height, width = card["image_size"]
    inserted = {"height": height, "width": width, "name": card.get("name")}
    names = card["class_names"]
    shown = ", ".join(names[:20]) + (f", ... ({len(names)}, see {LABELS})" if names[20:] else "")
    parts = [
        f"# An image classifier: {len(names)} classes",
        f"Classes: {shown}.",
        f"It takes RGB images of {height} x {width} pixels with values in [0, 1]. Of pictures of "
        f"another size {_RULES[card['resize']]} ({card['resize_filter']}).",
        _training(card),
        _stages(card),
        _accuracies(card.get("records", [])),
        _further(card),
        _files(card["files"]),
        "## Use\n\n" + "\n\n".join(_USES[file].format(**inserted) for file in card["files"]),
        f"All of this, for programs: `{CARD}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _training(card):
    data = card.get("data", {})
    rows = {
        "method": card.get("method"),
        "fine-tuned": card.get("finetune"),
        "checkpoint": card.get("checkpoint"),
        "network": card.get("network"),
        "starts from": card.get("starts_from"),
        "attacks in training, if any": card.get("attack"),
        "data": data.get("name"),
        "license of the data": data.get("license"),
        "SHA-256 of the training images": data.get("sha256"),
        "commit": card.get("trained_with", {}).get("commit"),
        "versions": ", ".join(
            f"{name} {version}"
            for name, version in card.get("trained_with", {}).items()
            if name != "commit"
        ),
    }
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value]
    return "\n".join(["## Training", "", "| | |", "|---|---|", *lines]) if lines else ""


def _stages(card):
    """Returns the commands that have trained a model that comes with the package."""
    stages = card.get("training", [])
    lines = [
        f"```\n{stage['command']}\n```\n\n{_length(stage)}; commit {', '.join(stage['commits'])}."
        for stage in stages
    ]
    return "\n\n".join(["Trained by", *lines]) if lines else ""


def _length(stage):
    done, planned = stage["epochs"], stage["planned_epochs"]
    cut = f", and stopped there of {planned}" if done < planned else ""
    return f"{done} epochs{cut}; {stage['hours']} hours by the clock"


def _accuracies(found):
    if not found:
        return "## Accuracy\n\nNot measured: there is no record of an evaluation of these weights."
    lines = [
        f"| {r['protocol']} | {r['epsilon']} | {r['num_images']} | {r['standard_accuracy']:.2f} | "
        f"{r['robust_accuracy']:.2f} |"
        for r in found
    ]
    head = ["| protocol | epsilon | images | SA % | RA % |", "|---|---|---:|---:|---:|"]
    explained = (
        "SA: percent of test images classified right; RA: right without and under the attack."
    )
    return "\n".join(["## Accuracy", "", *head, *lines, "", explained])


def _further(card):
    """Returns what is known of a model beside its accuracies."""
    lines = []
    corruptions, calibration = card.get("corruptions"), card.get("calibration")
    if corruptions:
        lines.append(
            f"Common corruptions, mean of 19 at severities 1 to 5: {corruptions['mean_19']:.2f} % "
            f"of {corruptions['num_images']:,} images ({corruptions['source']})."
        )
    if calibration:
        errors = ", ".join(f"{error:.2f} % {name}" for name, error in calibration["errors"].items())
        lines.append(
            f"Expected calibration error, 15 bins: {errors}, on {calibration['num_images']:,} "
            "images."
        )
    return "\n\n".join(lines)


def _files(files):
    first = next(iter(files.values()))
    keys = [key for key in _ACCURACIES if key in first]
    names = [_heading(key, first) for key in keys]
    heading = ["file", "bytes", "logits differ by at most", "same class %", *names]
    model = ["the trained model", "", "", "", *(f"{first[f'{key}_of_model']:.2f}" for key in keys)]
    lines = [
        [f"`{name}`", *_numbers(found), *(f"{found[key]:.2f}" for key in keys)]
        for name, found in files.items()
    ]
    table = [heading, ["---"] + ["---:"] * (len(heading) - 1), *([model] if keys else []), *lines]
    looked_at = f"Each was loaded again and looked at on {first['num_images']} images"
    attacked = f", half of them {first['protocol']}'s" if "protocol" in first else ""
    rows = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join(["## Files", "", *rows, "", f"{looked_at}{attacked}."])


_ACCURACIES = {"standard_accuracy": "SA", "robust_accuracy": "RA"}


def _heading(key, found):
    under = f" under {found['protocol']} of the trained model" if key == "robust_accuracy" else ""
    return f"{_ACCURACIES[key]} %{under}"


def _numbers(found):
    difference = f"{found['logit_difference']:.1e}"
    return str(found["bytes"]), difference, f"{found['class_agreement']:.2f}"


def _found(found):
    size, difference, agreement = _numbers(found)
    text = f"{size} bytes, logits within {difference}, same class {agreement} %"
    for key, name in _ACCURACIES.items():
        if key in found:
            text += f", {name} {found[key]:.2f} % (model {found[f'{key}_of_model']:.2f} %)"
    return text


_NUMPY = "images = np.zeros([1, {height}, {width}, 3], np.float32)"
_TFLITE = f"""\
```python
# {{file}}: pip install ai-edge-litert; or, with TensorFlow, tf.lite.Interpreter.
import numpy as np
from ai_edge_litert.interpreter import Interpreter

run = Interpreter("{{file}}").get_signature_runner("serving_default")
{_NUMPY}
print(run(images=images)["logits"])
```"""
_USES = {
    "saved_model.pb": """\
```python
# SavedModel: TensorFlow, TensorFlow Serving, keras.layers.TFSMLayer.
import tensorflow as tf

model = tf.saved_model.load(".")
pictures = tf.zeros([1, 300, 400, 3], tf.uint8)  # of any size
print(model.signatures["serve_uint8"](images=pictures)["class_name"])
```""",
    "classifier.keras": """\
```python
# With this package: `classifier.encoder` is what fine-tuning on other images starts from.
import ascl_tf
import numpy as np

classifier = ascl_tf.load("{name}")
print(classifier(np.zeros([1, {height}, {width}, 3], np.float32)))  # logits
```

```
python -m ascl_tf.evaluate --model=pretrained:{name} --dataset=cifar10 --protocol=standard,pgd20
python -m ascl_tf.train --stage=finetune --pretrained=pretrained:{name} --dataset=folder:pictures
```""",
    "model.keras": f"""\
```python
# Keras' own layers alone.
import keras
import numpy as np

model = keras.saving.load_model("model.keras")
{_NUMPY}
print(model.predict(images))  # logits
```""",
    **{file: _TFLITE.replace("{file}", file) for file in ("model.tflite", "model_int8.tflite")},
    "model.onnx": f"""\
```python
# pip install onnxruntime
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
{_NUMPY}
(logits,) = session.run(["logits"], {{{{"images": images}}}})
print(logits)
```""",
}
