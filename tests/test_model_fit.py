"""Models that do not fit the images, and models whose output is suspicious, in both programs."""

import dataclasses
import json
import pathlib
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascl_tf import analyze, evaluate
from ascl_tf.errors import RunError
from ascl_tf.evaluation.protocols import STANDARD
from ascl_tf.evaluation.records import read_records
from ascl_tf.program import flag_defs
from ascl_tf.program.inputs import check_classes, check_fit
from ascl_tf.training import trained
from tests.methods import helpers

SIZE = 8
FIGURES = ("tsne", "inversion", "input_landscape", "weight_landscape", "calibration")


def _write_folder(root, *, num_classes=3, width=SIZE):
    """Writes classes of six images each, one channel of which is bright."""
    rng = np.random.default_rng(0)
    for label in range(num_classes):
        place = root / "test" / f"class{label}"
        place.mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 120, (SIZE, width, 3), np.uint8)
            pixels[..., label % 3] += 20
            Image.fromarray(pixels).save(place / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return _write_folder(tmp_path_factory.mktemp("images"))


def _save(path, function, shape=(None, SIZE, SIZE, 3), dtype=tf.float32):
    """Writes a SavedModel whose variable takes part in its output."""
    module = tf.Module()
    module.scale = tf.Variable(tf.eye(3) * 20)
    images = tf.TensorSpec(shape, dtype, "images")
    module.serve = tf.function(lambda x: function(x) @ module.scale, [images], autograph=False)
    signatures = {"serving_default": module.serve, "features": module.serve}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


def _mean(images):
    return tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Name -> path of SavedModels that see the mean of each channel."""
    root = tmp_path_factory.mktemp("models")
    side = 6 * 6 * 3
    return {
        "sound": _save(root / "sound", _mean),
        "of_four": _save(root / "of_four", _mean, (4, SIZE, SIZE, 3)),
        "small": _save(root / "small", _mean, (None, 6, 6, 3)),
        "wide": _save(root / "wide", _mean, (None, SIZE, 9, 3)),
        "gray": _save(root / "gray", lambda x: tf.repeat(_mean(x), 3, 1), (None, SIZE, SIZE, 1)),
        "first": _save(
            root / "first", lambda x: tf.reduce_mean(x, axis=[2, 3]), (None, 3, SIZE, SIZE)
        ),
        "flat": _save(root / "flat", lambda x: x[:, :3], (None, 192)),
        "bytes": _save(root / "bytes", _mean, dtype=tf.uint8),
        "inside": _save(
            root / "inside", lambda x: tf.reshape(x, [-1, side])[:, :3], (None, None, None, 3)
        ),
    }


# Model -> parts of the one line.
MISFITS = {
    "small": ("(8, 8, 3)", "(6, 6, 3)", "--image_size=6 resizes the images"),
    "wide": ("(8, 8, 3)", "(8, 9, 3)", "--image_size makes square images only"),
    "gray": ("(8, 8, 3)", "(8, 8, 1)", "--image_size changes height and width only"),
    "first": ("(8, 8, 3)", "(3, 8, 8)", "channels come first", "--image_size"),
    "flat": ("(8, 8, 3)", "(192,)", "--image_size"),
    "bytes": ("expected a signature serving_default of float images", "found uint8"),
    "inside": ("(8, 8, 3)", "found InvalidArgumentError: Input to reshape is a tensor with 192"),
}


def _error_of(program, flags, tmp_path, capsys):
    """Returns the one line of a program that is due to exit with 1 and to write nothing."""
    capsys.readouterr()
    argv = ["program", *[f"--{name}={value}" for name, value in flags.items()]]
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(program.main, argv)
    error = capsys.readouterr().err
    assert exit_info.value.code == 1
    assert error.startswith("error: ") and error.count("\n") == 1, error
    assert not list(tmp_path.iterdir())
    return error


@pytest.fixture(autouse=True)
def _no_attack(request, monkeypatch):
    """Where a misfit is looked for, an attack is too late."""
    if "misfit" in request.node.name:
        monkeypatch.setattr(evaluate, "evaluate_robustness", None)
        monkeypatch.setattr(evaluate, "sweep_steps", None)
        monkeypatch.setattr(evaluate, "transfer_matrix", None)
        monkeypatch.setattr(analyze, "MEASURE", dict.fromkeys(analyze.MEASURE))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *((name, "model") for name in MISFITS),
        *(("first", place) for place in ("member", "target", "source", "figure")),
    ],
)
def test_misfit_is_one_line_before_any_attack(name, place, models, folder, tmp_path, capsys):
    sound, model = models["sound"], models[name]
    program, named, flags = {
        "model": (evaluate, f"--model={model}", {"model": model}),
        "member": (evaluate, f"--model={model}", {"model": f"{sound},{model}"}),
        "target": (evaluate, f"--targets=b={model}", {"targets": f"a={sound},b={model}"}),
        "source": (
            evaluate,
            f"--sources=b={model}",
            {"targets": f"a={sound}", "sources": f"b={model}"},
        ),
        "figure": (analyze, f"--models=b={model}", {"models": f"a={sound},b={model}"}),
    }[place]
    output = tmp_path / "out"
    flags = flags | {"dataset": f"folder:{folder}", "output": output}
    error = _error_of(program, flags, tmp_path, capsys)
    assert error.startswith(f"error: {named}: "), error
    assert all(part in error for part in MISFITS[name]), error


@pytest.mark.parametrize("protocol", ["pgd20", "autoattack", "sweep_steps,corruptions"])
def test_misfit_is_the_same_for_every_protocol(protocol, models, folder, tmp_path, capsys):
    flags = {"model": models["small"], "dataset": f"folder:{folder}", "protocol": protocol}
    assert "--image_size=6 resizes" in _error_of(evaluate, flags, tmp_path, capsys)


@pytest.mark.parametrize("figure", FIGURES)
def test_misfit_is_the_same_for_every_figure(figure, models, folder, tmp_path, capsys):
    flags = {"models": f"a={models['small']}", "dataset": f"folder:{folder}", "figure": figure}
    flags["output"] = tmp_path / "out"
    assert "--image_size=6 resizes" in _error_of(analyze, flags, tmp_path, capsys)


@pytest.mark.parametrize("shape", [(6, 6, 3), (3, 8, 8), (8, 8, 1)])
def test_misfit_of_a_keras_file_is_one_line_too(shape, folder, tmp_path_factory, tmp_path, capsys):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    inputs = keras.Input(shape)
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs))).save(path)
    flags = {"model": path, "dataset": f"folder:{folder}", "protocol": "standard"}
    error = _error_of(evaluate, flags, tmp_path, capsys)
    assert f"(8, 8, 3); found a model for images of shape {shape}: " in error
    assert "--image_size" in error


def _write_keras(path, num_inputs=1, num_outputs=1):
    inputs = [keras.Input((SIZE, SIZE, 3), name=f"image{i}") for i in range(num_inputs)]
    mixed = keras.layers.Average()(inputs) if num_inputs > 1 else inputs[0]
    pooled = keras.layers.GlobalAveragePooling2D()(mixed)
    outputs = [keras.layers.Dense(3)(pooled) for _ in range(num_outputs)]
    keras.Model(inputs if num_inputs > 1 else inputs[0], outputs).save(path)
    return path


@pytest.mark.parametrize(
    ("numbers", "parts"),
    [
        ({"num_inputs": 2}, ("a Keras model of one input; found image0, image1",)),
        ({"num_outputs": 2}, ("the key 'logits'; received the keys [0, 1]",)),
    ],
)
def test_misfit_of_several_inputs_or_outputs(
    numbers, parts, folder, tmp_path_factory, tmp_path, capsys
):
    path = _write_keras(tmp_path_factory.mktemp("models") / "model.keras", **numbers)
    flags = {"model": path, "dataset": f"folder:{folder}", "protocol": "standard"}
    error = _error_of(evaluate, flags, tmp_path, capsys)
    assert all(part in error for part in parts), error


def test_list_of_one_output_is_served(folder, tmp_path):
    path = _write_keras(tmp_path / "model.keras")
    assert len(_evaluate(path, folder, tmp_path, "fgsm")) == 1


def _evaluate(model, folder, tmp_path, protocol, **flags):
    output = tmp_path / f"{pathlib.Path(model).name}.json"
    flags |= {"model": model, "dataset": f"folder:{folder}", "protocol": protocol}
    flags |= {"output": output, "training_split": ""}
    evaluate.main(["evaluate", *[f"--{name}={value}" for name, value in flags.items()]])
    return read_records(output)


def test_model_of_a_fixed_batch_gives_the_numbers_of_any_other(models, folder, tmp_path):
    """18 images are no multiple of 4, nor of the 7 that are attacked at once."""
    protocol, numbers = "standard,pgd10", {}
    for name in ("sound", "of_four"):
        records = _evaluate(models[name], folder, tmp_path, protocol, evaluation_batch_size=7)
        numbers[name] = [(r["standard_accuracy"], r["robust_accuracy"]) for r in records]
        assert not records[0]["checks"]
    assert numbers["sound"] == numbers["of_four"]
    assert numbers["sound"][0][1] > numbers["sound"][1][1] > 0


def _analyze(models, folder, output, figure, **flags):
    flags |= {"models": ",".join(f"{label}={path}" for label, path in models.items())}
    flags |= {"dataset": f"folder:{folder}", "output": output, "figure": figure}
    analyze.main(["analyze", *[f"--{name}={value}" for name, value in flags.items()]])
    return json.loads((output / f"{figure}.json").read_text())["models"]


@pytest.mark.slow  # The next ones evaluate it.
def test_model_of_a_fixed_batch_is_analyzed(models, folder, tmp_path):
    pair = {"any": models["sound"], "four": models["of_four"]}
    found = _analyze(pair, folder, tmp_path, "calibration", protocol="pgd10")
    one, other = (model["conditions"]["attacked"] for model in found)
    assert one["mean_confidence"] == pytest.approx(other["mean_confidence"], abs=1e-3)
    assert one["accuracy"] == other["accuracy"]


@pytest.fixture(scope="module")
def softmax(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "softmax"
    return _save(path, lambda x: tf.nn.softmax(20 * _mean(x)) / 20)


def test_calibration_of_probabilities_is_told(models, softmax, folder, tmp_path, capsys):
    pair = {"logits": models["sound"], "softmax": softmax}
    logits, probabilities = _analyze(pair, folder, tmp_path, "calibration", protocol="standard")
    assert "probabilities" in logits["checks_passed"] and not logits["checks"]
    assert [check["name"] for check in probabilities["checks"]] == ["probabilities"]
    line = f"warning: --models=softmax={softmax}: probabilities: every row of the output"
    assert capsys.readouterr().out.count(line) == 1


def test_probabilities_of_a_member_are_told_before_any_attack(
    models, softmax, folder, tmp_path, monkeypatch, capsys
):
    def attack(*arguments, **settings):
        printed = capsys.readouterr().out
        assert f"warning: --model={softmax}: probabilities: every row" in printed
        assert f"warning: --model={models['sound']}" not in printed
        return original(*arguments, **settings)

    original = evaluate.evaluate_robustness
    monkeypatch.setattr(evaluate, "evaluate_robustness", attack)
    (record,) = _evaluate(f"{models['sound']},{softmax}", folder, tmp_path, "fgsm")
    (check,) = record["checks"]
    assert check["name"] == "probabilities" and check["message"].startswith("member 2 of 2: every")


def _write_four(path):
    images = keras.Input((SIZE, SIZE, 3))
    pooled = 20 * keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, keras.layers.Dense(4)(pooled)).save(path)
    return path


def test_classes_that_the_data_set_lacks_are_told(folder, tmp_path, capsys):
    model = _write_four(tmp_path / "four.keras")
    records = _evaluate(model, folder, tmp_path, "standard,fgsm", num_images=10)
    line = "class_count: the data set has 3 classes but the model has 4 logits"
    assert f"warning: --model={model}: {line}" in capsys.readouterr().out
    assert all("class_count" in {c["name"] for c in record["checks"]} for record in records)


def test_classes_that_the_model_lacks_are_told_and_refused(models, tmp_path, capsys):
    four = _write_folder(tmp_path / "images", num_classes=4)
    with pytest.raises(RunError, match=r"`labels` must be below the 3 classes.*received 3"):
        _evaluate(models["sound"], four, tmp_path, "standard")
    line = "class_count: the data set has 4 classes but the model has 3 logits"
    assert line in capsys.readouterr().out and not (tmp_path / "records.json").exists()


@pytest.mark.parametrize("kind", ["meant for 0..255", "integers"])
def test_one_answer_for_all_images_is_told(kind, folder, tmp_path, capsys):
    images = keras.Input((SIZE, SIZE, 3), dtype="uint8" if kind == "integers" else "float32")
    scaled = keras.layers.Rescaling(1 / 255, offset=[0.1, 0, 0], dtype="float32")(images)
    logits = 20 * keras.layers.GlobalAveragePooling2D()(scaled)
    keras.Model(images, logits).save(tmp_path / "model.keras")
    (record,) = _evaluate(tmp_path / "model.keras", folder, tmp_path, "standard")
    assert record["standard_accuracy"] == pytest.approx(100 / 3)
    assert "constant_output" in {check["name"] for check in record["checks"]}
    assert "all 18 images tried, of 3 classes, get the same" in capsys.readouterr().out


def test_evaluation_of_a_run_makes_the_same_checks():
    dataset = helpers.make_dataset()
    num_logits = dataset.num_classes + 1

    def collapsed(images):
        return 0 * _mean(images)[:, :1] + tf.one_hot(0, num_logits)

    (record,) = trained.measure(
        helpers.TINY, collapsed, dataset, [STANDARD], "finetune, best", None
    )
    assert {"class_count", "constant_output"} <= {check["name"] for check in record["checks"]}


@pytest.mark.parametrize(
    "name, message",
    [
        ("two", r"a=.*: `labels` must be below the 2 classes of the model; received 2"),
        ("nan", r"a=.*: expected finite logits; the model returned NaN or inf"),
    ],
)
def test_later_model_that_cannot_answer_is_refused_before_the_first_is_measured(
    models, folder, tmp_path, monkeypatch, name, message
):
    images = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    logits = keras.layers.Dense(2)(pooled) if name == "two" else keras.ops.log(pooled - 2.0)
    keras.Model(images, logits).save(tmp_path / f"{name}.keras")

    def measure(*arguments, **settings):
        raise AssertionError("a model was measured")

    monkeypatch.setitem(analyze.MEASURE, "calibration", measure)
    pair = {"b": models["sound"], "a": tmp_path / f"{name}.keras"}
    with pytest.raises(RunError, match=rf"^--models={message}"):
        _analyze(pair, folder, tmp_path, "calibration")


def test_labels_of_images_that_are_not_measured_need_no_logit():
    dataset = helpers.make_dataset(labels=np.repeat([0, 1, 2], 8))

    def of_two_classes(images):
        return _mean(images)[:, :2]

    assert check_fit(of_two_classes, dataset, "--model=m", num_images=16)["class_count"]
    with pytest.raises(RunError, match=r"^--model=m on .* below the 2 classes .*; received 2"):
        check_fit(of_two_classes, dataset, "--model=m")


def _write_card(folder, names):
    card = {"class_names": names, "image_size": [SIZE, SIZE], "resize": "crop", "files": {}}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.parametrize(
    "names, message",
    [
        (["class0", "class1", "class2"], None),
        (["0", "1", "2"], None),
        (
            ["class0", "class1", "cat\n"],
            r"1 of 3 classes .*: class 2 is 'class2', to the classifier 'cat\\n'",
        ),
        (["class0", "class2", "class1"], r"class 1 is 'class1', to the classifier 'class2'"),
        (["class0", "new", "class1", "class2"], r"class 1 is 'class1', to the classifier 'new'"),
    ],
)
def test_classes_that_the_model_calls_otherwise(tmp_path, capsys, names, message):
    path = _write_card(tmp_path, names)
    labels = np.repeat([0, 1, 2], 8)
    dataset = helpers.make_dataset(labels=labels)
    dataset = dataclasses.replace(dataset, class_names=("class0", "class1", "class2"))
    if message and message.startswith("class"):
        with pytest.raises(RunError, match=rf"^--model=m on .*{message}"):
            check_classes(path, dataset, "--model=m")
        return
    check_classes(path, dataset, "--model=m")
    said = capsys.readouterr().out
    assert re.search(message, said) if message else not said


def test_moved_classes_are_refused_before_anything_is_measured(models, folder, tmp_path):
    path = shutil.copytree(models["sound"], tmp_path / "carded")
    _write_card(path, ["class2", "class0", "class1"])
    with pytest.raises(RunError, match=r"^--model=.*: expected the classifier's classes, in"):
        _evaluate(path, folder, tmp_path, "standard")
    with pytest.raises(RunError, match=r"^--models=m=.*: expected the classifier's classes, in"):
        _analyze({"m": path}, folder, tmp_path, "calibration")
