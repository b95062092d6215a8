"""Folders of pictures through the training program, on the tiny encoder."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from ascl_tf import train
from ascl_tf.data import load_dataset
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.training import encoder_sources, run, run_data, trained
from ascl_tf.training.workdir import recorded_config
from tests.common import eagerly, weak_views_for_strong
from tests.methods import helpers

SIZE = 10
QUICK = (
    *("--smoke", "--num_replicas=1", "--protocol=standard", "--validation_protocol=standard"),
    *("--method=simclr", "--learning_rate=0.01", "--finetune=lsf", "--image_size=10"),
)


@pytest.fixture(autouse=True)
def _tiny_encoder(monkeypatch, tmp_path):
    monkeypatch.setattr("ascl_tf.methods.factory.make_encoder", helpers.make_tiny_encoder)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def fits(monkeypatch):
    """Stages are prepared and not trained: (config, stage, training images, validation)."""
    prepared = []

    def fit(config, workdir, stage, method, train, validation, steps, inputs):
        prepared.append((config, stage, train, validation))

    monkeypatch.setattr(run, "_train_and_record", fit)
    return prepared


def _write(folder, count, seed=0):
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, *os.fsencode(folder)])
    for i in range(count):
        pixels = rng.integers(0, 120, (SIZE, SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def _labeled(root, count=8, splits=("train", "test")):
    for split in splits:
        for name in "abc":
            _write(root / split / name, count)
    return root


def _train(root, *flags, stage="pretrain"):
    train.main(["train", f"--dataset=folder:{root}", "--workdir=run", f"--stage={stage}", *flags])
    return recorded_config("run")


def _record(tmp_path, name):
    return json.loads((tmp_path / "run" / "results" / f"{name}.json").read_text())


def test_loose_pictures_pre_train_without_labels(tmp_path):
    _write(tmp_path / "loose" / "below" / "deeper", 20)
    with eagerly(), weak_views_for_strong():
        _train(tmp_path / "loose", *QUICK)
    record = _record(tmp_path, "pretrain")
    assert (record["data_set"], record["num_images"]) == ("folder:loose", 20)
    assert np.isfinite(record["epochs"][0]["train/loss"])


def test_layout_of_imagenet_is_tested_on_val(tmp_path, capsys, fits):
    root = _labeled(tmp_path / "pets", splits=["train", "val"])
    config = _train(root, *QUICK)
    test = trained.load_test_data(config.replace(smoke=False, num_images=0))
    assert "notice: no split test; testing on val" in capsys.readouterr().out
    assert test.sha256 == load_dataset(f"folder:{root}", "val").sha256
    assert test.sha256 != load_dataset(f"folder:{root}", "train").sha256


def _classes(root, count=10):
    """A folder of classes alone, of which a share is tested on."""
    for name in "abc":
        _write(root / name, count)
    return root


def _rows(dataset):
    return {image.tobytes() for image in dataset.images}


@pytest.mark.slow  # The next ones have its parts.
def test_folder_of_classes_is_cut_once_for_all_stages(tmp_path, fits):
    root = _classes(tmp_path / "pets")
    flags = [*QUICK, "--test_fraction=0.3", "--split_seed=4"]
    config = _train(root, *flags)
    assert (config.test_fraction, config.split_seed) == (0.3, 4)
    # What the run has recorded, without the flags.
    _train(root, "--smoke", "--num_replicas=1", "--num_images=9")
    test = trained.load_test_data(recorded_config("run"))
    whole = load_dataset(f"folder:{root}", "test", test_fraction=0.3, split_seed=4, image_size=10)
    assert _rows(test) == _rows(whole) and len(whole) == 9
    for _, _, images, validation in fits:
        assert not _rows(test) & (_rows(images) | _rows(validation))
        assert len(images) + len(validation) == 21
    with pytest.raises(ConfigError, match=r"`split_seed=5` \(recorded: 4\)"):
        _train(root, *flags, "--split_seed=5")


def test_seed_of_the_run_does_not_move_the_test_pictures(tmp_path):
    config = helpers.TINY.replace(dataset=f"folder:{_classes(tmp_path / 'pets')}")
    tests = [trained.load_test_data(config.replace(seed=seed)).sha256 for seed in (1, 2)]
    assert tests[0] == tests[1]
    assert tests[0] != trained.load_test_data(config.replace(split_seed=1)).sha256


def test_fine_tuning_of_another_run_is_tested_on_its_test_pictures(
    tmp_path, fits, monkeypatch, capsys
):
    root = _classes(tmp_path / "pets")
    _train(root, *QUICK, "--test_fraction=0.3", "--split_seed=4")
    monkeypatch.setattr(encoder_sources, "restore_parts", lambda *args, **kwargs: None)
    flags = [*(flag for flag in QUICK if "image_size" not in flag), "--pretrained=run"]
    named = [f"--dataset=folder:{root}", "--workdir=tuned", "--stage=finetune", "--seed=7"]
    train.main(["train", *flags, *named])
    config = recorded_config("tuned")
    assert (config.test_fraction, config.split_seed, config.image_size) == (0.3, 4, 10)
    told = "--test_fraction=0.3 --split_seed=4 --image_size=10, as in the run that fine-tuning"
    assert f"notice: {told} starts from" in capsys.readouterr().out
    # Nobody names a data set: it is that of the encoder.
    train.main(["train", *flags, *named[2:], "--workdir=other", "--split_seed=5"])
    config = recorded_config("other")
    assert (config.dataset, config.test_fraction, config.split_seed) == (f"folder:{root}", 0.3, 5)


def test_folder_with_val_beside_test_is_validated_on_it(tmp_path, capsys):
    root = _labeled(tmp_path / "pets", splits=["train", "test", "val"])
    config = helpers.TINY.replace(dataset=f"folder:{root}")
    images, validation = run.load_training_data(config)
    assert "notice: validating on the split val (--validation_split" in capsys.readouterr().out
    whole = {split: load_dataset(f"folder:{root}", split) for split in ("train", "test", "val")}
    assert (images.sha256, validation.sha256) == (whole["train"].sha256, whole["val"].sha256)
    test = trained.load_test_data(config)
    assert test.sha256 == whole["test"].sha256
    found = run_data.explain_seen(config.data, config.run, test, images.sha256)
    assert found == ""
    # Asked for no validation, or for another one.
    assert run.load_training_data(config.replace(validation_fraction=0.0))[1] is None
    other = run.load_training_data(config.replace(validation_split="test", test_split="val"))[1]
    assert other.sha256 == whole["test"].sha256


@pytest.mark.parametrize("flags, batch", [([], 27), (["--finetune_global_batch_size=20"], 20)])
def test_batch_falls_to_the_pictures_there_are(tmp_path, capsys, fits, flags, batch):
    root = _labeled(tmp_path / "pets", count=10)
    quick = [flag for flag in QUICK if flag != "--smoke"]
    _train(root, *quick, *flags)
    assert "notice: batches of 27 (--global_batch_size), not 512: only 27 training images" in (
        capsys.readouterr().out
    )
    assert recorded_config("run").global_batch_size == 27
    # Again the same run, and a stage of its own.
    _train(root, *quick, *flags)
    assert fits[1][0] == fits[0][0]
    assert fits[0][0].finetune_batch_size == batch


def test_batch_that_a_recipe_sets_falls_too(tmp_path, fits):
    root = _labeled(tmp_path / "pets", count=10)
    flags = ["--recipe=pictures", "--stage=pretrain", "--minutes=0", "--num_replicas=1"]
    # Here networks are tiny ones.
    train.main(["train", *flags, "--initial_encoder=", f"--dataset=folder:{root}"])
    ((config, stage, images, validation),) = fits
    assert (config.global_batch_size, len(images), len(validation), config.width) == (27, 27, 3, 16)
    assert config.learning_rate == pytest.approx(0.1 * (27 / 512) ** 0.5, rel=1e-5)


def test_batch_that_the_command_line_sets_stays(tmp_path, fits):
    root = _labeled(tmp_path / "pets", count=10)
    quick = [flag for flag in QUICK if flag != "--smoke"]
    message = "`global_batch_size`: expected a positive number of at most the 27 .* found 512"
    with pytest.raises(RunError, match=message):
        _train(root, *quick, "--global_batch_size=512")
    message = "`finetune_global_batch_size`: .* at most the 27 training images; found 28"
    with pytest.raises(RunError, match=message):
        _train(root, *quick, "--finetune_global_batch_size=28", stage="all")


def test_weights_of_classes_reach_the_methods(tmp_path, monkeypatch):
    methods = []
    monkeypatch.setattr(run, "_train_and_record", lambda *args: methods.append(args[3]))
    _write(tmp_path / "pets" / "a", 20)
    _write(tmp_path / "pets" / "b", 5)
    quick = [flag for flag in QUICK if "method" not in flag]
    _train(tmp_path / "pets", *quick, "--method=at", "--class_weights=balanced")
    # 16 and 4 are trained on, of which 4 and 1 validate.
    np.testing.assert_allclose(methods[0].class_weights, [15 / 2 / 12, 15 / 2 / 3])


def test_folder_of_any_name_has_a_work_directory():
    named = helpers.TINY.replace(dataset="folder:/data/p\u00e9ts [1] #100%*")
    assert train.default_workdir(named) == "runs/p\u00e9ts _1_ #100%__ascl"


def test_loose_pictures_join_labeled_ones(tmp_path, fits):
    _write(tmp_path / "loose", 20)
    flag = f"--unlabeled_dataset=folder:{tmp_path / 'loose'}"
    _train(_labeled(tmp_path / "pets"), *QUICK, "--validation_fraction=0", flag)
    ((_, _, images, _),) = fits
    assert (images.name, len(images), images.num_labeled) == ("folder:pets+folder:loose", 44, 24)


def test_loose_pictures_are_not_fine_tuned(tmp_path, fits):
    _write(tmp_path / "loose" / "train", 20)
    _labeled(tmp_path / "loose", splits=["test"])
    message = "expected labels, which fine-tuning after `method=simclr` needs; found none"
    with pytest.raises(RunError, match=message):
        _train(tmp_path / "loose", *QUICK, stage="all")
    assert not fits and not (tmp_path / "run").exists()
    _train(tmp_path / "loose", *QUICK)
    with pytest.raises(RunError, match=message):
        _train(tmp_path / "loose", *QUICK, stage="finetune")


def test_what_the_export_would_refuse_is_refused_before_the_training(tmp_path, fits, monkeypatch):
    root = _labeled(tmp_path / "pets")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(RunError, match=r"^onnx: expected tf2onnx, which pip install"):
        _train(root, *QUICK, "--export_format=saved_model,onnx", stage="all")
    _write(tmp_path / "run" / "export" / "finetune_lsf", 1)
    with pytest.raises(RunError, match="finetune_lsf: expected no file or folder there, or an exp"):
        _train(root, *QUICK, stage="all")
    assert not fits


@pytest.mark.slow  # test_predicted_labels.py has renamed classes.
def test_class_that_is_renamed_after_the_training_is_refused(tmp_path, capsys):
    root = _classes(tmp_path / "pets", count=4)
    quick = [flag for flag in QUICK if "method" not in flag and "finetune" not in flag]
    with eagerly(), weak_views_for_strong():
        _train(root, *quick, "--method=standard")
    assert _record(tmp_path, "pretrain")["class_names"] == ["a", "b", "c"]
    (root / "c").rename(root / "cc")
    with eagerly():
        _train(root, stage="evaluate")
    assert "pets: 1 of 3 classes have different names: class 2 is 'cc'" in capsys.readouterr().out
    (root / "a").rename(root / "z")
    for stage in ("evaluate", "export"):
        with pytest.raises(RunError, match="expected the classifier's .* found class 0 is 'b', to"):
            _train(root, stage=stage)


def test_smoke_takes_few_of_the_users_pictures_and_says_what_it_shrinks(tmp_path, capsys, fits):
    config = _train(_labeled(tmp_path / "pets", count=4), *QUICK, "--epochs=2", "--width=3")
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("notice: --smoke: num")]
    assert "num_train_images=48, " in line and line.endswith("config.json has all settings")
    assert "dataset=" not in line and "epochs=" not in line
    assert (config.image_size, config.epochs, config.width) == (10, 2, 3)
    assert config.global_batch_size == 9
    assert "notice: batches of 9 (--global_batch_size), not 16: only 9 training" in said
    assert (fits[0][2].name, len(fits[0][2]), len(fits[0][3])) == ("folder:pets", 9, 3)
    # The same command goes on with the same run, and so does one that leaves all to the run.
    assert _train(tmp_path / "pets", *QUICK, "--epochs=2", "--width=3") == config
    _train(tmp_path / "pets", "--smoke", "--num_replicas=1")
    assert fits[2][0].width == 3


def test_smoke_keeps_what_the_command_line_sets_and_shrinks_a_flagfile(tmp_path, capsys, fits):
    _labeled(tmp_path / "pets")
    (tmp_path / "own.flags").write_text("--epochs=7\n--width=9\n--dataset=cifar10\n")
    flags = ["--flagfile=own.flags", "--smoke", "--num_train_images", "6", "--workdir=run"]
    train.main(["train", *flags, "--method=standard", "--nodownload", "--global_batch_size=2"])
    ((config, _, images, _),) = fits
    assert (config.epochs, config.width, config.dataset) == (1, 2, "bundled")
    assert (config.num_train_images, config.global_batch_size) == (6, 2)
    # One of each class trains and one validates.
    assert len(images) == 10
    assert "notice: --smoke: 20 training images, not 6" in capsys.readouterr().out


@pytest.mark.slow  # 180 pictures.
def test_smoke_of_many_classes_has_two_of_each(tmp_path, fits):
    for number in range(60):
        _write(tmp_path / "pets" / "train" / f"{number:02}", 3)
    _train(tmp_path / "pets", *QUICK)
    ((_, _, images, _),) = fits
    # 120 of which a quarter is held out, but one at least of each class.
    assert len(images) == 60 and set(images.labels) == set(range(60))


def test_validation_split_of_its_own(tmp_path, fits):
    root = _labeled(tmp_path / "pets", splits=["fit", "choose", "train"])
    splits = ("--train_split=fit", "--validation_split=choose", "--test_split=train")
    config = _train(root, *QUICK, *splits)
    ((_, _, images, validation),) = fits
    whole = {split: load_dataset(f"folder:{root}", split) for split in ("fit", "choose")}
    assert images.sha256 == whole["fit"].sha256
    assert {image.tobytes() for image in validation.images} <= {
        image.tobytes() for image in whole["choose"].images
    }
    assert len(validation) == 10  # As many as --smoke takes.
    assert trained.load_test_data(config).name == "folder:pets"
    with pytest.raises(ConfigError, match=r"`train_split=fold` \(recorded: fit\)"):
        (root / "fit").rename(root / "fold")
        _train(root, *QUICK, "--train_split=fold")


def test_split_of_validation_is_not_tested_on_by_itself(tmp_path):
    root = _labeled(tmp_path / "pets", splits=["train", "val"])
    config = helpers.TINY.replace(dataset=f"folder:{root}", validation_split="val")
    with pytest.raises(RunError, match="`test_split`: expected a split .* found the splits train,"):
        trained.load_test_data(config)


def test_rare_class_trains_by_default_and_the_larger_share_is_said(tmp_path, capsys):
    root = _labeled(tmp_path / "pets", count=4, splits=["train"])
    train_images, validation = run.load_training_data(
        helpers.TINY.replace(dataset=f"folder:{root}", validation_fraction=0.1)
    )
    assert (len(train_images), len(validation)) == (9, 3)
    assert "notice: 3 validation images, at least one of each class that has two; " in (
        capsys.readouterr().out
    )


def test_names_that_are_no_utf8_can_be_recorded(tmp_path, fits):
    root = tmp_path / os.fsdecode(b"pets\xe9")
    for split in ("train", "test"):
        for name in (b"caf\xe9", b"th\xe9"):
            _write(root / split / os.fsdecode(name), 8)
    config = _train(root, *QUICK)
    ((_, _, images, _),) = fits
    assert (images.name, images.class_names) == (r"folder:pets\xe9", (r"caf\xe9", r"th\xe9"))
    assert config.dataset == f"folder:{root}"
