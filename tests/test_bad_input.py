"""What the training program says of bad input: one line, its exit status, nothing touched."""

import hashlib
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from ascl_tf import flag_defs, train
from ascl_tf.config import Config
from ascl_tf.models import ResNet
from ascl_tf.training.callbacks import StopOnNonFinite
from ascl_tf.training.checkpoints import trackable
from ascl_tf.training.workdir import WorkDirectory

WORKDIR = "run"


@pytest.fixture(autouse=True)
def _beside_an_empty_workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_data_sets"))
    (tmp_path / WORKDIR).mkdir()


def _contents(folder="."):
    """Returns every path below `folder` with the hash of its content; folders have none."""
    files = sorted(pathlib.Path(folder).rglob("*"))
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
        for file in files
    }


def _refuse(capsys, *flags):
    """Runs the program, which must refuse and touch nothing; returns (status, message)."""
    capsys.readouterr()
    before = _contents()
    with pytest.raises(SystemExit) as exit_info:
        train.run(["train", f"--workdir={WORKDIR}", "--num_replicas=1", *flags])
    assert _contents() == before
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return exit_info.value.code, error.removeprefix("error: ").rstrip("\n")


def _check(capsys, flags, status, expected, found):
    got_status, message = _refuse(capsys, *flags)
    assert expected in message and found in message, message
    assert got_status == status, message


@pytest.mark.parametrize(
    ("flags", "expected", "found"),
    [
        (["--wigth=3"], "--wigth: expected a known flag", "found an unknown one"),
        (["--method=moco"], "--method: expected one of ascl, ", "found 'moco'"),
        (["--stage=pertrain"], "--stage: expected one of pretrain, ", "found 'pertrain'"),
        (["--finetune=alf"], "--finetune: expected one of laf, ", "found 'alf'"),
        (["--epochs=ten"], "--epochs: expected an integer", "found 'ten'"),
        (["--depth=50"], "--depth: expected 18 or 34", "found 50"),
        (["--epsilon=0"], "--epsilon: expected a number > 0", "found 0"),
        (["--epsilon=-8/255"], "--epsilon: expected a number > 0", "found -8/255"),
        (["--epsilon=8"], "--epsilon: expected a number > 0 and <= 1", "such as 8/255"),
        (["--step_size=2"], "--step_size: expected a number > 0 and <= 1", "found 2"),
        (["--step_size=20/255"], "--step_size: expected at most twice --epsilon", "20/255"),
        (["--temperature=0"], "--temperature: expected a number > 0", "found 0.0"),
        (["--temperature=-0.5"], "--temperature: expected a number > 0", "found -0.5"),
        (["--learning_rate=nan"], "--learning_rate: expected a number > 0", "found nan"),
        (["--global_batch_size=0"], "--global_batch_size: expected a number >= 1", "found 0"),
        (
            ["--method=at", "--unlabeled_dataset=stl10"],
            "--unlabeled_dataset: expected a method",
            "found --method=at",
        ),
        (["--num_replicas=99"], "--num_replicas: expected at most the ", "found 99"),
        (
            ["--num_replicas=2", "--global_batch_size=15"],
            "--global_batch_size: expected a multiple of the 2 replicas",
            "found 15",
        ),
        (["--protocol=pgd21"], "--protocol: ", "'pgd21'"),
        (["--validation_protocol=pdg20"], "--validation_protocol: ", "'pdg20'"),
        (["--dataset=cifar11"], "--dataset=cifar11: expected a name that", "found an unknown"),
        (["--flagfile=no.flags"], "--flagfile=no.flags: expected a readable file", "No such file"),
        (["surplus"], "expected only flags", "found 'surplus'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistake_in_flags(flags, expected, found, capsys):
    _check(capsys, flags, 2, expected, found)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (b"--wigth=3\n", "--wigth: expected a known flag", "found an unknown one"),
        (b"--epsilon=8\n", "--epsilon: expected a number > 0 and <= 1", "found 8"),
        (b"epochs: 3\n", "expected only flags", "found 'epochs: 3'"),
        (b"\x89PNG\xff\x00", "garbled.flags: expected text files", "found invalid"),
    ],
)
def test_garbled_flagfile(content, expected, found, capsys):
    pathlib.Path("garbled.flags").write_bytes(content)
    _check(capsys, ["--flagfile=garbled.flags"], 2, expected, found)


def _write_folder(path, size=8, mode="RGB", num_classes=2):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(num_classes):
            place = pathlib.Path(path) / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 255, (size, size, 3), np.uint8)
                Image.fromarray(pixels).convert(mode).save(place / f"{i}.png")


