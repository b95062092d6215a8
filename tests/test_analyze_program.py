"""`python -m ascl_tf.analyze`: models or records in, numbers and two pictures out."""

import json
import os
import re
import shlex
import shutil
import signal

import keras
import numpy as np
import pytest
from PIL import Image

from ascl_tf import analyze
from ascl_tf.evaluation.records import model_sha256, write_records
from ascl_tf.models import Classifier
from ascl_tf.program import flag_defs
from ascl_tf.serving.exporting import export_classifier
from tests.analysis import documents
from tests.program_lines import line_matches

SIZE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of eight images each: one channel is bright, the rest is noise."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label in range(3):
        place = root / "test" / f"class{label}"
        place.mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 100, (SIZE, SIZE, 3), np.uint8)
            pixels[..., label] += 50
            Image.fromarray(pixels).save(place / f"{i}.png")
    return root


class TinyEncoder(keras.Layer):
    """A convolution and a mean, called as our encoders are."""

    def __init__(self):
        super().__init__()
        self.convolution = keras.layers.Conv2D(6, 3, activation="softplus")

    def build(self, input_shape):
        self.convolution.build(input_shape)

    def call(self, images, training=False, branch="adversarial"):
        return keras.ops.mean(self.convolution(images), axis=[1, 2])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 6)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An exported model, twice: label -> path."""
    root = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    classifier = Classifier(TinyEncoder(), keras.layers.Dense(3))
    classifier.build((None, SIZE, SIZE, 3))
    export_classifier(classifier, root / "AT", image_shape=(SIZE, SIZE, 3))
    shutil.copytree(root / "AT", root / "ASCL")
    return {label: root / label for label in ("AT", "ASCL")}


@pytest.fixture(scope="module")
def headless(tmp_path_factory):
    """A .keras file that does not say its features."""
    path = tmp_path_factory.mktemp("models") / "plain.keras"
    images = keras.Input((SIZE, SIZE, 3))
    keras.Model(images, 9 * keras.layers.GlobalAveragePooling2D()(images)).save(path)
    return path


@pytest.fixture(scope="module")
def record_files(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for i, label in enumerate(("AT", "ASCL")):
        write_records(root / f"{label}.json", documents.records(i))
    return {label: root / f"{label}.json" for label in ("AT", "ASCL")}


def _named(paths):
    return ",".join(f"{label}={path}" for label, path in paths.items())


def _run(**flags):
    analyze.main(["ascl-analyze", *[f"--{name}={value}" for name, value in flags.items()]])


def _result(output, figure):
    assert sorted(p.name for p in output.iterdir()) == [
        f"{figure}.{k}" for k in "json png svg".split()
    ]
    with Image.open(output / f"{figure}.png") as picture:
        assert picture.size[0] == 960
    return json.loads((output / f"{figure}.json").read_text())


@pytest.mark.parametrize(
    ("figure", "flags"),
    [
        ("tsne", {"num_images": 20}),
        # The others in the slow run: tests/analysis/ has what they compute.
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("inversion", {"num_steps": 3}),
                ("input_landscape", {"num_points": 3, "num_images": 10}),
                ("weight_landscape", {"num_points": 3, "num_images": 10}),
                ("confusion", {}),
                ("mistakes", {"protocol": "standard", "num_images": 20}),
                ("adversarial_examples", {"num_images": 4}),
            )
        ),
        ("calibration", {}),
    ],
)
def test_figure_of_models_is_measured_and_drawn(figure, flags, models, folder, tmp_path, capsys):
    output = tmp_path / "new" / "folder"
    dataset = f"folder:{folder}"
    _run(figure=figure, models=_named(models), dataset=dataset, output=output, seed=3, **flags)
    found = _result(output, figure)
    assert (found["figure"], found["seed"]) == (figure, 3)
    assert found["num_images"] == flags.get("num_images", 24)
    assert [m["label"] for m in found["models"]] == ["AT", "ASCL"]
    assert [m["model_sha256"] for m in found["models"]] == list(map(model_sha256, models.values()))
    assert {"matplotlib", "tensorflow"} <= set(found["versions"]) and found["parameters"]
    assert len(found["data_sha256"]) == 64
    text = (output / f"{figure}.json").read_text()
    assert str(folder.parent) not in text and str(models["AT"].parent) not in text
    assert f"{figure}.svg" in capsys.readouterr().out


def test_landscape_of_weights_has_its_center_at_the_adversarial_loss(models, folder, tmp_path):
    for num_points in (3, 5):
        _run(
            figure="weight_landscape",
            models=f"AT={models['AT']}",
            dataset=f"folder:{folder}",
            protocol="pgd20",
            num_points=num_points,
            output=tmp_path / str(num_points),
        )
    coarse, fine = (_result(tmp_path / name, "weight_landscape") for name in ("3", "5"))
    assert coarse["parameters"]["num_steps"] == 20
    (coarse,), (fine,) = coarse["models"], fine["models"]
    assert fine["losses"][::2] == pytest.approx(coarse["losses"], rel=1e-6)
    assert len(set(fine["losses"])) == 5


def test_calibration_without_attack_has_clean_images_alone(models, folder, tmp_path):
    flags = {"figure": "calibration", "models": _named(models), "output": tmp_path}
    _run(dataset=f"folder:{folder}", protocol="standard", **flags)
    found = _result(tmp_path, "calibration")
    assert list(found["models"][0]["conditions"]) == ["clean"]
    assert found["parameters"]["attack"] is None


@pytest.mark.parametrize("figure", ["sweeps", "corruptions"])
def test_figure_of_records_is_drawn_without_a_model(figure, record_files, tmp_path):
    _run(figure=figure, records=_named(record_files), output=tmp_path)
    found = _result(tmp_path, figure)
    assert [m["label"] for m in found["models"]] == ["AT", "ASCL"]
    assert found["num_images"] == 1000 and found["models"][1]["model_sha256"] == "1" * 64


def test_names_that_the_font_lacks_are_told_in_one_line(record_files, tmp_path, capsys):
    path = next(iter(record_files.values()))
    _run(figure="corruptions", records=f"\u732b={path},\u72d7={path}", output=tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("notice: ")]
    assert said == [
        "notice: corruptions.png, corruptions.svg: the font lacks \u72d7 \u732b and shows "
        "boxes instead; corruptions.json has the names"
    ]


def test_transfer_matrix_is_drawn_from_one_record_file(tmp_path):
    records = [
        documents.records()[0] | {"target": t, "source": s, "robust_accuracy": 50.0 + i}
        for i, (t, s) in enumerate([("a", "b"), ("b", "a")])
    ]
    write_records(tmp_path / "records.json", records)
    output = tmp_path / "figure"
    _run(figure="transfer", records=f"all={tmp_path}/records.json", output=output)
    assert _result(output, "transfer")["values"] == [[None, 50.0], [51.0, None]]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"figure": "pie"}, 2, r"--figure: expected one of inversion, .*found 'pie'"),
        ({"models": ""}, 2, r"--models: expected label=path for tsne; found none"),
        ({"models": "a=x,a=y"}, 2, r"--models: expected each label once; found 'a' twice"),
        ({"models": "just/a/path"}, 2, r"--models: expected label=path.*found 'just/a/path'"),
        ({"models": "a=absent"}, 1, r"--models=a=absent: expected a SavedModel folder"),
        ({"records": "a=b"}, 2, r"--records: expected --models for --figure=tsne"),
        ({"figure": "sweeps"}, 2, r"--models: expected --records for --figure=sweeps"),
        ({"output": ""}, 2, r"--output: expected a folder; found none"),
        ({"figure": "input_landscape", "num_points": "4"}, 2, r"--num_points: .* odd number >= 3"),
        ({"num_points": "5"}, 2, r"--num_points: expected --figure=input_landscape or weight_"),
        ({"num_steps": "5"}, 2, r"--num_steps: expected --figure=inversion; found tsne"),
        ({"num_images": "25"}, 1, r"--num_images: expected at most the 24 images"),
        ({"num_images": "3"}, 1, r"--figure=tsne on folder:"),
        ({"image_size": "0", "split": "absent"}, 1, r"absent"),
        ({"figure": "calibration", "protocol": "autoattack"}, 2, r"--protocol: expected PGD"),
        ({"figure": "weight_landscape", "protocol": "standard"}, 2, r"--protocol: expected PGD"),
        (
            {"figure": "calibration", "protocol": "pgd21"},
            2,
            r"--protocol: .*found 'pgd21' \(near it: pgd20",
        ),
        ({"figure": "transfer", "models": "", "records": "a=b,c=d"}, 2, r"one file for transfer"),
        ({"figure": "sweeps", "models": "", "records": "a=no.json"}, 1, r"no\.json"),
    ],
)
def test_bad_input_gives_one_line_and_its_status(
    changes, status, message, models, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = {
        "figure": "tsne",
        "models": _named(models),
        "dataset": f"folder:{folder}",
        "output": "out",
    }
    argv = ["ascl-analyze", *[f"--{name}={value}" for name, value in (flags | changes).items()]]
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(analyze.main, argv)
    assert exit_info.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error), error
    assert not list(tmp_path.iterdir())


def test_ctrl_c_is_one_line_that_repeats_the_command(record_files, tmp_path, monkeypatch, capsys):
    def press_ctrl_c(document):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(analyze, "draw", press_ctrl_c)
    flags = ["--figure=sweeps", f"--records={_named(record_files)}", f"--output={tmp_path}/out"]
    with pytest.raises(SystemExit) as exit_info:
        analyze.run(["/a/analyze.py", *flags])
    assert exit_info.value.code == 130 and list(tmp_path.iterdir()) == []
    line = f"stopped by SIGINT; to continue: python -m ascl_tf.analyze {shlex.join(flags)}\n"
    assert capsys.readouterr().err == line


def test_output_that_is_a_file_is_named(record_files, tmp_path):
    (tmp_path / "file").write_text("")
    with line_matches(ValueError, r"--output=.*file: expected a folder; found a file"):
        _run(figure="sweeps", records=_named(record_files), output=tmp_path / "file")


def test_output_in_a_folder_of_a_model_is_refused(models, folder, tmp_path):
    (tmp_path / "beside").symlink_to(models["AT"])
    for output in (models["AT"], models["AT"] / "assets" / "a", tmp_path / "beside"):
        with line_matches(ValueError, r"--output=.*: expected a place outside of .*one in .*AT"):
            _run(models=_named(models), dataset="folder:absent", output=output)


def test_model_that_does_not_say_its_features_is_named(headless, folder, tmp_path):
    flags = {"figure": "tsne", "dataset": f"folder:{folder}", "output": tmp_path}
    with line_matches(ValueError, r"--models=plain: expected a model that says its feat"):
        _run(models=f"plain={headless}", **flags)


def test_model_that_does_not_fit_the_images_is_named(headless, folder, tmp_path):
    flags = {"figure": "calibration", "dataset": f"folder:{folder}", "output": tmp_path}
    with line_matches(ValueError, r"--models=plain=.*expected logits for.*\(9, 9, 3\)"):
        _run(models=f"plain={headless}", image_size=9, **flags)


@pytest.mark.parametrize("figure", ["calibration", "input_landscape", "weight_landscape"])
def test_model_without_gradient_is_named_where_the_figure_follows_it(figure, folder, tmp_path):
    images = keras.Input((SIZE, SIZE, 3))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(keras.ops.round(9 * images)))
    keras.Model(images, logits).save(tmp_path / "rounded.keras")
    flags = {"dataset": f"folder:{folder}", "output": tmp_path / "out", "num_images": 6}
    models = f"a={tmp_path / 'rounded.keras'}"
    with line_matches(
        ValueError, r"^--models=a=.*rounded\.keras: expected logits that have a grad"
    ):
        _run(figure=figure, models=models, **flags)
    if figure == "calibration":
        _run(figure=figure, models=models, protocol="standard", **flags)


def test_model_without_weights_has_no_weight_landscape(headless, folder, tmp_path):
    flags = {"figure": "weight_landscape", "dataset": f"folder:{folder}", "output": tmp_path}
    with pytest.raises(ValueError, match=r"`weights` must hold at least one kernel"):
        _run(models=f"plain={headless}", **flags)


def test_help_names_the_flags_and_draws_nothing(capsys):
    _run(help=True)
    printed = capsys.readouterr().out
    assert "--figure=" in printed and "One of inversion, tsne" in " ".join(printed.split())
    assert "--records" in printed
