"""The programs from the command line to the exported model, step by step.

Stages in graphs are in test_weight_averaging.py, a program in graphs in test_cluster_fit.py.

One run of the quick start, shrunk by `--smoke`, serves all tests but the last.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from ascl_tf import train
from ascl_tf.evaluation.records import read_records
from ascl_tf.models import ADVERSARIAL, resnet
from ascl_tf.training import tensorboard, trained
from ascl_tf.training.workdir import WorkDirectory, recorded_config
from tests.common import eagerly, guess_durations, random_images, read_each_data_set_once

ROOT = pathlib.Path(__file__).resolve().parents[1]
STAGE = "finetune_laf"
SIZE = 16  # Of the images under --smoke.


def _train(workdir, *flags):
    flagfile = f"--flagfile={ROOT / 'flags' / 'quickstart.flags'}"
    train.run(["train", flagfile, "--smoke", "--num_replicas=1", f"--workdir={workdir}", *flags])


@pytest.fixture(scope="module", autouse=True)
def _smaller_world():
    """One of ResNet-18's blocks, that changes the shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.BLOCKS_PER_STAGE, 18, (0, 0, 0, 1))
        # As many as a batch of --smoke has: other views need a graph of their own.
        patch.setattr(tensorboard, "NUM_PICTURES", 16)
        read_each_data_set_once(patch)
        guess_durations(patch)
        yield


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    path = tmp_path_factory.mktemp("end to end") / "run"
    with eagerly():
        _train(path, "--export_format=saved_model,keras,tflite")
    return path


@pytest.fixture(scope="module")
def classifier(workdir):
    config = recorded_config(workdir)
    test = trained.load_test_data(config)
    return trained.load_classifier(config, WorkDirectory(workdir), test, "best")


def test_run_leaves_what_the_design_says(workdir):
    files = {str(p.relative_to(workdir)) for p in workdir.rglob("*") if p.is_file()}
    assert {"config.json", "flags.txt", "environment.json"} <= files
    for stage in ("pretrain", STAGE):
        assert f"results/{stage}.json" in files
        for name in ("last", "best"):
            assert f"checkpoints/{stage}/{name}/ckpt-2.index" in files
        assert list((workdir / "tensorboard" / stage / "train").glob("events.*"))
    assert f"export/{STAGE}/saved_model.pb" in files
    for name in ("card.json", "README.md", "assets/labels.txt", "model.keras", "model.tflite"):
        assert f"export/{STAGE}/{name}" in files
    assert not any(".tmp" in name for name in files)


def test_nothing_that_is_left_names_the_machine(workdir):
    card = [workdir / "export" / STAGE / name for name in ("card.json", "README.md")]
    for path in [workdir / "environment.json", *(workdir / "results").glob("*.json"), *card]:
        assert str(workdir.parent) not in path.read_text()
        assert str(ROOT) not in path.read_text()
        assert f'"{socket.gethostname()}"' not in path.read_text()
    assert not list(workdir.rglob("*.lock"))


def test_training_records_hold_each_stage(workdir):
    for stage, term in (("pretrain", "ascl_loss"), (STAGE, "adversarial_loss")):
        record = json.loads((workdir / "results" / f"{stage}.json").read_text())
        assert record["stage"] == stage and record["data_set"] == "bundled"
        assert len(record["data_sha256"]) == 64 and record["num_images"] == 36
        (epoch,) = record["epochs"]
        assert np.isfinite(epoch[f"train/{term}"]) and epoch["step"] == 2
        assert 0 <= epoch["val/robust_accuracy"] <= epoch["val/standard_accuracy"] <= 100


def test_evaluation_records_come_back_from_their_file(workdir):
    records = read_records(workdir / "results" / f"evaluate_{STAGE}.json")
    protocols = ["standard", "pgd20", "cleverhans_pgd20"]
    assert [r["protocol"] for r in records] == 2 * protocols
    assert [r["checkpoint"] for r in records] == ["best"] * 3 + ["last"] * 3
    for record in records:
        assert record["num_images"] == 20 and record["stage"] == STAGE
        assert 0 <= record["robust_accuracy"] <= record["standard_accuracy"] <= 100
        expected = "0" if record["protocol"] == "standard" else "8/255"
        assert record["epsilon"] == expected