def _write_unlabelled_set(data_dir):
    """Writes a data set in TFDS layout that has images and no classes."""
    images = np.zeros([4, 8, 8, 3], np.uint8)
    split = tf.data.Dataset.from_tensor_slices({"image": images})
    tfds.dataset_builders.store_as_tfds_dataset(
        name="nameless",
        version="1.0.0",
        data_dir=data_dir,
        split_datasets={"train": split, "test": split},
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 8, 3))}),
        disable_shuffling=True,
    )


def test_data_set_that_is_not_at_hand(capsys):
    _check(
        capsys, ["--dataset=cifar100"], 1, "--dataset=cifar100: expected a prepared", "--download"
    )


def test_folder_that_does_not_exist(capsys):
    _check(capsys, ["--dataset=folder:absent"], 1, "absent: expected a readable folder", "No such")


def test_data_set_without_labels_where_a_term_needs_them(capsys):
    _write_unlabelled_set("sets")
    flags = ["--dataset=nameless", "--data_dir=sets", "--validation_fraction=0"]
    _check(capsys, flags, 1, "--dataset=nameless: expected labels", "found none")


def test_grey_images(capsys):
    _write_folder("grey", mode="L")
    _check(capsys, ["--dataset=folder:grey"], 1, "expected an image stored as RGB", "found mode L")


def test_one_class(capsys):
    _write_folder("one", num_classes=1)
    _check(capsys, ["--dataset=folder:one"], 1, "expected at least two class folders", "class0")


def test_images_smaller_than_the_model_takes(capsys):
    _write_folder("tiny", size=4)
    _check(capsys, ["--dataset=folder:tiny"], 1, "expected images of at least 8 x 8", "found 4 x 4")


def test_more_images_asked_for_than_there_are(capsys):
    flags = ["--dataset=bundled", "--num_train_images=5000"]
    _check(capsys, flags, 1, "expected to take 1 to 4000 images", "5000")


def test_batch_larger_than_the_training_set(capsys):
    flags = ["--dataset=bundled", "--num_train_images=100"]
    _check(capsys, flags, 1, "--global_batch_size", "512")


def test_file_in_the_place_of_the_workdir(capsys):
    pathlib.Path(WORKDIR).rmdir()
    pathlib.Path(WORKDIR).write_text("mine")
    _check(capsys, ["--dataset=bundled"], 1, "--workdir=run: expected a folder", "found ")


def test_workdir_below_a_file(capsys):
    pathlib.Path("file").write_text("mine")
    flags = ["--dataset=bundled", "--workdir=file/run"]
    _check(capsys, flags, 1, "--workdir=file/run: expected a folder", "found ")


def test_workdir_of_a_run_with_other_flags(capsys):
    config = Config(dataset="bundled", workdir=WORKDIR, width=4)
    WorkDirectory(WORKDIR).begin_stage("pretrain", config.identity("pretrain"), config)
    flags = ["--temperature=0.1", "--width=8"]
    _check(
        capsys, flags, 2, "run, stage pretrain: expected the flags with which it began", "--width=8"
    )
    message = _refuse(capsys, *flags)[1]
    assert "--temperature=0.1 (recorded: 0.5), --width=8 (recorded: 4)" in message


@pytest.mark.parametrize(
    ("settings", "expected", "found"),
    [
        ("{", "config.json: expected the settings of a run", "found"),
        ("[]", "config.json: expected a JSON object", "found list"),
        ('{"settings": {"wigth": 3}}', "config.json: expected known settings", "found wigth"),
        ('{"settings": {"width": "3"}}', "config.json: expected width to be int", "found '3'"),
        ('{"settings": {"epsilon": "x"}}', "config.json: epsilon: expected a number", "found 'x'"),
        ('{"settings": {"epsilon": 8}}', "config.json: --epsilon: expected a number", "found 8"),
        ('{"settings": 3}', "config.json: expected a JSON object", "found int"),
    ],
)
def test_garbled_settings_in_the_workdir(settings, expected, found, capsys):
    (pathlib.Path(WORKDIR) / "config.json").write_text(settings)
    _check(capsys, ["--dataset=bundled"], 1, expected, found)


