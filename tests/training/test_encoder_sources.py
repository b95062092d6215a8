"""Where training begins with a trained encoder: of a work directory, or of a classifier's file."""

import json

import keras
import numpy as np
import pytest

from ascl_tf import config as cfg
from ascl_tf import train
from ascl_tf.config import NetworkSettings
from ascl_tf.errors import ConfigError, RunError
from ascl_tf.evaluation.records import weights_sha256
from ascl_tf.methods.factory import make_encoder, settings_of_encoder
from ascl_tf.models import (
    ADVERSARIAL,
    CLEAN,
    Classifier,
    LinearHead,
    PreActResNet,
    ResNet,
    resnet,
)
from ascl_tf.models.batch_norm import ADVERSARIAL_CE
from ascl_tf.training import run
from ascl_tf.training.cards import describe_run
from ascl_tf.training.checkpoints import restore_parts
from ascl_tf.training.encoder_sources import open_encoder, start_from
from ascl_tf.training.workdir import WorkDirectory
from tests.common import eagerly
from tests.methods import helpers
from tests.program_lines import line_matches
from tests.training.worlds import eager_world, pretrain_with

SIZE = 16


def _classifier(encoder):
    """Returns a classifier whose weights, statistics included, are no initial ones."""
    classifier = Classifier(encoder, LinearHead(3, name="linear_head"), name="classifier")
    classifier.build((None, SIZE, SIZE, 3))
    draw = np.random.default_rng(0).uniform
    classifier.set_weights([draw(0.1, 0.2, w.shape).astype(w.dtype) for w in classifier.weights])
    return classifier