def test_card_says_where_the_classifier_comes_from(workdir):
    folder = workdir / "export" / STAGE
    card = json.loads((folder / "card.json").read_text())
    records = read_records(workdir / "results" / f"evaluate_{STAGE}.json")
    protocols = ("standard", "pgd20", "cleverhans_pgd20")
    assert [r["protocol"] for r in card["records"]] == list(protocols)
    for found, record in zip(card["records"], records[:3], strict=True):
        assert found["robust_accuracy"] == record["robust_accuracy"]
        assert found["model_sha256"] == card["weights_sha256"] == record["model_sha256"]
    of_stage = json.loads((workdir / "results" / f"{STAGE}.json").read_text())
    assert card["data"]["sha256"] == of_stage["data_sha256"]
    assert card["data"]["license"] == "not stated by the authors of CIFAR-10"
    assert (card["finetune"], card["checkpoint"]) == ("laf", "best")
    assert card["class_names"][3] == "cat" and card["image_size"] == [SIZE, SIZE]
    assert set(card["trained_with"]) >= {"tensorflow", "python"}
    # 20 test images, clean and attacked.
    assert card["files"]["model.tflite"]["num_images"] == 40
    assert "| data | bundled |" in (folder / "README.md").read_text()


LOAD_WITHOUT_THE_PACKAGE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ascl_tf":
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import tensorflow as tf

model, data, out = sys.argv[1:]
loaded = tf.saved_model.load(model)  # Keeps the variables alive.
signatures = loaded.signatures
images = np.load(data)
results = {}
for count in (1, 3):
    x = tf.constant(images[:count])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = signatures["serving_default"](images=x)
        total = tf.reduce_sum(outputs["logits"][:, 0])
    results[f"gradient_{count}"] = tape.gradient(total, x)
    results.update({f"{k}_{count}": v for k, v in outputs.items()})