def test_finetuning_without_pretraining(capsys):
    flags = ["--stage=finetune", "--smoke"]
    _check(capsys, flags, 1, "run/checkpoints/pretrain/last: expected a checkpoint", "found none")


def test_finetuning_from_a_run_that_does_not_exist(capsys):
    flags = ["--stage=finetune", "--smoke", "--pretrained=absent"]
    _check(capsys, flags, 2, "--pretrained=absent: expected the work directory", "found no config")


@pytest.mark.parametrize("stage", ["evaluate", "export"])
def test_classifier_that_was_never_trained(stage, capsys):
    flags = [f"--stage={stage}", "--smoke"]
    _check(capsys, flags, 1, "run/checkpoints/finetune_laf/", "expected a checkpoint; found none")


@pytest.fixture
def pretrained_encoder():
    """Returns a function that leaves an encoder of some width in the work directory."""

    def write(width):
        encoder = ResNet(18, width, "separate", name="encoder")
        encoder.build((None, 16, 16, 3))
        checkpoint = tf.train.Checkpoint(encoder=trackable(encoder.weights))
        prefix = f"{WORKDIR}/checkpoints/pretrain/last"
        tf.train.CheckpointManager(checkpoint, prefix, max_to_keep=1).save(checkpoint_number=1)

    return write


def test_checkpoint_of_another_network(pretrained_encoder, capsys):
    pretrained_encoder(width=3)
    flags = ["--stage=finetune", "--smoke"]
    _check(capsys, flags, 1, "pretrain/last/ckpt-1: expected a whole checkpoint", "found")


def test_damaged_checkpoint(pretrained_encoder, capsys):
    pretrained_encoder(width=2)
    (data,) = pathlib.Path(WORKDIR).rglob("*.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:1000])
    flags = ["--stage=finetune", "--smoke"]
    _check(capsys, flags, 1, "pretrain/last/ckpt-1: expected a whole checkpoint", "found")


def test_loss_that_is_not_finite(capsys):
    guard = StopOnNonFinite()
    optimizer = types.SimpleNamespace(iterations=tf.Variable(7))
    guard.set_model(types.SimpleNamespace(optimizer=optimizer))
    guard.on_train_batch_end(0, {"loss": 1.0})
    logs = {"loss": float("nan"), "gradient_norm": float("inf"), "accuracy": 0.5}
    with pytest.raises(SystemExit) as exit_info:
        flag_defs.run_program(lambda argv: guard.on_train_batch_end(1, logs), ["train"])
    assert exit_info.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: step 7: expected finite values; found NaN or infinity in ")
    assert "loss, gradient_norm." in error and "accuracy" not in error
    assert error.count("\n") == 1


def test_run_whose_loss_is_not_finite_ends_at_that_step(capsys):
    flags = ["--method=standard", "--smoke", "--learning_rate=1e30", "--num_replicas=1"]
    with pytest.raises(SystemExit) as exit_info:
        train.run(["train", f"--workdir={WORKDIR}", *flags])
    assert exit_info.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: step 1: expected finite values; found NaN or infinity in ")
    assert error.count("\n") == 1
    assert not list(pathlib.Path(WORKDIR).rglob("ckpt*"))


@pytest.mark.parametrize(
    "flag",
    ["--protocol=pgd21", "--dataset=folder:absent", "--num_replicas=99", "--num_train_images=1"],
)
def test_mistake_leaves_no_new_folder(flag):
    pathlib.Path(WORKDIR).rmdir()
    with pytest.raises(SystemExit):
        train.run(["train", flag])
    assert _contents() == {}


def _program(*flags):
    command = [sys.executable, "-m", "ascl_tf.train", *flags]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


def test_program_says_one_line_and_exits_with_2():
    done = _program("--epsilon=8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --epsilon: ") and done.stderr.count("\n") == 1


def test_program_says_one_line_and_exits_with_1():
    pathlib.Path(WORKDIR).rmdir()
    pathlib.Path(WORKDIR).write_text("mine")
    done = _program("--dataset=bundled", f"--workdir={WORKDIR}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --workdir=run: ") and done.stderr.count("\n") == 1


def test_debug_shows_the_traceback():
    done = _program("--epsilon=8", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr and "--epsilon: expected a number" in done.stderr
