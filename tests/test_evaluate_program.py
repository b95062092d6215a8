"""`python -m ascl_tf.evaluate`: any classifier in, a record file out, one line on bad input."""

import os
import re
import runpy
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ascl_tf import evaluate, train
from ascl_tf.data import load_dataset
from ascl_tf.data.corruptions import BENCHMARK_CORRUPTIONS
from ascl_tf.errors import RunError
from ascl_tf.evaluation.protocols import describe_protocols
from ascl_tf.evaluation.records import model_sha256, read_records
from ascl_tf.evaluation.variants import NUMBERS
from ascl_tf.program import flag_defs
from tests.program_lines import line_matches

SIZE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of eight images each: one channel is bright, the rest is noise."""
    root = tmp_path_factory.mktemp("images with spaces")
    rng = np.random.default_rng(0)
    for label in range(3):
        for split in ("train", "test"):
            place = root / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(8):
                pixels = rng.integers(0, 100, (SIZE, SIZE, 3), np.uint8)
                pixels[..., label] += 20
                Image.fromarray(pixels).save(place / f"{i}.png")
    return root


def _classifier():
    """Logits are the mean of each channel: right on most images, and not robust."""
    images = keras.Input((SIZE, SIZE, 3))
    return keras.Model(images, 20 * keras.layers.GlobalAveragePooling2D()(images))


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.keras"
    _classifier().save(path)
    return path


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "saved"
    _classifier().export(str(path), verbose=False)
    return path


def _run(*flags):
    evaluate.main(["ascl-evaluate", *[f"--{flag}" for flag in flags]])


@pytest.mark.slow  # test_export.py compares their logits.
def test_saved_model_and_keras_file_give_the_same_numbers(
    folder, keras_file, saved_model, tmp_path, capsys
):
    results = []
    for model in (keras_file, saved_model):
        output = tmp_path / f"{len(results)}.json"
        _run(
            f"model={model}",
            f"dataset=folder:{folder}",
            "protocol=standard,fgsm, cleverhans_fgm",
            "num_images=20",
            "evaluation_batch_size=7",
            "seed=3",
            f"output={output}",
        )
        results.append(read_records(output))
        assert {r["model_sha256"] for r in results[-1]} == {model_sha256(model)}
    for record, twin in zip(*results, strict=True):
        assert record["robust_accuracy"] == twin["robust_accuracy"]
        assert (record["num_images"], record["seed"]) == (20, 3)
    assert [r["protocol"] for r in results[0]] == ["standard", "fgsm", "cleverhans_fgm"]
    standard, fgsm, reference = (r["robust_accuracy"] for r in results[0])
    assert standard > fgsm == reference
    printed = capsys.readouterr().out
    assert "cleverhans_fgm" in printed and f"{standard:.2f}" in printed and "8/255" in printed


def test_records_of_something_else_are_not_lost(folder, keras_file, saved_model, tmp_path):
    output, matrix = tmp_path / "records.json", tmp_path / "matrix.json"
    others = tmp_path / folder.name  # Another image under the same name.
    shutil.copytree(folder, others)
    Image.new("RGB", (SIZE, SIZE)).save(others / "test" / "class0" / "0.png")
    model, data = f"model={keras_file}", f"dataset=folder:{folder}"
    same = ("protocol=standard", f"output={output}", "num_images=20")
    targets = ("protocol=fgsm", f"targets=a={keras_file}, b={keras_file}", data, "num_images=20")
    _run(model, data, *same)
    _run(*targets, f"output={matrix}")
    before = output.read_bytes(), matrix.read_bytes()
    for flags, lost in (
        ((f"model={saved_model}", data, *same), "standard"),
        ((model, f"dataset=folder:{others}", *same), "standard"),
        ((model, data, *same, "num_images=21"), "standard"),
        ((model, data, *same, "seed=1"), "standard"),
        ((*targets, f"output={output}"), "standard"),
        ((*targets, f"output={matrix}", "protocol=pgd10"), "transfer_fgsm"),
        ((model, data, *same, f"output={matrix}"), "transfer_fgsm"),
    ):
        with line_matches(RunError, f"--output=.*expected a new file, .* be lost: {lost}$"):
            _run(*flags)
    assert (output.read_bytes(), matrix.read_bytes()) == before
    _run(*targets, f"output={matrix}")
    _run(model, data, *same, "protocol=fgsm")
    assert [record["protocol"] for record in read_records(output)] == ["standard", "fgsm"]


def test_numbers_of_flags_make_variants_whose_records_carry_them(folder, keras_file, tmp_path):
    output = tmp_path / "records.json"
    _run(
        f"model={keras_file}",
        f"dataset=folder:{folder}",
        "protocol=standard,pgd20,pgd20_l2@step_size=0.1,num_steps=3,fgsm",
        "epsilon=4/255",
        f"output={output}",
    )
    standard, *attacks = read_records(output)
    assert standard["protocol"] == "standard"
    assert [(r["protocol"], *map(r["attack"].get, NUMBERS)) for r in attacks] == [
        ("pgd20@epsilon=4/255", "4/255", "2/255", 20),
        ("pgd20_l2@epsilon=4/255,step_size=0.1,num_steps=3", "4/255", "0.1", 3),
        ("fgsm@epsilon=4/255", "4/255", "4/255", 1),
    ]
    assert {record["epsilon"] for record in attacks} == {"4/255"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("protocol=pgd20 epsilon=8", "--epsilon: expected epsilon of pgd20 to be a number > 0"),
        ("protocol=pgd20 num_steps=-1", "--num_steps: expected num_steps of pgd20 to be an int"),
        ("protocol=pgd20 epsilon=wide", "--epsilon: expected a number or a fraction.*'wide'"),
        ("protocol=autoattack num_steps=5", "--num_steps: expected epsilon for autoattack; found"),
        ("protocol=standard epsilon=0.1", "--epsilon: expected attacks in --protocol.*standard"),
        ("protocol=pgd20,sweep_steps step_size=0.1", "--step_size: expected attacks in --proto"),
        ("protocol=pgd20@epsilon=0.1 epsilon=0.2", "--epsilon: expected a protocol whose name"),
        ("protocol=pgd20@eps=0.1", "--protocol: expected epsilon or step_size or num_steps"),
    ],
)
def test_numbers_that_make_no_variant_are_one_line(flags, message):
    with line_matches(ValueError, f"^{message}"):
        _run("model=absent.keras", *flags.split())


@pytest.mark.parametrize(
    ("program", "flag"),
    [(evaluate, "--protocol=help"), (evaluate, "--help"), (train, "--protocol=help")],
)
def test_protocols_are_listed_on_demand_and_by_help(program, flag, capsys):
    program.main([program.__name__, flag])
    printed = capsys.readouterr().out
    assert all(f"\n{line}\n" in f"\n{printed}" for line in describe_protocols().splitlines())
    assert ("--num_images" in printed) == (flag == "--help")


def test_records_hold_no_path_of_the_machine(folder, keras_file, tmp_path):
    output = tmp_path / "records.json"
    _run(f"model={keras_file}", f"dataset=folder:{folder}", "protocol=standard", f"output={output}")
    text = output.read_text()
    assert str(folder.parent) not in text and str(keras_file.parent) not in text


def test_warning_of_a_check_is_printed_once_with_its_protocols(folder, tmp_path, capsys):
    images = keras.Input((SIZE, SIZE, 3))
    outputs = keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(images))
    keras.Model(images, outputs).save(tmp_path / "softmax.keras")
    _run(f"model={tmp_path}/softmax.keras", f"dataset=folder:{folder}", "protocol=standard,fgsm")
    assert capsys.readouterr().out.count("warning: probabilities (standard, fgsm): every row") == 1


def _bad_model(tmp_path, text="nothing"):
    (tmp_path / "broken.keras").write_text(text)
    return tmp_path / "broken.keras"


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"model": ""}, 2, r"--model: expected a SavedModel folder or a \.keras file; found none"),
        ({"protocol": "pgd21"}, 2, r"--protocol: .*found 'pgd21' \(near it: pgd20"),
        ({"protocol": "sweep"}, 2, r"--protocol: .* sweep_steps, sweep_epsilon, corruptions; "),
        ({"sources": "a=b"}, 2, r"--sources: expected --targets beside it; found none"),
        ({"diagonal": "true"}, 2, r"--diagonal: expected --targets beside it; found none"),
        ({"targets": "a=b,c=d"}, 2, r"--targets: expected no --model beside it; found both"),
        ({"corruption_dir": "x"}, 2, r"--corruption_dir: expected corruptions in --protocol; .*"),
        ({"frost_dir": "x"}, 2, r"--frost_dir: expected corruptions in --protocol; found standard"),
        (
            {"protocol": "corruptions", "corruption_dir": "x", "frost_dir": "y"},
            2,
            r"--frost_dir: expected no --corruption_dir beside it; found both",
        ),
        (
            {"protocol": "corruptions", "corruption_dir": "x"},
            1,
            r"x/labels\.npy: expected an array",
        ),
        ({"protocol": "corruptions", "frost_dir": "x"}, 1, r"x/frost1\.png: expected"),
        ({"protocol": ","}, 2, r"--protocol: expected one or more names; found none"),
        ({"num_images": "-1"}, 2, r"--num_images: expected a number >= 0; found -1"),
        ({"num_images": "many"}, 2, r"num_images.*many"),
        ({"evaluation_batch_size": "0"}, 2, r"--evaluation_batch_size: expected a number >= 1"),
        ({"wigth": "3"}, 2, r"wigth"),
        ({"model": "absent"}, 1, r"--model=absent: expected a SavedModel folder or a \.keras"),
        ({"num_images": "25"}, 1, r"--num_images: expected at most the 24 images"),
        ({"image_size": "9"}, 1, r"--model=.*expected logits for float32 images.*\(9, 9, 3\)"),
        ({"output": "."}, 1, r"--output=\.: expected a file; found a folder"),
        ({"output": "no/where.json"}, 1, r"--output=no/where\.json: expected a file in a folder"),
        ({"dataset": "folder:absent"}, 1, r"absent"),
    ],
)
def test_bad_input_gives_one_line_and_its_status(
    changes, status, message, folder, keras_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    flags = {"model": keras_file, "dataset": f"folder:{folder}", "protocol": "standard"} | changes
    argv = ["ascl-evaluate", *[f"--{name}={value}" for name, value in flags.items()]]
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, argv)
    assert exit_info.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error), error
    assert not os.listdir(tmp_path)


def _other_classifier(num_classes=3, size=SIZE):
    """Logits are the mean of each channel of the upper half: as right, and not the same."""
    images = keras.Input((size, size, 3))
    half = keras.layers.Cropping2D(((0, size // 2), (0, 0)))(images)
    logits = 20 * keras.layers.GlobalAveragePooling2D()(half)
    return keras.Model(images, logits[:, :num_classes])


@pytest.fixture(scope="module")
def other_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "other.keras"
    _other_classifier().save(path)
    return path


def test_sweep_over_steps_is_recorded_whole_and_shown_in_part(folder, keras_file, tmp_path, capsys):
    output = tmp_path / "records.json"
    common = (f"model={keras_file}", f"dataset=folder:{folder}", "seed=2", f"output={output}")
    _run(*common, "protocol=pgd20,sweep_steps", "evaluation_batch_size=7")
    pgd20, *points = read_records(output)
    assert [r["protocol"] for r in points] == ["sweep_steps"] * 101
    assert [r["attack"]["num_steps"] for r in points] == list(range(101))
    assert points[20]["robust_accuracy"] == pgd20["robust_accuracy"]
    assert points[0]["robust_accuracy"] == pgd20["standard_accuracy"] > pgd20["robust_accuracy"]
    assert {r["model_sha256"] for r in points} == {model_sha256(keras_file)}
    printed = capsys.readouterr().out
    assert "sweep_steps: 50 " in printed and "sweep_steps: 51 " not in printed


@pytest.mark.slow  # test_model_ensemble.py has ensembles, without sweeps.
def test_sweep_over_radii_goes_through_an_ensemble_too(
    folder, keras_file, other_file, tmp_path, capsys
):
    output = tmp_path / "records.json"
    _run(
        f"model={keras_file},{other_file}",
        f"dataset=folder:{folder}",
        "protocol=sweep_epsilon",
        f"output={output}",
    )
    records = read_records(output)
    assert [r["epsilon"] for r in records] == ["0", *(f"{k}/255" for k in range(2, 33, 2))]
    curve = [r["robust_accuracy"] for r in records]
    assert curve[0] == records[0]["standard_accuracy"] > curve[-1] and len(set(curve)) > 2
    assert all(len(r["ensemble_sha256"]) == 2 for r in records)
    printed = capsys.readouterr().out
    assert printed.count("sweep_epsilon") >= 17 and "32/255" in printed


def test_corruptions_are_recorded_one_by_one_and_shown_as_means(
    folder, keras_file, tmp_path, capsys
):
    output = tmp_path / "records.json"
    _run(
        f"model={keras_file}",
        f"dataset=folder:{folder}",
        "protocol=standard,corruptions",
        "num_images=12",
        f"output={output}",
    )
    standard, *records = read_records(output)
    assert len({(r["corruption"], r["severity"]) for r in records}) == len(records) == 19 * 5
    assert {r["source"] for r in records} == {"generated"}
    assert {r["model_sha256"] for r in records} == {model_sha256(keras_file)}
    assert {r["standard_accuracy"] for r in records} == {standard["standard_accuracy"]}
    printed = capsys.readouterr().out
    contrast = [r["robust_accuracy"] for r in records if r["corruption"] == "contrast"]
    (row,) = [line.split() for line in printed.splitlines() if line.split()[:1] == ["contrast"]]
    assert row[3] == f"{np.mean(contrast):.2f}"
    mean = np.mean([r["robust_accuracy"] for r in records])
    (row,) = [line.split() for line in printed.splitlines() if "mean of all 19" in line]
    assert row[-2] == f"{mean:.2f}"


def test_models_attack_each_other_and_the_matrix_is_printed(
    folder, keras_file, saved_model, other_file, tmp_path, capsys
):
    output = tmp_path / "matrix.json"
    _run(
        f"targets=half={other_file}, whole={saved_model}",
        f"dataset=folder:{folder}",
        "diagonal",
        f"output={output}",
    )
    records = {(r["target"], r["source"]): r for r in read_records(output)}
    assert list(records) == [(t, s) for t in ("half", "whole") for s in ("half", "whole")]
    hashes = {"half": model_sha256(other_file), "whole": model_sha256(saved_model)}
    for (target, source), record in records.items():
        assert record["model_sha256"] == hashes[target]
        assert record["source_model_sha256"] == hashes[source]
        assert (record["protocol"], record["num_images"]) == ("transfer_pgd20", 24)
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert rows["target"] == ["SA", "%", "half", "whole"]
    shown = {pair: f"{record['robust_accuracy']:.2f}" for pair, record in records.items()}
    assert rows["half"][1:] == ["-", shown["half", "whole"]]
    assert rows["whole"][1:] == [shown["whole", "half"], "-"]

    output = tmp_path / "white.json"
    _run(f"model={saved_model}", f"dataset=folder:{folder}", "protocol=pgd20", f"output={output}")
    (white_box,) = read_records(output)
    assert records["whole", "whole"]["robust_accuracy"] == white_box["robust_accuracy"]


def test_sources_may_be_other_models_or_labels_of_targets(folder, keras_file, other_file, tmp_path):
    output = tmp_path / "matrix.json"
    common = (f"dataset=folder:{folder}", "protocol=fgsm", "num_images=9", f"output={output}")
    _run(f"targets=a={keras_file}", f"sources=b={other_file}", *common)
    assert [(r["target"], r["source"]) for r in read_records(output)] == [("a", "b")]
    _run(f"targets=a={keras_file},b={other_file}", "sources=b", *common)
    assert [(r["target"], r["source"]) for r in read_records(output)] == [("a", "b")]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"targets": "at"}, 2, r"--targets: expected label=path, .*; found 'at'"),
        ({"targets": "=m,b=n"}, 2, r"--targets: expected label=path, .*; found '=m'"),
        ({"targets": ","}, 2, r"--targets: expected label=path; found none"),
        ({"targets": "a=m,a=n"}, 2, r"--targets: expected each label once; found 'a' twice"),
        ({"targets": "a=m"}, 2, r"--targets: expected another model, .*; found only 'a'"),
        ({"sources": "c"}, 2, r"--sources: expected .* a known label \(a, b\); found 'c'"),
        ({"sources": "a,a"}, 2, r"--sources: expected each label once; found 'a' twice"),
        ({"sources": "a=m"}, 2, r"--sources: expected one model per label; found two for 'a', m "),
        ({"protocol": "autoattack"}, 2, r"--protocol: expected with --targets one .*autoattack"),
        ({"protocol": "pgd20,fgsm"}, 2, r"--protocol: expected with --targets one .*pgd20,fgsm"),
        ({"protocol": "sweep_steps"}, 2, r"--protocol: expected with --targets one .*sweep_steps"),
        ({"targets": "a=absent,b=absent"}, 1, r"--targets=a=absent: expected a SavedModel .*there"),
        ({"sources": "c=absent"}, 1, r"--sources=c=absent: expected a SavedModel folder"),
        ({"sources": "c={small}"}, 1, r"--sources=c=.*small\.keras: expected logits .*\(8, 8, 3\)"),
        (
            {"sources": "c={two}"},
            1,
            r"--sources=c=.*two.keras on folder:.*`labels` must be below the 2 classes",
        ),
    ],
)
def test_bad_transfer_gives_one_line_and_its_status(
    changes, status, message, folder, keras_file, other_file, tmp_path, capsys
):
    files = {"small": tmp_path / "small.keras", "two": tmp_path / "two.keras"}
    flags = {"targets": f"a={keras_file},b={other_file}", "dataset": f"folder:{folder}"}
    flags |= {"protocol": "fgsm"} | changes
    if "small" in flags.get("sources", ""):
        _other_classifier(size=6).save(files["small"])
    if "two" in flags.get("sources", ""):
        _other_classifier(num_classes=2).save(files["two"])
    argv = ["ascl-evaluate"]
    argv += [f"--{name}={value}".format(**files) for name, value in flags.items()]
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, argv)
    assert exit_info.value.code == status
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(message, error), error


def test_model_with_too_few_classes_is_named(folder, tmp_path):
    images = keras.Input((SIZE, SIZE, 3))
    logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(images))
    keras.Model(images, logits).save(tmp_path / "two.keras")
    with pytest.raises(ValueError, match=r"two\.keras on folder:.*below the 2 classes.*received 2"):
        _run(f"model={tmp_path}/two.keras", f"dataset=folder:{folder}", "protocol=standard")


def test_saved_model_without_one_plain_output_is_named(folder, tmp_path):
    model = _classifier()
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda x: {"scores": model(x), "again": model(x)},
        input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)],
    )
    archive.write_out(str(tmp_path / "two"), verbose=False)
    with pytest.raises(ValueError, match=r"two: .*the key 'logits'; received.*'again', 'scores'"):
        _run(f"model={tmp_path}/two", f"dataset=folder:{folder}", "protocol=standard")


def test_help_names_the_flags_and_evaluates_nothing(capsys):
    _run("help")
    printed = capsys.readouterr().out
    assert "--model=: Model to evaluate" in printed and "All flags: --helpfull" in printed


def test_debug_shows_the_traceback_before_the_line(capsys):
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(evaluate.main, ["ascl-evaluate", "--model=absent", "--debug"])
    assert exit_info.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback")
    assert error.splitlines()[-1].startswith("error: --model=absent: expected")


def test_runs_as_a_module_and_exits_without_a_traceback(tmp_path, monkeypatch, capsys):
    # In this process: importing TensorFlow anew would take seconds.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "argv", ["ascl_tf.evaluate", "--model=absent"])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(evaluate.__file__, run_name="__main__")
    assert exit_info.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: --model=absent: expected") and error.count("\n") == 1


def _write_corruptions(path, folder, names):
    """Writes images of random noise, all severities alike, in the published layout."""
    path.mkdir()
    labels = load_dataset(f"folder:{folder}", "test").labels
    np.save(path / "labels.npy", np.tile(labels, 5))
    images = np.random.default_rng(1).integers(0, 256, (5 * 24, SIZE, SIZE, 3), np.uint8)
    for name in names:
        np.save(path / f"{name}.npy", images)
    return path


@pytest.mark.slow  # 75 corruptions.
def test_files_of_the_benchmark_are_fifteen_types(folder, keras_file, tmp_path, capsys):
    place = _write_corruptions(tmp_path / "c", folder, BENCHMARK_CORRUPTIONS)
    output = tmp_path / "records.json"
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", f"corruption_dir={place}")
    _run(*flags, "protocol=fgsm,corruptions", f"output={output}")
    fgsm, *corrupted = read_records(output)
    assert fgsm["protocol"] == "fgsm" and len(corrupted) == 75
    assert {r["num_corruptions"] for r in corrupted} == {15}
    assert {r["corruption"] for r in corrupted} == set(BENCHMARK_CORRUPTIONS)
    printed = capsys.readouterr().out
    assert "mean of the 15" in printed and "mean of all 19" not in printed


@pytest.fixture
def no_attack(monkeypatch):
    def attack(*_, **__):
        raise AssertionError("it was attacked")

    monkeypatch.setattr(evaluate, "evaluate_robustness", attack)


@pytest.mark.parametrize("missing", ["jpeg_compression", "snow"])
def test_missing_file_is_named_before_the_first_attack(
    missing, no_attack, folder, keras_file, tmp_path
):
    names = [name for name in BENCHMARK_CORRUPTIONS if name != missing]
    place = _write_corruptions(tmp_path / "c", folder, names)
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", f"corruption_dir={place}")
    with pytest.raises(RunError, match=rf"{missing}\.npy: expected an array .*No such file"):
        _run(*flags, "protocol=standard,pgd20,corruptions", f"output={tmp_path}/r.json")
    assert not (tmp_path / "r.json").exists()


def test_images_of_another_size_are_named_before_the_first_attack(
    no_attack, folder, keras_file, tmp_path
):
    place = _write_corruptions(tmp_path / "c", folder, BENCHMARK_CORRUPTIONS)
    np.save(place / "fog.npy", np.zeros((5 * 24, 9, 9, 3), np.uint8))
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", f"corruption_dir={place}")
    with pytest.raises(RunError, match=r"fog\.npy: expected images of shape \(8, 8, 3\)"):
        _run(*flags, "protocol=standard,pgd20,corruptions")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.keras", b"PK not JSON", r"--output=.*model\.keras: expected JSON; found otherwise"),
        ("x.json", b"[1]", r'--output=.*x\.json: expected an object with a list "records"'),
    ],
)
def test_files_that_are_no_records_are_not_replaced(
    name, content, message, no_attack, folder, keras_file, tmp_path
):
    (tmp_path / name).write_bytes(content)
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", "protocol=standard")
    with pytest.raises(RunError, match=message):
        _run(*flags, f"output={tmp_path / name}")
    assert (tmp_path / name).read_bytes() == content


def test_records_of_the_same_model_are_added_to_the_file(folder, keras_file, tmp_path, capsys):
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", f"output={tmp_path}/records.json")
    for protocols in ("standard,fgsm", "fgsm,pgd10"):
        _run(*flags, f"protocol={protocols}")
    found = read_records(tmp_path / "records.json")
    assert [record["protocol"] for record in found] == ["standard", "fgsm", "pgd10"]
    said = capsys.readouterr().out
    assert said.count("notice:") == 1
    assert "records.json: earlier records kept: standard; replaced: fgsm\n" in said


@pytest.mark.parametrize("end", [RunError("protocol corruptions: expected"), KeyboardInterrupt()])
def test_what_is_finished_is_on_disk_whatever_comes_next(
    end, folder, keras_file, tmp_path, monkeypatch, capsys
):
    found = []

    def measure(*_, **__):
        found.extend(read_records(tmp_path / "records.json"))
        raise end

    monkeypatch.setattr(evaluate, "sweep_steps", measure)
    (tmp_path / "records.json").touch()
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", "training_split=train")
    with pytest.raises(type(end)):
        _run(*flags, "protocol=standard,fgsm,sweep_steps", f"output={tmp_path}/records.json")
    assert [r["protocol"] for r in found] == ["standard", "fgsm"]
    assert read_records(tmp_path / "records.json") == found
    assert {r["model_sha256"] for r in found} == {model_sha256(keras_file)}
    assert all("seen_in_training" in r["checks_passed"] for r in found)
    printed = capsys.readouterr().out
    assert "fgsm" in printed and "records: " in printed


@pytest.mark.parametrize(
    "flag", ["model={}", "targets=a={},b=x.keras", "targets=b=x,c=y|sources=a={}"]
)
@pytest.mark.parametrize("place", ["saved/records.json", "saved/variables/r.json", "link/r.json"])
def test_results_in_a_folder_of_a_model_are_refused(flag, place, saved_model, tmp_path):
    (tmp_path / "link").symlink_to(saved_model)
    before, output = model_sha256(saved_model), place.replace("saved", str(saved_model))
    models = flag.format(saved_model).split("|")
    with line_matches(RunError, r"--output=.*: expected a place outside of every model.*one in "):
        _run(*models, "dataset=folder:absent", f"output={tmp_path / output}")
    assert model_sha256(saved_model) == before


def test_adversarial_images_in_a_folder_of_a_model_are_refused(saved_model):
    with line_matches(RunError, r"--adversarial_images=.*a\.npz: expected a place outside of"):
        _run(
            f"model={saved_model}", "protocol=autoattack", f"adversarial_images={saved_model}/a.npz"
        )


def test_numbers_are_shown_where_they_cannot_be_written(
    folder, keras_file, tmp_path, monkeypatch, capsys
):
    def full_disk(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    flags = (f"model={keras_file}", f"dataset=folder:{folder}", "protocol=standard")
    with pytest.raises(RunError, match="expected a writable file; no space left on device"):
        _run(*flags, f"output={tmp_path}/records.json")
    assert "standard" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.slow  # test_paths.py splits the paths.
def test_models_whose_paths_hold_commas_are_served(folder, keras_file, tmp_path, monkeypatch):
    odd = tmp_path / "lr=0.1,wd=1e-4" / "model.keras"
    odd.parent.mkdir()
    odd.write_bytes(keras_file.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = (f"dataset=folder:{folder}", "protocol=fgsm")
    both = "model=~/lr=0.1,wd=1e-4/model.keras,~/lr=0.1,wd=1e-4/model.keras"
    _run(both, *flags, "output=~/records.json")
    (record,) = read_records(tmp_path / "records.json")
    assert record["ensemble_sha256"] == [model_sha256(odd)] * 2
    target = "targets=a=~/lr=0.1,wd=1e-4/model.keras"
    _run(target, f"sources=b={keras_file}", *flags, "output=~/matrix.json")
    (record,) = read_records(tmp_path / "matrix.json")
    assert (record["target"], record["source"]) == ("a", "b")