results["features"] = signatures["features"](images=tf.constant(images))["features"]
pixels = tf.constant(np.round(images * 255).astype(np.uint8))
results["logits_uint8"] = signatures["serve_uint8"](images=pixels)["logits"]
larger = tf.repeat(tf.repeat(pixels, 2, axis=1), 2, axis=2)
results["logits_larger"] = signatures["serve_uint8"](images=larger)["logits"]
results["names"] = np.array([name.decode() for name in results.pop("class_name_3").numpy()])
del results["class_name_1"]
import keras
results["keras"] = keras.saving.load_model(f"{model}/model.keras").predict(images, verbose=0)
runner = tf.lite.Interpreter(f"{model}/model.tflite").get_signature_runner()
results["tflite"] = runner(images=images)["logits"]
assert not any(name.partition(".")[0] == "ascl_tf" for name in sys.modules)
np.savez(out, **results)
"""


@pytest.fixture(scope="module")
def images():
    """Three images whose values are whole multiples of 1/255."""
    return (np.round(random_images(3, SIZE) * 255) / 255).astype(np.float32)


@pytest.fixture(scope="module")
def served(workdir, images, tmp_path_factory):
    """What the exported model gives in a process that cannot import the package."""
    folder = tmp_path_factory.mktemp("served")
    np.save(folder / "images.npy", images)
    files = [workdir / "export" / STAGE, folder / "images.npy", folder / "out.npz"]
    command = [sys.executable, "-I", "-c", LOAD_WITHOUT_THE_PACKAGE, *map(str, files)]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "out.npz")


def test_exported_model_gives_the_same_logits(served, classifier, images):
    expected = classifier(images, training=False, branch=ADVERSARIAL).numpy()
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(served["logits_3"], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(served["logits_1"], expected[:1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(served["logits_uint8"], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(served["probabilities_3"].sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(served["class_3"], expected.argmax(axis=1))


def test_other_files_give_the_same_logits(served, classifier, images, workdir):
    expected = classifier(images, training=False, branch=ADVERSARIAL).numpy()
    for name in ("keras", "tflite"):
        np.testing.assert_allclose(served[name], expected, rtol=0, atol=1e-5)
    labels = (workdir / "export" / STAGE / "assets" / "labels.txt").read_text().split()
    assert list(served["names"]) == [labels[i] for i in served["class_3"]]


def test_exported_model_can_be_attacked(served, classifier, images):
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(classifier(x, training=False, branch=ADVERSARIAL)[:, 0])
    expected = tape.gradient(total, x).numpy()
    assert np.abs(expected).max() > 0
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(served["gradient_3"], expected, rtol=1e-4, atol=tolerance)
    np.testing.assert_allclose(served["gradient_1"], expected[:1], rtol=1e-4, atol=tolerance)


def test_exported_model_takes_other_sizes_and_gives_features(served, classifier, images):
    # Each pixel doubled, then halved with antialiasing, is nearly the image again.
    assert served["logits_larger"].shape == served["logits_3"].shape
    assert np.isfinite(served["logits_larger"]).all()
    expected = classifier.features(images, training=False, branch=ADVERSARIAL).numpy()
    np.testing.assert_allclose(served["features"], expected, rtol=0, atol=1e-5)


def test_other_learning_rate_is_refused_by_name(workdir, capsys):
    before = _training_files(workdir)
    with pytest.raises(SystemExit) as exit_info:
        _train(workdir, "--learning_rate=0.77")
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "--learning_rate=0.77 (recorded: 0.05)" in error
    assert _training_files(workdir) == before


def _training_files(workdir):
    """Returns the content of what training has left."""
    files = [*(workdir / "checkpoints").rglob("*"), *(workdir / "results").glob("[pf]*.json")]
    return {f: f.read_bytes() for f in files if f.is_file()}


@pytest.mark.slow  # tests/training/test_resume.py has the training.
def test_same_flags_again_train_nothing_and_end_well(workdir, capsys):
    before = _training_files(workdir)
    with eagerly():
        _train(workdir, "--protocol=standard")  # What is measured is no part of a run's identity.
    assert _training_files(workdir) == before
    said = capsys.readouterr().out
    assert "exported model" in said and "2/2" not in said


KILLED_RUN = (
    "--stage=pretrain --method=at --dataset=bundled --image_size=8 --width=1 --num_train_images=80 "
    "--global_batch_size=10 --validation_protocol=fgsm --validation_fraction=0.125 --epochs=2 "
    "--num_steps_at=1 --checkpoint_every=1 --evaluation_batch_size=10 --num_replicas=1"
).split()


def _start(workdir):
    command = [sys.executable, "-m", "ascl_tf.train", *KILLED_RUN, f"--workdir={workdir}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)


def _finish(process):
    error = process.communicate(timeout=200)[1].decode()
    assert process.returncode == 0, error


def _results(workdir):
    """Returns the record without times, and every tensor of the last checkpoint."""
    record = json.loads((workdir / "results" / "pretrain.json").read_text())
    assert record["train_seconds"] > 0
    record = {name: value for name, value in record.items() if not name.endswith("seconds")}
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints" / "pretrain" / "last"))
    reader = tf.train.load_checkpoint(path)
    names = [n for n in reader.get_variable_to_shape_map() if "/variables/" in n]
    assert len(names) > 60 and path.endswith("-14")
    return record, {n: reader.get_tensor(n).tobytes() for n in names}


@pytest.mark.slow  # tests/endurance kills more, and its default test is quicker.
def test_killed_program_ends_as_the_undisturbed_one(tmp_path):
    undisturbed, killed = _start(tmp_path / "undisturbed"), _start(tmp_path / "killed")
    deadline = time.monotonic() + 200
    while not list((tmp_path / "killed").glob("checkpoints/pretrain/last/*.index")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "results").exists()
    _finish(undisturbed)
    _finish(_start(tmp_path / "killed"))
    assert _results(tmp_path / "killed") == _results(tmp_path / "undisturbed")