@pytest.fixture(scope="module", autouse=True)
def _few_blocks():
    """One of ResNet-18's, that changes the shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.BLOCKS_PER_STAGE, 18, (0, 0, 0, 1))
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """File of a classifier, and its encoder."""
    classifier = _classifier(ResNet(18, 2, stem="cifar", name="encoder"))
    path = tmp_path_factory.mktemp("file") / "classifier.keras"
    classifier.save(path)
    return str(path), classifier.encoder


def _start_from(path, network, encoder):
    start_from(open_encoder("initial_encoder", path), network, encoder)


def _assert_same(encoder, other):
    for value, expected in zip(encoder.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 34, "width": 4, "batch_norm": "triple"},
        {"depth": 50, "width": 2, "stem": "imagenet"},
        {"encoder": "preact_resnet", "width": 3, "batch_norm": "shared"},
        {"encoder": "wide_resnet_10_2", "width": 8},
    ],
)
def test_settings_of_an_encoder_make_the_like(settings):
    settings = {"stem": "cifar", **settings}
    made = make_encoder(NetworkSettings(**settings), None)
    found = settings_of_encoder(made)
    assert set(found) == set(cfg.ENCODER_SETTINGS)
    assert settings.items() <= found.items()


def test_networks_that_no_settings_make_have_none():
    assert settings_of_encoder(PreActResNet(18, 2, final_batch_norm=False)) is None
    assert settings_of_encoder(keras.Sequential()) is None


def test_a_file_gives_its_encoder_with_all_branches(file):
    path, encoder = file
    source = open_encoder("pretrained", path)
    assert source.settings["width"] == 2 and source.settings["stem"] == "cifar"
    made = make_encoder(NetworkSettings(**source.settings), None)
    made.build((None, SIZE, SIZE, 3))
    source.restore(made)
    _assert_same(made, encoder)


def test_a_file_has_no_other_part_checkpoint_or_stem(file):
    path, _ = file
    source = open_encoder("pretrained", path)
    with line_matches(ConfigError, "--encoder_checkpoint=best: expected last; found .*has one"):
        source.restore(None, "best")
    with line_matches(ConfigError, "--encoder_part=encoder_jigsaw: expected encoder; found .*"):
        source.restore(None, "last", "encoder_jigsaw")
    other = ResNet(18, 2, stem="imagenet")
    other.build((None, SIZE, SIZE, 3))
    with line_matches(ConfigError, "--pretrained=.*: expected --stem=cifar as in the file; .*"):
        source.restore(other)


def test_shared_batch_norm_fills_each_branch(tmp_path):
    classifier = _classifier(ResNet(18, 2, "shared", name="encoder"))
    source, path = classifier.encoder, tmp_path / "classifier.keras"
    classifier.save(path)
    encoder = ResNet(18, 2, "triple")
    encoder.build((None, SIZE, SIZE, 3))
    _start_from(str(path), NetworkSettings(width=2, batch_norm="triple"), encoder)
    images = np.random.default_rng(0).random([2, SIZE, SIZE, 3], np.float32)
    expected = source(images, branch=CLEAN)
    for branch in (CLEAN, ADVERSARIAL, ADVERSARIAL_CE):
        np.testing.assert_array_equal(encoder(images, branch=branch), expected)
    assert np.isfinite(expected).all() and np.std(expected) > 0


@pytest.mark.parametrize("name", ["sequential.keras", "own.keras", "damaged.keras", "absent.keras"])
def test_what_holds_no_encoder_of_the_package_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "sequential.keras":
        keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten()]).save(path)
    elif name == "own.keras":
        _classifier(PreActResNet(18, 2, final_batch_norm=False)).save(path)
    elif name == "damaged.keras":
        path.write_bytes(b"no archive")
    with line_matches((ConfigError, RunError), "^--initial_encoder=[^:]*: expected .*; found.*"):
        _start_from(str(path), NetworkSettings(), None)


# Of whole runs.


def _run(folder, *flags):
    own = ("--smoke", "--dataset=bundled", "--num_replicas=1", f"--workdir={folder}")
    with eagerly():
        train.main(["train", *own, *flags])


@pytest.mark.slow  # Of the stages pre-training is in the default run.
def test_fine_tuning_starts_from_the_encoder_of_a_file(file, tmp_path):
    path, encoder = file
    _run(tmp_path, "--stage=finetune", "--finetune=lsf", f"--pretrained={path}")
    tuned = ResNet(18, 2)
    tuned.build((None, SIZE, SIZE, 3))
    restore_parts(tmp_path / "checkpoints" / "finetune_lsf", "last", encoder=tuned)
    _assert_same(tuned, encoder)  # Frozen.
    # What has been trained needs its source no more.
    for stage in ("evaluate", "export"):
        gone = f"--pretrained={tmp_path / 'gone.keras'}"
        _run(tmp_path, f"--stage={stage}", "--protocol=standard", gone)
    assert (tmp_path / "export" / "finetune_lsf" / "saved_model.pb").is_file()


def test_absent_encoders_are_refused_before_the_first_step(tmp_path):
    for flag in ("pretrained", "initial_encoder"):
        with line_matches(ConfigError, f"--{flag}=.*absent: expected .*; found nothing there"):
            _run(tmp_path / "run", "--stage=all", f"--{flag}=absent")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_any_pre_training_starts_from_the_encoder_of_a_file_and_records_its_hash(file, tmp_path):
    path, encoder = file
    _run(tmp_path, "--method=standard", f"--initial_encoder={path}")
    record = json.loads((tmp_path / "results" / "pretrain.json").read_text())
    assert record["spans"][0]["initial_encoder_sha256"] == weights_sha256(encoder)


@pytest.mark.slow  # The refusal alone is below.
def test_the_shipped_encoder_of_a_recipe_gives_way_to_another_network(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(resnet.BLOCKS_PER_STAGE, 18, (2, 2, 2, 2))  # It has them all.
    started = []
    monkeypatch.setattr(run, "_train_and_record", lambda *args: started.append(args))
    recipe = ("--recipe=pictures", "--dataset=bundled")
    _run(tmp_path, *recipe, "--stage=pretrain")  # --smoke shrinks its width.
    told = "notice: the recipe's encoder does not fit, so training starts from random weights: `"
    assert told in capsys.readouterr().out
    ((*_, inputs),) = started
    assert "initial_encoder_sha256" not in inputs
    chosen = "--initial_encoder=pretrained:cifar10-w16-at"
    with line_matches(ConfigError, f"{chosen}: expected --width=2 as in this run; found 16"):
        _run(tmp_path / "chosen", "--method=at", "--batch_norm=shared", chosen)


# Of a work directory; from here on the network is a tiny one.


@pytest.fixture(scope="module")
def world():
    with eager_world() as config:
        yield config


@pytest.fixture(scope="module")
def simclr(tmp_path_factory, world):
    """Work directory of a short pre-training."""
    return pretrain_with(world.replace(method="simclr"), tmp_path_factory.mktemp("s") / "simclr")


@pytest.mark.slow  # test_transfer.py starts from a work directory.
def test_a_work_directory_gives_the_encoder_of_its_last_checkpoint(world, simclr):
    method, expected = helpers.make_method(world), helpers.make_method(world).encoder
    _start_from(str(simclr), world.network, method.encoder)
    restore_parts(simclr / "checkpoints" / "pretrain", "last", encoder=expected)
    _assert_same(method.encoder, expected)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"initial_encoder": "absent"}, "--initial_encoder=absent: .* found nothing there"),
        ({"batch_norm": "shared"}, "--initial_encoder=.*expected --batch_norm=shared .* separate"),
        ({"width": 7}, "--initial_encoder=.*expected --width=7 as in this run; found 64"),
    ],
)
def test_another_network_is_refused(world, simclr, changes, message):
    changes = dict(changes)
    path = changes.pop("initial_encoder", str(simclr))
    with line_matches(ConfigError, message):
        _start_from(path, world.replace(**changes).network, helpers.make_method(world).encoder)


def test_a_run_that_a_flagfile_names_gives_way_to_nothing(world, simclr, tmp_path):
    config = world.replace(method="simclr", width=7, initial_encoder=str(simclr))
    for chosen in (config, config.with_chosen({"width"})):
        with line_matches(ConfigError, "--initial_encoder=.*expected --width=7 as in this run"):
            pretrain_with(chosen, tmp_path / "other")


@pytest.mark.slow  # The record, above, names it too.
def test_the_card_names_what_training_started_from(world, simclr, tmp_path):
    config = world.replace(method="simclr", initial_encoder=str(simclr))
    workdir = WorkDirectory(pretrain_with(config, tmp_path / "on"))
    encoder = helpers.make_method(world).encoder
    assert describe_run(config, workdir, cfg.PRETRAIN, "last", encoder)["starts_from"] == "simclr"
